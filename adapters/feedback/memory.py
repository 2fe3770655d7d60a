"""Feedback in memory, for tests and embedding."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from adapters.feedback.base import FeedbackEvent, checked


class MemoryFeedback:
    """`FeedbackPort` over a list, which may be appended to."""

    def __init__(self, told: Sequence[FeedbackEvent] = ()) -> None:
        self.told = list(told)

    def events(self, since: datetime, until: datetime, limit: int = 50_000) -> list[FeedbackEvent]:
        """See `FeedbackPort.events`."""
        checked(since, until, limit)
        found = [event for event in sorted(self.told, key=lambda event: event.ts) if since <= event.ts < until]
        return found[-limit:]

    def check(self) -> str:
        """See `FeedbackPort.check`."""
        return f"memory: {len(self.told)} events"
