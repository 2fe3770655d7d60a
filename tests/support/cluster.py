"""A delivery that has to be told, and a rollout, in memory: what is asked of them is kept."""

from __future__ import annotations

from dataclasses import replace

from adapters.delivery.base import EFFECT_SYNC, RolloutStatus, Superseded
from adapters.delivery.local import LiveSource, LocalDelivery
from adapters.vcs.base import VcsPort
from domain.clock import Clock
from domain.observation import Observation
from domain.permit import Permit, PermitVerifier
from service.toolbox import Ports


class SyncedDelivery(LocalDelivery):
    """`DeliveryPort` and `SyncPort`; `asked` is what was asked for, by key."""

    def __init__(self, *, source: LiveSource, clock: Clock, vcs: VcsPort, permits: PermitVerifier) -> None:
        super().__init__(source=source, clock=clock)
        self._vcs = vcs
        self._permits = permits
        self.asked: dict[str, str] = {}

    def sync(self, revision: str, *, key: str, permit: Permit | None) -> bool:
        """See `SyncPort.sync`."""
        self._permits.spend(permit, effect=EFFECT_SYNC, key=key)
        if revision != self._vcs.head():
            raise Superseded(f"memory: {revision[:12]} is not the newest commit")
        self.asked[key] = revision
        return True

    def observe(self, key: str) -> Observation:
        """See `SyncPort.observe`."""
        revision = self.asked.get(key)
        return Observation.absent("nothing was asked for") if revision is None else _done(revision)


class MemoryRollout:
    """`RolloutPort` that says what it is given."""

    def __init__(self, status: RolloutStatus) -> None:
        self.given = status

    def status(self) -> RolloutStatus:
        """See `RolloutPort.status`."""
        return self.given

    def check(self) -> str:
        """See `RolloutPort.check`."""
        return f"memory: {self.given.phase}"


def clustered(ports: Ports, source: LiveSource, permits: PermitVerifier, clock: Clock) -> Ports:
    """Return the ports with a delivery that has to be told, and a rollout that is well."""
    delivery = SyncedDelivery(source=source, clock=clock, vcs=ports.vcs, permits=permits)
    return replace(ports, delivery=delivery, rollout=MemoryRollout(RolloutStatus(phase="Healthy", weight=100)))


def _done(revision: str) -> Observation:
    return Observation.done({"revision": revision})
