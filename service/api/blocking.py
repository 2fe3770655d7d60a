"""Handlers that wait for something else run in threads, so many at once, and only for so long.

A thread cannot be ended from outside. When its time is over the client is told so and the thread goes on: what it does
is done once, and an Idempotency-Key finds its answer. Until it ends it is one of the so many: what hangs behind them
makes no more and more threads. Those who sign in are a crowd of their own, since anybody may try: however many do,
whoever is known already gets a thread.
"""

from __future__ import annotations

import asyncio
import functools
import math
import threading
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import timedelta
from typing import ParamSpec, TypeVar

from anyio import CapacityLimiter, move_on_after, to_thread
from anyio.lowlevel import RunVar

from service.api.problems import RETRY_AFTER, Problem

P = ParamSpec("P")
R = TypeVar("R")
USUALLY = timedelta(seconds=20)
AT_ONCE = 32


class Crowd:
    """Those who share so many threads of an event loop."""

    def __init__(self, name: str, at_once: int) -> None:
        self._at_once = at_once
        self._limiter: RunVar[CapacityLimiter] = RunVar(f"evercrew_{name}")

    def limiter(self) -> CapacityLimiter:
        """Return what counts the threads of the event loop this runs in."""
        try:
            return self._limiter.get()
        except LookupError:
            made = CapacityLimiter(self._at_once)
            self._limiter.set(made)
            return made


HANDLERS = Crowd("handlers", AT_ONCE)
SIGN_INS = Crowd("sign_ins", 8)
CHECKS = Crowd("checks", 16)
"""Of health, which anybody may ask for."""


def bounded(
    limit: timedelta = USUALLY, among: Crowd = HANDLERS
) -> Callable[[Callable[P, R]], Callable[P, Awaitable[R]]]:
    """Return what makes a blocking function one that waits for it in a thread of a crowd, `limit` at most."""

    def wrap(handler: Callable[P, R]) -> Callable[P, Awaitable[R]]:
        @functools.wraps(handler)
        async def run(*args: P.args, **kwargs: P.kwargs) -> R:
            with move_on_after(limit.total_seconds()):
                return await in_thread(functools.partial(handler, *args, **kwargs), among)
            raise Problem(
                503,
                "It takes too long",
                f"no answer came within {limit.total_seconds():g} s; what was begun goes on",
                remedy="Come again; a write with the same Idempotency-Key is not done twice",
                headers=RETRY_AFTER,
            )

        return run

    return wrap


async def in_thread(work: Callable[[], R], among: Crowd) -> R:
    """Return what comes of the work in a thread of a crowd; who is cancelled leaves it to itself.

    Its place is free when the thread ends, whoever still waits for it.
    """
    limiter = among.limiter()
    place = _Place(limiter, asyncio.get_running_loop())
    await limiter.acquire_on_behalf_of(place)
    try:
        # What bounds the threads is the place: the limiter of `anyio` is given back when nobody waits any more.
        return await to_thread.run_sync(place.taken(work), abandon_on_cancel=True, limiter=CapacityLimiter(math.inf))
    finally:
        place.leave()


class _Place:
    """A place among the threads: of whoever waits until the work has begun, and then of the thread."""

    def __init__(self, limiter: CapacityLimiter, loop: asyncio.AbstractEventLoop) -> None:
        self._limiter = limiter
        self._loop = loop
        self._lock = threading.Lock()
        self._begun = self._left = False

    def taken(self, work: Callable[[], R]) -> Callable[[], R]:
        """Return the work as the thread does it."""

        def run() -> R:
            with self._lock:
                if self._left:
                    raise RuntimeError("nobody waits for this any more, and it was not begun")
                self._begun = True
            try:
                return work()
            finally:
                with suppress(RuntimeError):  # the loop has ended, and the places with it
                    self._loop.call_soon_threadsafe(self._limiter.release_on_behalf_of, self)

        return run

    def leave(self) -> None:
        """Give the place back where no thread has it."""
        with self._lock:
            self._left = True
            if not self._begun:
                self._limiter.release_on_behalf_of(self)
