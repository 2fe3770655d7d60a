"""The only place of the testbed that reads a clock."""

from __future__ import annotations

import time
from datetime import UTC, datetime

__all__ = ["cpu", "monotonic", "now", "sleep", "timestamp"]


def now() -> datetime:
    """The wall time, timezone-aware, in UTC."""
    return datetime.now(UTC)


def timestamp() -> float:
    """Seconds since the Unix epoch."""
    return time.time()


def monotonic() -> float:
    """Seconds of a clock that never goes back; only differences mean anything."""
    return time.perf_counter()


def cpu() -> float:
    """CPU seconds of the calling thread; only differences mean anything."""
    return time.thread_time()


def sleep(seconds: float) -> None:
    """Blocks the calling thread for the given seconds; zero or less returns at once."""
    if seconds > 0:
        time.sleep(seconds)
