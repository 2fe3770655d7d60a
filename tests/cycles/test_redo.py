"""A process that dies between putting a move on record and saving it: the next one saves what is on record."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from adapters.store.memory import MemoryStore
from cycles.tape_check import check_tape
from domain.cycle import Cycle
from domain.diagnosis import Action
from domain.outcome import OutcomeKind
from domain.receipt import AuditRecord, RecordKind
from domain.stage import Stage
from tests.support.office import Rig, office_in_memory
from tests.support.setting import alert_of


class Died(BaseException):
    """Nobody is there any more to say why."""


class MortalStore(MemoryStore):
    """A store in memory; whoever saves a cycle in the stage `at` for the first time dies before it is saved."""

    at: Stage | None = None

    def save(self, cycle: Cycle) -> None:
        """See `StorePort.save`."""
        if cycle.stage is self.at:
            self.at = None
            raise Died
        super().save(cycle)


@pytest.fixture
def store() -> MortalStore:
    return MortalStore()


@pytest.fixture
def rig(store: MortalStore, tmp_path: Path) -> Rig:
    return office_in_memory(tmp_path, Action.TUNE, store=store)


def opened(rig: Rig, store: MortalStore, at: Stage) -> str:
    """Open a cycle, and walk it until the process dies when it moves to `at`."""
    cycle = rig.open(alert_of(Action.TUNE, rig.clock))
    store.at = at
    with pytest.raises(Died):
        walked(rig, cycle.id)
    return cycle.id


def walked(rig: Rig, cycle_id: str) -> Cycle:
    """Walk a cycle to its end, and return it."""
    while True:
        told = rig.engine.advance(cycle_id)
        cycle = rig.store.cycle(cycle_id)
        assert cycle is not None
        if told["ended"]:
            return cycle
        rig.clock.sleep(timedelta(seconds=told["wait_s"]))


def moves(rig: Rig, cycle_id: str) -> list[AuditRecord]:
    return [r for r in rig.audit.records(cycle_id) if r.entry.kind is RecordKind.TRANSITION]


@pytest.mark.parametrize("at", [Stage.DIAGNOSE, Stage.PROMOTE, Stage.WATCH, Stage.LEARN, Stage.DONE])
def test_a_move_on_record_is_saved_and_not_made_again(rig: Rig, store: MortalStore, at: Stage) -> None:
    cycle_id = opened(rig, store, at)
    before = rig.audit.records(cycle_id)
    told = rig.engine.advance(cycle_id)
    assert len(rig.audit.records(cycle_id)) == len(before), "the step was run again"
    saved = rig.store.cycle(cycle_id)
    assert saved is not None
    assert (saved.stage, saved.reason) == (at, before[-1].entry.body["reason"])
    assert told == {"stage": before[-1].entry.stage, "ended": at.terminal, "wait_s": 0.0}
    assert rig.events[-1].what == "end"
    end = walked(rig, cycle_id)
    assert (end.outcome, end.stage) == (OutcomeKind.TUNED, Stage.DONE)
    steps = [move.entry.body["step"] for move in moves(rig, cycle_id)]
    assert len(set(steps)) == len(steps)
    assert "as the chain has them" in check_tape(end, rig.store, rig.audit)


def test_a_cycle_that_a_person_cancels_meanwhile_takes_the_step_again(rig: Rig, store: MortalStore) -> None:
    cycle_id = opened(rig, store, Stage.PLAN)
    rig.store.request_cancel(cycle_id)
    end = walked(rig, cycle_id)
    assert end.outcome is OutcomeKind.CANCELLED
    diagnosed = [move.entry.status for move in moves(rig, cycle_id) if move.entry.stage == "diagnose"]
    assert diagnosed == ["plan", "learn"]
    assert "as the chain has them" in check_tape(end, rig.store, rig.audit)


def test_a_move_whose_tape_is_not_there_is_taken_again(rig: Rig, store: MortalStore) -> None:
    cycle_id = opened(rig, store, Stage.PLAN)
    tape = store.recordings(cycle_id, "step/")[-1]
    store.record(tape.model_copy(update={"payload": {**tape.payload, "stage": "plan"}}))
    end = walked(rig, cycle_id)
    assert end.outcome is OutcomeKind.TUNED
    diagnosed = [move.entry.status for move in moves(rig, cycle_id) if move.entry.stage == "diagnose"]
    assert diagnosed == ["plan", "plan"]
    assert "as the chain has them" in check_tape(end, rig.store, rig.audit)
