"""A delivery in memory, for tests and embedding: what is desired becomes live after a delay."""

from __future__ import annotations

from datetime import datetime, timedelta

from adapters.delivery.base import Tell, silent
from adapters.delivery.waiting import until, wanted
from domain.candidate import LiveState
from domain.clock import Clock
from domain.errors import DependencyTimeout


class MemoryDelivery:
    """`DeliveryPort` over a list of states with the time from which each is live."""

    def __init__(self, *, state: LiveState, clock: Clock) -> None:
        self._clock = clock
        self._states: list[tuple[datetime, LiveState]] = [(clock.now(), state)]

    def becomes(self, state: LiveState, after: timedelta = timedelta()) -> None:
        """Let `state` be live from `after` on."""
        self._states.append((self._clock.now() + after, state))

    def live(self) -> LiveState:
        """See `DeliveryPort.live`."""
        now = self._clock.now()
        return [state for since, state in self._states if since <= now][-1]

    def wait_until(
        self, revision: str, *, digest: str | None, timeout: timedelta, poll: timedelta, tell: Tell = silent
    ) -> LiveState:
        """See `DeliveryPort.wait_until`."""

        def look() -> LiveState | str:
            state = self.live()
            there = state.revision == revision and digest in (None, state.digest)
            return state if there else f"live is {wanted(state.revision, state.digest)}"

        def late(seen: str) -> DependencyTimeout:
            return DependencyTimeout("delivery", f"{wanted(revision, digest)} is not live; {seen}")

        return until(look, late, clock=self._clock, timeout=timeout, poll=poll, tell=tell)

    def check(self) -> str:
        """See `DeliveryPort.check`."""
        return f"memory: revision {self.live().revision} is live"
