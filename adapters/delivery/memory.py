"""A delivery in memory, for tests and embedding: what is desired becomes live after a delay."""

from __future__ import annotations

from datetime import datetime, timedelta

from domain.candidate import LiveState
from domain.clock import Clock
from domain.errors import DependencyTimeout, InvalidInput


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

    def wait_until(self, revision: str, *, digest: str | None, timeout: timedelta, poll: timedelta) -> LiveState:
        """See `DeliveryPort.wait_until`."""
        if poll <= timedelta():
            raise InvalidInput("poll", f"{poll} is not a pause", "Give a positive duration")
        deadline = self._clock.now() + timeout
        while True:
            state = self.live()
            if state.revision == revision and digest in (None, state.digest):
                return state
            if self._clock.now() >= deadline:
                raise DependencyTimeout("delivery", f"live is revision {state.revision} with {state.digest}")
            self._clock.sleep(min(poll, deadline - self._clock.now()))

    def check(self) -> str:
        """See `DeliveryPort.check`."""
        return f"memory: revision {self.live().revision} is live"
