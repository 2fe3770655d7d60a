"""Replaying a cycle: the same engine and stages, on its tape instead of the world, step by step.

The replay is recorded like any cycle. Its decision log is made from its own tapes, and has to equal, byte by byte, the
log made from the tapes of the original. In a counterfactual something is exchanged (the policies, the gates, the
model), and what is told is the first decision that changes and how far the record applies behind it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Protocol

from adapters.store.base import Recording, StorePort
from cycles.decisions import Line, decided, decision_log, log_text, said, step_lines
from cycles.engine import Engine
from cycles.playback import BeyondRecord, Parting, Playback
from cycles.replay_parts import MirrorAudit, ReplayGate
from cycles.shelf import TapeMissing, read_tape
from domain.cycle import Cycle
from domain.receipt import AuditEntry
from domain.stage import Stage
from domain.tape import MARK, StepTape, moment_of, place_of


class SeededStore(StorePort, Protocol):
    """A store whose cycles can be put as they were."""

    def seed(self, cycle: Cycle) -> None:
        """Put a cycle, whatever stood there before."""
        ...


@dataclass(frozen=True)
class Theatre:
    """What a replay runs on: an engine whose world is the playback."""

    engine: Engine
    playback: Playback
    gate: ReplayGate
    store: SeededStore
    audit: MirrorAudit


@dataclass(frozen=True)
class Replayed:
    """What came of a replay.

    `recorded` and `replayed` are the two decision logs, `partings` where they differ, first one first; `beyond` is what
    the record could not tell, when the replay ended there.
    """

    cycle_id: str
    recorded: Sequence[Line]
    replayed: Sequence[Line]
    partings: Sequence[Parting]
    notes: Sequence[str] = ()
    beyond: str = ""

    @property
    def same(self) -> bool:
        """Whether both logs are the same, byte by byte."""
        return not self.partings and log_text(self.recorded) == log_text(self.replayed)


def replay(tapes: Sequence[StepTape], theatre: Theatre) -> Replayed:
    """Replay a cycle by its tapes, to its end or to where its record does not apply any more."""
    playback, lines = theatre.playback, list[Line]()
    verdicts: dict[str, str] = {}
    stage = tapes[0].stage
    for number in range(len(tapes) + 1):
        tape = tapes[number] if number < len(tapes) and not playback.parted else None
        if Stage(stage).terminal or (tape is None and not playback.parted):
            break
        playback.load(tape, number, stage)
        made = _step(tape, number, tapes[0].cycle_id, theatre)
        if made is None:
            break
        lines += step_lines(made, verdicts)
        verdicts, stage = dict(made.moved.verdicts), made.moved.next
        if tape is not None and not playback.parted:
            before = dict(tapes[number - 1].moved.verdicts) if number else {}
            _compare(tape, made, before, playback)
        if playback.parted and playback.strict:
            break
    return Replayed(
        cycle_id=tapes[0].cycle_id,
        recorded=decision_log(tapes),
        replayed=lines,
        partings=tuple(playback.partings),
        notes=tuple(playback.notes),
        beyond=playback.beyond,
    )


def _step(tape: StepTape | None, number: int, cycle_id: str, theatre: Theatre) -> StepTape | None:
    """Run one step, and return its new tape; None where it went beyond the record."""
    if tape is not None:
        _found(tape, theatre)
    try:
        theatre.engine.advance(cycle_id)
    except BeyondRecord:
        return None
    place = place_of(number)
    [made] = [r for r in theatre.store.recordings(cycle_id, place) if r.place == place]
    return read_tape(made.payload, place)


def _found(tape: StepTape, theatre: Theatre) -> None:
    """Put everything as the step had found it: what an interrupted run of it had left, what people had asked for."""
    theatre.gate.intents = {number: moment_of(at) for number, at in tape.intents.items()}
    if tape.state is not None:
        known = theatre.store.cycle(tape.cycle_id)
        mark = {MARK: known.facts[MARK]} if known is not None and MARK in known.facts else {}
        state = {**tape.state, "updated_at": tape.state["opened_at"]}
        state["facts"] = {**state["facts"], **mark}
        theatre.store.seed(Cycle.model_validate(state))
    for found in tape.found:
        entry = AuditEntry.model_validate(found["entry"])
        at = theatre.gate.intents.get(str(found["sequence"]))
        theatre.audit.mirror(entry, int(found["sequence"]), at)
    for kept in tape.kept:
        recording = Recording(cycle_id=tape.cycle_id, place=kept["place"], kind="tool", payload=kept["payload"])
        theatre.store.record(recording)


def _compare(then: StepTape, now: StepTape, before: dict[str, str], playback: Playback) -> None:
    """Note the first difference of a step that came to its end both times."""
    pairs = zip_longest(step_lines(then, before), step_lines(now, before))
    for recorded, replayed in pairs:
        if not _equal(recorded, replayed, playback):
            why = str(replayed.get("reason", "")) if replayed else ""
            playback.part(said(recorded), said(replayed), why)
            return
    left = playback.leftovers()
    if left and playback.strict:
        playback.part(left, "it is not asked for any more", "the code is another one")


def _equal(recorded: Line | None, replayed: Line | None, playback: Playback) -> bool:
    if recorded is None or replayed is None:
        return recorded is replayed
    return recorded == replayed if playback.strict else decided(recorded) == decided(replayed)


def require(tapes: Sequence[StepTape], cycle: Cycle) -> None:
    """Return when the tapes go from the first step of the cycle to where it stands.

    Raises:
        TapeMissing: it was under way before its steps were recorded.
    """
    if tapes[0].stage != Stage.OBSERVE.value:
        raise TapeMissing(f"{cycle.id} is recorded from {tapes[0].stage} on only: it began before steps were recorded")
