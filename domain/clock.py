"""Time is a port: the only place that reads a clock."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """What asks for the time, or waits, asks this."""

    def now(self) -> datetime:
        """Return the current time, timezone-aware, in UTC."""
        ...

    def monotonic(self) -> float:
        """Return seconds of a clock that never goes back, for measuring durations."""
        ...

    def sleep(self, duration: timedelta) -> None:
        """Wait for `duration`; zero or less returns at once."""
        ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.monotonic()

    def sleep(self, duration: timedelta) -> None:
        time.sleep(max(duration.total_seconds(), 0.0))


class FrozenClock:
    """A clock that moves only when it is told to, or slept on: seven days pass in a microsecond."""

    def __init__(self, at: datetime = datetime(2026, 1, 1, tzinfo=UTC)) -> None:
        self._now = at

    def now(self) -> datetime:
        return self._now

    def monotonic(self) -> float:
        return self._now.timestamp()

    def sleep(self, duration: timedelta) -> None:
        self.advance(max(duration, timedelta()))

    def advance(self, duration: timedelta) -> None:
        """Move the clock forward by `duration`."""
        self._now += duration
