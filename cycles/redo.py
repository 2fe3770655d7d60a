"""A move that is on record and was not saved: its process died between the two.

It is taken from the record, as a database takes a transaction from its log: the step's tape says how it ended, and the
transition vouches by their hashes for the tape and for the state that the step left the cycle in. So the move is on
record once, whoever finishes it. Where anything differs, e.g. because a person wants the cycle cancelled meanwhile, the
step is run again, as one that died before it was on record: then the last transition of a step counts.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, NamedTuple

from adapters.audit.base import AuditPort
from adapters.store.base import StorePort
from cycles.shelf import TapeForged, read_tape
from cycles.tape import mark_of, state_hash
from domain.cycle import Cycle
from domain.diagnosis import Action
from domain.outcome import OutcomeKind
from domain.receipt import AuditEntry, AuditRecord, RecordKind
from domain.stage import Stage, StageResult
from domain.tape import KIND, MARK, Mark, StepTape, place_of, tape_hash
from domain.trace import trace_id_of


class Move(NamedTuple):
    """The cycle as a step leaves it, and how the step ended."""

    cycle: Cycle
    result: StageResult


def transition(before: Stage, moved: Cycle, step: int) -> AuditEntry:
    """Return what goes on record of the step that moves a cycle on, `moved` being the cycle as it leaves it."""
    mark = mark_of(moved)
    return AuditEntry(
        kind=RecordKind.TRANSITION,
        cycle_id=moved.id,
        stage=before.value,
        actor="engine",
        key=_key_of(moved.id, step),
        status=moved.stage.value,
        trace_id=trace_id_of(moved.id, moved.opened_at),
        body={"reason": moved.reason, "step": step, "tape": mark.hash, "state": mark.state, "seen": mark.seen},
    )


def unsaved(audit: AuditPort, store: StorePort, cycle: Cycle) -> Move | None:
    """Return the move of the cycle's present step that is on record already; None where there is none.

    Raises:
        AuditUnavailable, DependencyError: it cannot be read.
    """
    step = mark_of(cycle).steps
    found = [r for r in audit.of_key(_key_of(cycle.id, step)) if r.entry.kind is RecordKind.TRANSITION]
    if not found:
        return None
    tape = _kept(store, cycle.id, step, found[-1])
    if tape is None:
        return None
    moved = _moved(cycle, tape, found[-1].entry.body)
    if state_hash(moved) != found[-1].entry.body.get("state"):
        return None
    how = tape.moved
    return Move(moved, StageResult(next=moved.stage, reason=how.reason, wait=timedelta(seconds=how.wait_s)))


def _key_of(cycle_id: str, step: int) -> str:
    """Return what the transition that ends a step is found by."""
    return f"{cycle_id}/{place_of(step)}"


def _kept(store: StorePort, cycle_id: str, step: int, transition: AuditRecord) -> StepTape | None:
    """Return the step's tape when it is the one that the transition speaks of."""
    for recording in store.recordings(cycle_id, place_of(step)):
        if recording.kind == KIND and tape_hash(recording.payload) == transition.entry.body.get("tape"):
            try:
                return read_tape(recording.payload, f"{cycle_id}: the tape of step {step}")
            except TapeForged:
                return None  # of another release, whose steps this one runs again
    return None


def _moved(cycle: Cycle, tape: StepTape, body: Mapping[str, Any]) -> Cycle:
    how = tape.moved
    moved = cycle.model_copy(
        update={
            "stage": Stage(how.next),
            # The last moment that a step reads is that of its move.
            "updated_at": tape.moments()[-1] if tape.clock else cycle.updated_at,
            "reason": how.reason,
            "action": Action(how.action) if how.action else None,
            "outcome": OutcomeKind(how.outcome) if how.outcome else None,
        }
    )
    mark = Mark(
        steps=tape.step + 1, hash=str(body["tape"]), state=str(body.get("state", "")), seen=int(body.get("seen", 0))
    )
    return moved.with_fact(MARK, mark.model_dump(mode="json"))
