"""No feedback: asking for it says so."""

from __future__ import annotations

from datetime import datetime

from adapters.feedback.base import FeedbackEvent, not_configured


class NoFeedback:
    """`FeedbackPort` where none is configured."""

    def events(self, since: datetime, until: datetime, limit: int = 50_000) -> list[FeedbackEvent]:
        """Raise ConfigurationError."""
        raise not_configured()

    def check(self) -> str:
        """See `FeedbackPort.check`; a platform may tell of satisfaction as a metric only."""
        return "feedback: none configured"
