"""A cycle that cannot be recorded is held, and one that would leave something in the world is tried on."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from adapters.audit.memory import MemoryAudit
from adapters.store.base import Tombstone
from adapters.store.memory import MemoryStore
from cycles.holding import LONGEST, PAUSE, pause
from domain.clock import FrozenClock
from domain.cycle import Cycle
from domain.decision import Answer, AuthorizationRequest, Decision
from domain.diagnosis import Action
from domain.errors import AuditUnavailable, DependencyUnavailable, DigestMismatch
from domain.outcome import OutcomeKind
from domain.receipt import AuditEntry, AuditRecord
from domain.stage import Stage
from policies.packaged import packaged_policy_files
from policies.pdp import load_decision_point
from tests.support.flaky import always, first
from tests.support.meddling import failing, when_stage
from tests.support.office import Rig, ended, office_in_memory

FULL = DependencyUnavailable("store", "the disk is full")
AWAY = DependencyUnavailable("git", "nobody answers")


class FullAudit(MemoryAudit):
    """Takes nothing from append `begins` on, for `lasts` appends."""

    def __init__(self, clock: FrozenClock, begins: int, lasts: int) -> None:
        super().__init__(clock)
        self.asked = 0
        self._full = range(begins, begins + lasts)

    def append(self, entry: AuditEntry) -> AuditRecord:
        """See `AuditPort.append`."""
        self.asked += 1
        if self.asked in self._full:
            raise AuditUnavailable("the disk is full; nothing was recorded")
        return super().append(entry)


class FullStore(MemoryStore):
    """Saves nothing in the stage `full`, `left` times."""

    def __init__(self, full: Stage, left: int) -> None:
        super().__init__()
        self._full = full
        self._left = left

    def save(self, cycle: Cycle) -> None:
        """See `StorePort.save`."""
        if cycle.stage is self._full and self._left:
            self._left -= 1
            raise FULL
        super().save(cycle)


def held(rig: Rig) -> list[str]:
    return [event.what for event in rig.events if event.what.startswith("held: ")]


@pytest.mark.parametrize("begins", [2, 9, 16, 23])
def test_a_full_chain_holds_the_cycle_wherever_it_begins(tmp_path: Path, begins: int) -> None:
    clock = FrozenClock()
    audit = FullAudit(clock, begins, lasts=6)
    rig = office_in_memory(tmp_path, Action.TUNE, audit=audit, clock=clock)
    cycle = ended(rig, Action.TUNE)
    assert cycle.outcome in (OutcomeKind.TUNED, OutcomeKind.HANDED_OFF)
    assert held(rig)
    assert rig.audit.open_intents() == []
    assert rig.audit.verify() > 0


@pytest.mark.parametrize("stage", [Stage.PLAN, Stage.PROMOTE, Stage.WATCH, Stage.DONE])
def test_a_full_store_holds_the_cycle(tmp_path: Path, stage: Stage) -> None:
    rig = office_in_memory(tmp_path, Action.TUNE, store=FullStore(stage, left=7))
    cycle = ended(rig, Action.TUNE)
    assert cycle.outcome is OutcomeKind.TUNED
    assert any("the disk is full" in said for said in held(rig))


def test_a_roll_back_is_tried_on_and_somebody_is_told(tmp_path: Path) -> None:
    rig = office_in_memory(tmp_path, Action.ROLLBACK, change=failing("vcs", revert=first(9, AWAY)))
    cycle = ended(rig, Action.ROLLBACK)
    assert cycle.outcome is OutcomeKind.RESTORED
    assert "does not succeed and is tried on" in str(rig.ports.notify.__dict__)


def test_a_roll_back_that_never_succeeds_is_a_persons_in_the_end(tmp_path: Path) -> None:
    rig = office_in_memory(tmp_path, Action.ROLLBACK, change=failing("vcs", revert=always(AWAY)))
    opened = rig.clock.now()
    cycle = ended(rig, Action.ROLLBACK)
    assert cycle.outcome is OutcomeKind.HANDED_OFF
    assert rig.clock.now() - opened >= rig.profile.poll.approval_timeout


@pytest.mark.parametrize(("times", "outcome"), [(5, OutcomeKind.RESTORED), (10**6, OutcomeKind.HANDED_OFF)])
def test_a_roll_back_that_finds_something_damaged_is_tried_on_and_somebody_is_told(
    tmp_path: Path, times: int, outcome: OutcomeKind
) -> None:
    store = Damaged()
    rig = office_in_memory(tmp_path, Action.ROLLBACK, store=store)
    when_stage(rig, "roll_back", lambda: store.damage(times))
    opened = rig.clock.now()
    cycle = ended(rig, Action.ROLLBACK)
    assert cycle.outcome is outcome
    assert "does not succeed and is tried on" in str(rig.ports.notify.__dict__)
    patience = rig.profile.poll.approval_timeout
    assert (rig.clock.now() - opened >= patience) is (outcome is OutcomeKind.HANDED_OFF)


def test_the_pause_doubles_and_has_an_end() -> None:
    pauses: list[Any] = [pause(n) for n in (1, 2, 3, 40)]
    assert pauses == [PAUSE, 2 * PAUSE, 4 * PAUSE, LONGEST]
    assert timedelta(minutes=1) >= LONGEST


def test_a_promotion_that_is_denied_after_a_crash_had_hidden_it_is_taken_back(tmp_path: Path) -> None:
    """The push is out and in the chain; what the stage was to remember of it is not, and the rules have changed."""
    changed = Changed()
    rig = office_in_memory(tmp_path, Action.RETRAIN, pdp=changed, store=Forgetful(changed))
    cycle = ended(rig, Action.RETRAIN)
    assert changed.denied
    assert cycle.outcome is OutcomeKind.ROLLED_BACK
    assert rig.world.live().digest == next(iter(rig.world.skills))


class Damaged(MemoryStore):
    """Cannot keep the mark of a bad model, for what is written there is damaged, so often as it is told."""

    def __init__(self) -> None:
        super().__init__()
        self._left = 0

    def damage(self, times: int) -> None:
        """From now on, so often."""
        self._left = times

    def entomb(self, stone: Tombstone) -> None:
        """See `StorePort.entomb`."""
        if self._left:
            self._left -= 1
            raise DigestMismatch("the row of the model is another one's")
        super().entomb(stone)


class Changed:
    """The packaged set, until `denies`: then nothing is promoted any more."""

    def __init__(self) -> None:
        self._set = load_decision_point(packaged_policy_files())
        self.denies = False
        self.denied = 0

    def decide(self, request: AuthorizationRequest) -> Decision:
        """See `Decider.decide`."""
        if self.denies and request.tool == "promote":
            self.denied += 1
            return Decision(answer=Answer.DENY, reason="the rules have changed")
        return self._set.decide(request)


class Forgetful(MemoryStore):
    """Cannot be written right after a promotion was made, once; when it can, the rules have changed."""

    def __init__(self, changed: Changed) -> None:
        super().__init__()
        self._changed = changed

    def save(self, cycle: Cycle) -> None:
        """See `StorePort.save`."""
        if "release" in cycle.facts and not self._changed.denies:
            self._changed.denies = True
            raise FULL
        super().save(cycle)
