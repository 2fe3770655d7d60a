"""Values behind a review: what is committed waits for somebody who merges it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace

from adapters.vcs.base import EFFECT_COMMIT, EFFECT_WITHDRAW, ApprovalPending
from adapters.vcs.memory import MemoryVcs
from domain.clock import Clock
from domain.errors import DependencyUnavailable
from domain.observation import Observation
from domain.permit import Permit, PermitVerifier
from service.toolbox import Ports

# Something that waits since before the test began.
WAITING = "f" * 32


class Reviewed(MemoryVcs):
    """A commit is proposed under its key, and merged when it was asked for `patience` times.

    `asked` counts the calls by key: as many keys as requests; `open` are those that can be merged, `withdrawn` those
    that cannot any more, by the key of the withdrawal. `away` plays a forge that cannot be reached, and `meanwhile` is
    called while one is being withdrawn.
    """

    reviewed = True

    def __init__(self, *, text: str, permits: PermitVerifier, clock: Clock, patience: int) -> None:
        super().__init__(text=text, permits=permits, clock=clock)
        self._patience = patience
        self.asked: Counter[str] = Counter()
        self.open: dict[str, tuple[str, str]] = {}
        self.withdrawn: dict[str, str] = {}
        self.reasons: list[str] = []
        self.away = False
        self.meanwhile: Callable[[], object] = lambda: None

    def commit(
        self, *, text: str, message: str, expected_head: str, cycle_id: str, key: str, permit: Permit | None
    ) -> str:
        """See `VcsPort.commit`."""
        self.asked[key] += 1
        if self._find(key) is None and self.asked[key] < self._patience:
            self._permits.spend(permit, effect=EFFECT_COMMIT, key=key)
            self.open[key] = (text, cycle_id)
            raise ApprovalPending("forge", "request 1 is not merged", "Merge or close it")
        self.open.pop(key, None)
        return super().commit(
            text=text, message=message, expected_head=expected_head, cycle_id=cycle_id, key=key, permit=permit
        )

    def merge(self) -> str:
        """A person merges what is open."""
        [(key, (text, cycle_id))] = self.open.items()
        self.open.clear()
        trailers = {"Evercrew-Cycle": cycle_id, "Evercrew-Key": key}
        with self._lock:
            return self._append(text, "merged by hand", trailers, "somebody")

    def withdraw(self, *, proposal: str, reason: str, key: str, permit: Permit | None) -> bool:
        """See `VcsPort.withdraw`."""
        self._permits.spend(permit, effect=EFFECT_WITHDRAW, key=key)
        if self.away:
            raise DependencyUnavailable("forge", "is away")
        self.meanwhile()
        if self.open.pop(proposal, None) is not None:
            self.withdrawn[key] = proposal
            self.reasons.append(reason)
        return key in self.withdrawn

    def observe(self, key: str) -> Observation:
        """See `VcsPort.observe`."""
        return Observation.done({"withdrawn": True}) if key in self.withdrawn else super().observe(key)


def reviewed(patience: int, found: list[Reviewed] | None = None) -> Callable[[Ports], Ports]:
    """Return the change that puts a review before every commit; where patience is 0 or 1, one waits already."""

    def change(ports: Ports) -> Ports:
        before = ports.vcs
        assert isinstance(before, MemoryVcs)
        vcs = Reviewed(text=before.read(), permits=before._permits, clock=before._clock, patience=patience)
        if patience <= 1:
            vcs.open[WAITING] = (before.read(), "")
        if found is not None:
            found.append(vcs)
        return replace(ports, vcs=vcs)

    return change
