"""A lock between processes, for adapters that keep state in a folder."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

from domain.clock import Clock
from domain.errors import DependencyTimeout

_POLL = timedelta(milliseconds=10)


@contextmanager
def exclusive(path: Path, *, holder: str, clock: Clock, timeout: timedelta) -> Iterator[None]:
    """Hold the lock file `path` (made when absent); the kernel lets go of it when the process dies.

    `flock(2)` belongs to the open file, so two threads of one process exclude each other as two processes do.

    Raises:
        DependencyTimeout: another process held it for longer than `timeout`; the message names `holder`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        _acquire(handle, holder, clock, timeout)
        yield
    finally:
        os.close(handle)


def _acquire(handle: int, holder: str, clock: Clock, timeout: timedelta) -> None:
    deadline = clock.monotonic() + timeout.total_seconds()
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError as error:
            if clock.monotonic() >= deadline:
                raise DependencyTimeout(
                    holder,
                    f"its lock was held by another process for more than {timeout.total_seconds():g} s",
                    "Look for another run on the same folder and let it end",
                ) from error
        clock.sleep(_POLL)
