"""Work that may take longer than a client waits: it goes on in a thread, and is waited for when the service ends."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from datetime import timedelta
from typing import Any, TypeVar

T = TypeVar("T")
AT_ONCE = 4


class Background:
    """Threads of one application."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._threads = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="background")
        self._running: set[Future[Any]] = set()

    def begin(self, work: Callable[[], T]) -> Future[T]:
        """Begin the work, or let it wait for its turn, and return what it will come to."""
        told = self._threads.submit(work)
        with self._lock:
            self._running.add(told)
        told.add_done_callback(self._ended)
        return told

    def join(self, patience: timedelta) -> int:
        """Wait for what was begun, so long at most, and return how much of it still runs."""
        with self._lock:
            running = list(self._running)
        return len(wait(running, patience.total_seconds()).not_done)

    def _ended(self, told: Future[Any]) -> None:
        with self._lock:
            self._running.discard(told)
