"""What a page asks of systems that may be slow or down: in threads of its own, for so long and no longer.

Who asks gets what is known: the answer where it comes in time, else the last one with its age, else the reason why
there is none. One question is on its way at a time, however many pages ask it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeout
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Generic, TypeVar

from fastapi import FastAPI

from domain.clock import Clock
from domain.errors import EvercrewError

T = TypeVar("T")
FRESH = timedelta(seconds=10)
WAIT = timedelta(milliseconds=700)
WORKERS = 4
MOST_KEPT = 256
STILL_ASKING = "it has not answered yet"


@dataclass(frozen=True)
class Known(Generic[T]):
    """What is known: the value (None: nothing yet), how old it is, and what went wrong with the last try."""

    value: T | None
    age: timedelta = timedelta()
    problem: str = ""


@dataclass
class _Kept:
    value: Any = None
    has: bool = False
    at: float = 0.0
    problem: str = ""
    tried: float = float("-inf")
    asking: Future[None] | None = None


class Background:
    """Asks in the background. Safe for threads.

    Args:
        wait: how long a page waits for an answer. fresh: how long an answer is not asked for again.
    """

    def __init__(self, clock: Clock, *, wait: timedelta = WAIT, fresh: timedelta = FRESH) -> None:
        self._clock = clock
        self._wait = wait.total_seconds()
        self._fresh = fresh.total_seconds()
        self._kept: dict[Hashable, _Kept] = {}
        self._lock = threading.Lock()
        self._threads = ThreadPoolExecutor(max_workers=WORKERS, thread_name_prefix="page")

    def ask(self, key: Hashable, make: Callable[[], T], *, fresh: timedelta | None = None) -> Known[T]:
        """Return what is known under `key`, after having asked anew where that is due.

        Args:
            fresh: how long this answer is not asked for again, where it is not the usual.
        """
        with self._lock:
            kept = self._room(key)
            # What went wrong is tried again as soon as ever.
            lasts = self._fresh if fresh is None or not kept.has or kept.problem else fresh.total_seconds()
            due = self._clock.monotonic() - kept.tried >= lasts
            if due and kept.asking is None:
                kept.tried = self._clock.monotonic()
                kept.asking = self._threads.submit(self._asked, kept, make)
            asking = kept.asking
        if asking is not None:
            try:
                asking.result(self._wait)
            except FutureTimeout:
                return self._known(kept, STILL_ASKING)
        return self._known(kept, "")

    def close(self) -> None:
        """Begin nothing more; what is on its way is not waited for."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _room(self, key: Hashable) -> _Kept:
        found = self._kept.get(key)
        if found is None:
            idle = [name for name, kept in self._kept.items() if kept.asking is None]
            for name in idle[: max(len(self._kept) + 1 - MOST_KEPT, 0)]:
                del self._kept[name]
            found = self._kept[key] = _Kept()
        return found

    def _asked(self, kept: _Kept, make: Callable[[], Any]) -> None:
        """Ask; what is no error of ours is a defect, goes up to whoever waits, and is asked again all the same."""
        try:
            value = make()
        except EvercrewError as problem:
            kept.problem = " ".join(str(problem).split())
        else:
            with self._lock:
                kept.value, kept.has, kept.problem = value, True, ""
                kept.at = self._clock.monotonic()
        finally:
            with self._lock:
                kept.asking = None

    def _known(self, kept: _Kept, otherwise: str) -> Known[Any]:
        with self._lock:
            age = timedelta(seconds=max(self._clock.monotonic() - kept.at, 0.0)) if kept.has else timedelta()
            return Known(kept.value if kept.has else None, age, kept.problem or otherwise)


def background_of(app: FastAPI, clock: Clock) -> Background:
    """Return the application's, made at the first question."""
    found = getattr(app.state, "page_background", None)
    if not isinstance(found, Background):
        found = app.state.page_background = Background(clock)
    return found
