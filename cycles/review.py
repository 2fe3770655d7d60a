"""What happened in a cycle, as a tree for whoever audits it: from the audit chain, the tape and the store alone.

It has the shape of the cycle's trace (cycle, stage, crew, task, model call, tool call, decision), and needs none of the
services traces are sent to. Where tape and chain speak of the same call, the chain says when, and by which records.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from itertools import groupby
from typing import Any

from adapters.audit.base import AuditPort
from adapters.store.base import StorePort
from cycles.reviewed import Review, Reviewed
from cycles.shelf import TapeForged, TapeMissing, tapes_of
from cycles.tracing import name_of
from domain.cycle import Cycle
from domain.errors import InvalidInput
from domain.receipt import AuditRecord, RecordKind
from domain.tape import StepTape, TapedCall, TapedQuestion, TapedReply
from domain.trace import CHAIN, DECISION, MODEL, ROOT, TOOL, trace_id_of
from tools.tracing import DOOR

_EFFECTS = (RecordKind.INTENT, RecordKind.OUTCOME)
_READS = (RecordKind.READ, RecordKind.REFUSAL)


def review(cycle_id: str, store: StorePort, audit: AuditPort) -> Review:
    """Return what happened in a cycle.

    Raises:
        InvalidInput: there is no such cycle. AuditUnavailable, DependencyUnavailable: the record cannot be read.
    """
    cycle = store.cycle(cycle_id)
    if cycle is None:
        raise InvalidInput("cycle_id", f"{cycle_id} is not a cycle", "See `evercrew cycles list`")
    records, notes = list(audit.records(cycle_id)), list[str]()
    try:
        tapes: Sequence[StepTape] = tapes_of(store, cycle_id)
        notes.append(f"{len(tapes)} steps on tape, each linked to the one before")
    except TapeMissing as problem:
        tapes = ()
        notes.append(f"no tape, so models and crews are not shown: {problem}")
    except TapeForged as problem:
        tapes = ()
        notes.append(f"! the tape is not the one that was written: {problem}")
    return _Reviewing(cycle, records).whole(tapes, notes)


class _Reviewing:
    """Puts tape and chain together; every record is told once."""

    def __init__(self, cycle: Cycle, records: Sequence[AuditRecord]) -> None:
        self._cycle = cycle
        self._trace = trace_id_of(cycle.id, cycle.opened_at)
        self._records = {record.sequence: record for record in records}
        self._untold = {n: r for n, r in self._records.items() if r.entry.tool and r.entry.kind in (*_EFFECTS, *_READS)}

    def whole(self, tapes: Sequence[StepTape], notes: list[str]) -> Review:
        """Return the review."""
        stages = [self._stage(list(steps)) for _, steps in groupby(tapes, key=lambda tape: tape.stage)]
        left = self._left()
        notes += self._linked()
        children = _by_time([*stages, *self._people(), *left])
        cycle, outcome = self._cycle, self._cycle.outcome
        ended = cycle.stage.terminal
        tree = Reviewed(
            name=ROOT,
            kind=CHAIN,
            answer=outcome.value if outcome else cycle.stage.value,
            reason=cycle.reason,
            at=cycle.opened_at,
            seconds=(cycle.updated_at - cycle.opened_at).total_seconds() if ended else None,
            **_sums(children),
            content={
                "signal": cycle.alert.signal,
                "alert": cycle.alert.name,
                "target": cycle.target,
                "environment": cycle.environment,
            },
            children=children,
        )
        verified = bool(outcome and outcome.verified)
        return Review(
            cycle_id=cycle.id,
            trace_id=self._trace,
            outcome=tree.answer,
            verified=verified,
            tree=tree,
            notes=tuple(notes),
        )

    def _stage(self, steps: Sequence[StepTape]) -> Reviewed:
        told = [self._step(step) for step in steps]
        if len(told) == 1:
            return told[0]
        last = told[-1]
        seconds = [step.seconds for step in told if step.seconds is not None]
        worked = sum(seconds) if seconds else None
        children = tuple(step.model_copy(update={"name": f"look {n}"}) for n, step in enumerate(told, start=1))
        named = Reviewed(name=name_of(steps[0].stage), kind=CHAIN, answer=last.answer, reason=last.reason)
        return named.model_copy(update={"at": told[0].at, "seconds": worked, "children": children, **_sums(children)})

    def _step(self, tape: StepTape) -> Reviewed:
        moments = tape.moments()
        parts = [self._question(n, question, tape) for n, question in enumerate(tape.questions)]
        own = [self._call(call) for call in tape.calls if call.question is None]
        children = _by_time([*parts, *own])
        moved = next((r for r in self._records.values() if r.entry.body.get("step") == tape.step and _is_move(r)), None)
        at = moments[0] if moments else min((c.at for c in children if c.at), default=None)
        until = moved.at if moved is not None else max((m for m in moments), default=at)
        return Reviewed(
            name=name_of(tape.stage),
            kind=CHAIN,
            answer=f"-> {tape.moved.next}",
            reason=tape.moved.reason,
            at=at,
            seconds=max((until - at).total_seconds(), 0.0) if at and until else None,
            records=(moved.sequence,) if moved is not None else (),
            content={"step": tape.step, "verdicts": dict(tape.moved.verdicts)},
            children=children,
            **_sums(children),
        )

    # -- crews --------------------------------------------------------------------------------------------------------

    def _question(self, number: int, question: TapedQuestion, tape: StepTape) -> Reviewed:
        """Return a crew: its tasks in the order their models first answered, each with its answers and calls."""
        calls = [call for call in tape.calls if call.question == number]
        tasks: dict[str, list[Reviewed]] = {}
        turn = 0
        for turn, reply in enumerate(question.replies, start=1):
            of_task = tasks.setdefault(reply.task, [])
            of_task.append(_reply(reply))
            of_task += [self._call(call) for call in calls if call.turn == turn]
        early = [self._call(call) for call in calls if call.turn == 0 or call.turn > turn]
        children = [
            Reviewed(name=f"task {task}", kind=CHAIN, at=_first(parts), children=tuple(parts), **_sums(parts))
            for task, parts in tasks.items()
        ]
        answer = dict(question.answer or {})
        whole = (*early, *children)
        return Reviewed(
            name=f"crew {question.name}",
            kind=CHAIN,
            answer="answered" if question.answer is not None else "no answer",
            reason=str(question.problem) if question.problem is not None else str(answer.get("stopped", "")),
            at=_first(whole),
            tokens=answer.get("tokens"),
            cost_usd=answer.get("cost_usd"),
            content={"answer": answer.get("value"), "prompts": answer.get("prompts", {})},
            children=whole,
        )

    # -- calls --------------------------------------------------------------------------------------------------------

    def _call(self, call: TapedCall) -> Reviewed:
        records = self._of(call)
        for record in records:
            self._untold.pop(record.sequence, None)
        at = records[0].at if records else None
        seconds = (records[-1].at - records[0].at).total_seconds() if len(records) > 1 else None
        decision = call.decision
        door = Reviewed(
            name=DOOR,
            kind=DECISION,
            answer=decision.answer.value if decision else "not asked",
            reason=decision.reason if decision else "",
            at=at,
            policies=decision.policies if decision else (),
            policy_hash=decision.policy_hash if decision else "",
        )
        return Reviewed(
            name=call.tool,
            kind=TOOL,
            who=call.actor,
            answer=call.outcome.said,
            reason=call.outcome.reason,
            at=at,
            seconds=seconds,
            records=tuple(record.sequence for record in records),
            content={"args": call.args, "permit": call.outcome.permit, "repeated": call.outcome.repeated},
            children=(door,),
        )

    def _of(self, call: TapedCall) -> list[AuditRecord]:
        """Return the records of a call: intent and outcome by number, others the first of its kind not told yet."""
        numbers = [n for n in (call.outcome.intent, call.outcome.outcome) if n is not None]
        if numbers:
            return [self._records[n] for n in numbers if n in self._records]
        same = [r for r in self._untold.values() if r.entry.tool == call.tool and r.entry.args_hash == call.args_hash]
        if call.outcome.came == "failed":
            return [r for r in same if r.entry.kind in _EFFECTS][:2]
        return [r for r in same if r.entry.kind in _READS][:1]

    # -- what is on no tape -------------------------------------------------------------------------------------------

    def _left(self) -> list[Reviewed]:
        """Return calls that only the chain knows: of a step under way, or of a process that was interrupted."""
        return [
            Reviewed(
                name=record.entry.tool,
                kind=TOOL,
                who=record.entry.actor,
                answer=f"{record.entry.kind.value} {record.entry.status}".rstrip(),
                reason="on no tape: of a step under way, or of a process that was interrupted",
                at=record.at,
                policies=record.entry.policies,
                policy_hash=record.entry.policy_hash,
                records=(record.sequence,),
            )
            for record in self._untold.values()
        ]

    def _people(self) -> list[Reviewed]:
        """Return what people said of the cycle, and what was noted of them."""
        said = [r for r in self._records.values() if r.entry.kind is RecordKind.NOTE and _by_a_person(r)]
        return [
            Reviewed(
                name=record.entry.status or "note",
                kind=CHAIN,
                who=record.entry.actor,
                answer=record.entry.decision,
                reason=str(record.entry.body.get("reason", "")),
                at=record.at,
                records=(record.sequence,),
            )
            for record in said
        ]

    def _linked(self) -> list[str]:
        named = [r.sequence for r in self._records.values() if r.entry.trace_id]
        other = [r.sequence for r in self._records.values() if r.entry.trace_id not in ("", self._trace)]
        broken = [r.sequence for r in self._records.values() if not r.intact()]
        notes = [f"{len(self._records)} records in the audit chain, {len(named)} of them name this trace"]
        if other:
            notes.append(f"! records {other[:5]} name another trace")
        if broken:
            notes.append(f"! records {broken[:5]} do not have the hash of their content")
        return notes


def _reply(reply: TapedReply) -> Reviewed:
    calls = [str(call.get("name", "")) for call in reply.tool_calls]
    return Reviewed(
        name=reply.task,
        kind=MODEL,
        who=reply.chat,
        model=reply.model,
        answer=str(reply.problem.kind) if reply.problem else (f"asks {', '.join(calls)}" if calls else "answers"),
        reason="; ".join(reply.fell_back) or (str(reply.problem) if reply.problem else ""),
        tokens=reply.tokens,
        cost_usd=reply.cost_usd,
        content={"text": reply.text, "asked": reply.asked},
    )


def _is_move(record: AuditRecord) -> bool:
    return record.entry.kind is RecordKind.TRANSITION


def _by_a_person(record: AuditRecord) -> bool:
    return bool(record.entry.actor) and record.entry.actor != "engine" and "/" not in record.entry.actor


def _first(parts: Iterable[Reviewed]) -> datetime | None:
    return min((part.at for part in parts if part.at is not None), default=None)


def _by_time(parts: Sequence[Reviewed]) -> tuple[Reviewed, ...]:
    """Return parts by time; one without a time stays behind the one it stood behind."""
    keyed, last = list[tuple[datetime | None, int, Reviewed]](), None
    for number, part in enumerate(parts):
        last = part.at or last
        keyed.append((last, number, part))
    known = [moment for moment, _, _ in keyed if moment is not None]
    start = min(known, default=None)
    if start is None:
        return tuple(parts)
    return tuple(part for _, _, part in sorted(keyed, key=lambda row: (row[0] or start, row[1])))


def _sums(parts: Iterable[Reviewed]) -> dict[str, Any]:
    listed = list(parts)
    tokens = [part.tokens for part in listed if part.tokens is not None]
    costs = [part.cost_usd for part in listed if part.cost_usd is not None]
    return {"tokens": sum(tokens) if tokens else None, "cost_usd": sum(costs) if costs else None}
