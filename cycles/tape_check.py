"""Is the tape of a cycle the one that was written? The audit chain says so."""

from __future__ import annotations

from collections.abc import Sequence

from adapters.audit.base import AuditPort
from adapters.store.base import StorePort
from cycles.shelf import TapeForged, TapeMissing, hashed_tapes
from domain.cycle import Cycle
from domain.receipt import AuditRecord, RecordKind
from domain.tape import PLACE, StepTape

NONE = "none: it ended before steps were recorded"


def check_tape(cycle: Cycle, store: StorePort, audit: AuditPort) -> str:
    """Return what was found in order: every tape, linked to the one before, as the transitions of the chain have it.

    Raises:
        TapeMissing: one is missing that the chain has. TapeForged: one is not the one that was written.
    """
    records = audit.records(cycle.id)
    chained = _chained(records)
    if not chained and not store.recordings(cycle.id, PLACE):
        return NONE
    tapes = hashed_tapes(store, cycle.id)
    for step, digest in sorted(chained.items()):
        if step >= len(tapes):
            raise TapeMissing(f"{cycle.id}: the tape of step {step} is missing, which the chain has as {digest[:12]}")
        found = tapes[step][1]
        if found != digest:
            raise TapeForged(f"{cycle.id}: the tape of step {step} is {found[:12]}, the chain has it as {digest[:12]}")
    if cycle.stage.terminal and len(tapes) - 1 != max(chained, default=-1):
        raise TapeForged(f"{cycle.id}: its tape goes on behind its end")
    return f"{len(tapes)} steps, {_compared([tape for tape, _ in tapes], records)} effects, as the chain has them"


def _chained(records: Sequence[AuditRecord]) -> dict[int, str]:
    """Return the hash of each tape a transition carries; of a step that was run again, the last one counts."""
    moves = [r.entry.body for r in records if r.entry.kind is RecordKind.TRANSITION]
    return {int(move["step"]): str(move["tape"]) for move in moves if "tape" in move}


def _compared(tapes: Sequence[StepTape], records: Sequence[AuditRecord]) -> int:
    """Compare the effects on tape with their intents in the chain."""
    intents = {r.sequence: r.entry for r in records if r.entry.kind is RecordKind.INTENT}
    compared = 0
    for tape in tapes:
        for call in tape.calls:
            if call.outcome.intent is None or call.decision is None:
                continue
            entry = intents.get(call.outcome.intent)
            if entry is None or (entry.tool, entry.args_hash) != (call.tool, call.args_hash):
                said = f"intent {call.outcome.intent}, {call.tool}"
                raise TapeForged(f"step {tape.step}: the tape names {said}, which the chain does not have")
            compared += 1
    return compared
