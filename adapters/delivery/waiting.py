"""One way to wait: look, tell each new reason once, pause, and give up with what was seen last."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from adapters.delivery.base import Tell
from domain.candidate import LiveState
from domain.clock import Clock
from domain.errors import EvercrewError, InvalidInput


def until(
    look: Callable[[], LiveState | str],
    late: Callable[[str], EvercrewError],
    *,
    clock: Clock,
    timeout: timedelta,
    poll: timedelta,
    tell: Tell,
) -> LiveState:
    """Return what `look` returns once that is a state; until then it returns the reason why not.

    Raises:
        InvalidInput: `poll` is no pause. What `late` makes of the last reason, at the deadline. What `look` raises.
    """
    if poll <= timedelta():
        raise InvalidInput("poll", f"{poll} is not a pause", "Give a positive duration")
    deadline = clock.monotonic() + timeout.total_seconds()
    told = ""
    while True:
        seen = look()
        if isinstance(seen, LiveState):
            return seen
        if seen != told:
            tell(seen)
            told = seen
        if clock.monotonic() >= deadline:
            raise late(seen)
        clock.sleep(min(poll, timedelta(seconds=max(deadline - clock.monotonic(), 0.001))))


def wanted(revision: str, digest: str | None) -> str:
    """Return a revision and digest in words."""
    return f"revision {revision[:12]}" + (f" with {digest[:19]}" if digest else "")
