"""What is live by the platform's own word, for a platform that follows the values repository by itself."""

from __future__ import annotations

from datetime import timedelta
from typing import Protocol

from domain.candidate import LiveState
from domain.clock import Clock
from domain.errors import DependencyError, DependencyTimeout, InvalidInput

NAME = "delivery"


class LiveSource(Protocol):
    """What can be asked for the live state, e.g. the platform's client."""

    def live(self) -> LiveState:
        """Return what is served now, or raise a DependencyError."""
        ...


class LocalDelivery:
    """`DeliveryPort` that asks `source`."""

    def __init__(self, *, source: LiveSource, clock: Clock) -> None:
        self._source = source
        self._clock = clock

    def live(self) -> LiveState:
        """See `DeliveryPort.live`."""
        return self._source.live()

    def wait_until(self, revision: str, *, digest: str | None, timeout: timedelta, poll: timedelta) -> LiveState:
        """See `DeliveryPort.wait_until`. A platform that does not answer for a moment is waited for too."""
        if poll <= timedelta():
            raise InvalidInput("poll", f"{poll} is not a pause", "Give a positive duration")
        deadline = self._clock.monotonic() + timeout.total_seconds()
        while True:
            seen, state = self._look()
            if state is not None and state.revision == revision and digest in (None, state.digest):
                return state
            if self._clock.monotonic() >= deadline:
                raise DependencyTimeout(
                    NAME,
                    f"after {timeout.total_seconds():g} s {_wanted(revision, digest)} is not live; {seen}",
                    "Look at the platform's log for a revision it rejected",
                )
            self._clock.sleep(min(poll, timedelta(seconds=max(deadline - self._clock.monotonic(), 0.001))))

    def check(self) -> str:
        """See `DeliveryPort.check`."""
        state = self.live()
        return f"{NAME}: revision {state.revision[:12]} is live"

    def _look(self) -> tuple[str, LiveState | None]:
        try:
            state = self._source.live()
        except DependencyError as error:
            return f"it cannot be asked: {error}", None
        return f"live is {_wanted(state.revision, state.digest)}", state


def _wanted(revision: str, digest: str | None) -> str:
    return f"revision {revision[:12]}" + (f" with {digest[:19]}" if digest else "")
