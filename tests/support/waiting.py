"""Waiting for what another thread or process does."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import psutil

from domain.clock import SystemClock

# Nothing that is waited for takes so long; it is the machine that may have other things to do.
PATIENCE_S = 60.0
_LOOK = timedelta(milliseconds=10)


def until(holds: Callable[[], object], seconds: float = PATIENCE_S) -> None:
    """Wait until it holds."""
    clock = SystemClock()
    end = clock.monotonic() + seconds
    while not holds():
        assert clock.monotonic() < end, f"it did not come to hold within {seconds:g} s"
        clock.sleep(_LOOK)


def gone(pid: int) -> bool:
    """Return whether a process is gone, or only waits to be reaped; it may go while it is looked at."""
    try:
        return bool(psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True
