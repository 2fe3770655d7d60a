"""What is live by the platform's own word, for a platform that follows the values repository by itself."""

from __future__ import annotations

from datetime import timedelta
from typing import Protocol

from adapters.delivery.base import Tell, silent
from adapters.delivery.waiting import until, wanted
from domain.candidate import LiveState
from domain.clock import Clock
from domain.errors import DependencyError, DependencyTimeout

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

    def wait_until(
        self, revision: str, *, digest: str | None, timeout: timedelta, poll: timedelta, tell: Tell = silent
    ) -> LiveState:
        """See `DeliveryPort.wait_until`. A platform that does not answer for a moment is waited for too."""

        def look() -> LiveState | str:
            try:
                state = self._source.live()
            except DependencyError as error:
                return f"it cannot be asked: {error}"
            if state.revision == revision and digest in (None, state.digest):
                return state
            return f"live is {wanted(state.revision, state.digest)}"

        def late(seen: str) -> DependencyTimeout:
            return DependencyTimeout(
                NAME,
                f"after {timeout.total_seconds():g} s {wanted(revision, digest)} is not live; {seen}",
                "Look at the platform's log for a revision it rejected",
            )

        return until(look, late, clock=self._clock, timeout=timeout, poll=poll, tell=tell)

    def check(self) -> str:
        """See `DeliveryPort.check`."""
        state = self.live()
        return f"{NAME}: revision {state.revision[:12]} is live"
