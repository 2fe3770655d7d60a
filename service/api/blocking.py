"""Handlers that wait for something else run in threads of their own, so many at once, and only for so long.

A thread cannot be ended from outside. When its time is over the client is told so and the thread goes on: what it does
is done once, and an Idempotency-Key finds its answer.
"""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import ParamSpec, TypeVar

from anyio import CapacityLimiter, move_on_after, to_thread
from anyio.lowlevel import RunVar

from service.api.problems import RETRY_AFTER, Problem

P = ParamSpec("P")
R = TypeVar("R")
USUALLY = timedelta(seconds=20)
AT_ONCE = 32
_LIMITER: RunVar[CapacityLimiter] = RunVar("evercrew_api_threads")


def bounded(limit: timedelta = USUALLY) -> Callable[[Callable[P, R]], Callable[P, Awaitable[R]]]:
    """Return what makes a blocking function one that waits for it in a thread, `limit` at most."""

    def wrap(handler: Callable[P, R]) -> Callable[P, Awaitable[R]]:
        @functools.wraps(handler)
        async def run(*args: P.args, **kwargs: P.kwargs) -> R:
            with move_on_after(limit.total_seconds()):
                work = functools.partial(handler, *args, **kwargs)
                return await to_thread.run_sync(work, abandon_on_cancel=True, limiter=_limiter())
            raise Problem(
                503,
                "It takes too long",
                f"no answer came within {limit.total_seconds():g} s; what was begun goes on",
                remedy="Come again; a write with the same Idempotency-Key is not done twice",
                headers=RETRY_AFTER,
            )

        return run

    return wrap


def _limiter() -> CapacityLimiter:
    try:
        return _LIMITER.get()
    except LookupError:
        made = CapacityLimiter(AT_ONCE)
        _LIMITER.set(made)
        return made
