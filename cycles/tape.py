"""Recording a step: what it is told from outside goes on one tape, which is kept before the step's move is.

A tape is current in the context of its step. Crews copy contexts into their threads, so what a crew's models answer and
what its tools find lands on the tape of the step that asked; what arrives after the question was given up is dropped,
for nothing was decided by it. A step that died and is run again writes its tape anew, in the same place.
"""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import datetime, timedelta
from functools import cache
from typing import Any, Protocol, TypeVar

from pydantic import BaseModel, TypeAdapter

from adapters.store.base import Recording
from cycles.tape_forms import plain_args, taped_decision, taped_move, taped_outcome
from domain.canonical import canonical_hash, canonical_json, json_ready
from domain.clock import Clock
from domain.cycle import Cycle
from domain.errors import EvercrewError
from domain.receipt import AuditRecord, RecordKind
from domain.stage import StageResult
from domain.tape import (
    KIND,
    MARK,
    Mark,
    StepTape,
    TapedCall,
    TapedFailure,
    TapedProblem,
    TapedQuestion,
    TapedRead,
    TapedReply,
    changes,
    differences,
    micros,
    problem_of,
    told_problem,
)
from tools.ask import Witnessed

V = TypeVar("V")


class Source(Protocol):
    """Where a replay has from what a step was told: asked in place of the world."""

    def read(self, name: str) -> TapedRead:
        """Return what was told under this name, next in order."""
        ...

    def failed(self, name: str, number: int) -> TapedProblem | None:
        """Return why the how-manieth of this name failed, None where it did not."""
        ...


_current: ContextVar[Tape | None] = ContextVar("tape", default=None)
_question: ContextVar[int | None] = ContextVar("question", default=None)
_KINDS = (RecordKind.INTENT, RecordKind.OUTCOME)


def current() -> Tape | None:
    """Return the tape of the step under way in this context, or None outside of one."""
    return _current.get()


def question_number() -> int | None:
    """Return the number of the question that is being asked in this context, None outside of one."""
    return _question.get()


def witness(seen: Witnessed) -> None:
    """Put a call that went through the door on the tape; the gate's witness."""
    tape = _current.get()
    if tape is not None and tape.cycle_id == seen.scope.cycle_id:
        tape.witnessed(seen)


class Tape:
    """One step's tape while it is written. Safe for threads."""

    def __init__(self, cycle: Cycle, mark: Mark, source: Source | None = None) -> None:
        self.cycle_id = cycle.id
        self.mark = mark
        self._source = source
        self._cycle = cycle
        self._lock = threading.Lock()
        self._clock: list[datetime] = []
        self._calls: list[TapedCall] = []
        self._context: Mapping[str, bool | int | str] = {}
        self._questions: list[TapedQuestion] = []
        self._open: set[int] = set()
        self._reads: list[TapedRead] = []
        self._attempts: Counter[str] = Counter()
        self._failed: list[TapedFailure] = []
        self._found: dict[int, dict[str, Any]] = {}
        self._kept: dict[str, dict[str, Any]] = {}
        self._intents: dict[int, int] = {}
        self._examined = mark.seen
        self._places: set[str] = set()
        self._closed = False

    @contextmanager
    def running(self) -> Iterator[Tape]:
        """Make this the current tape; what arrives afterwards is dropped."""
        token = _current.set(self)
        try:
            yield self
        finally:
            _current.reset(token)
            with self._lock:
                self._closed = True

    # -- what a step is told ----------------------------------------------------------------------------------------

    def now(self, moment: datetime) -> None:
        """Note a moment the step read from the clock."""
        with self._lock:
            self._clock.append(moment)

    def witnessed(self, seen: Witnessed) -> None:
        """Note a call."""
        question = _question.get()
        with self._lock:
            if self._closed or (question is not None and question not in self._open):
                return
            context, gone = changes(self._context, seen.context)
            self._context = seen.context
            outcome = taped_outcome(seen)
            self._places.add(outcome.call)
            self._calls.append(
                TapedCall(
                    tool=seen.name,
                    role=seen.actor.role.value,
                    via=seen.actor.via,
                    person=seen.actor.person,
                    args=plain_args(seen.args),
                    args_hash=seen.args_hash,
                    effect=seen.effect.value if seen.effect else "",
                    question=question,
                    turn=0 if question is None else len(self._questions[question].replies),
                    context=context,
                    gone=gone,
                    decision=taped_decision(seen),
                    outcome=outcome,
                )
            )

    @contextmanager
    def asking(self, name: str) -> Iterator[Callable[[BaseModel], None]]:
        """Note a question to a crew; the caller hands the answer over, an error is noted as it passes."""
        with self._lock:
            number = len(self._questions)
            self._questions.append(TapedQuestion(name=name))
            self._open.add(number)
        token = _question.set(number)
        try:
            yield lambda answer: self._ended(number, answer=json_ready(answer.model_dump(mode="json")))
        except EvercrewError as problem:
            self._ended(number, problem=told_problem(problem))
            raise
        finally:
            _question.reset(token)
            with self._lock:
                self._open.discard(number)

    def replied(self, reply: TapedReply) -> None:
        """Note what a model answered, or why it did not."""
        number = _question.get()
        with self._lock:
            if self._closed or number is None or number not in self._open:
                return
            known = self._questions[number]
            self._questions[number] = known.model_copy(update={"replies": (*known.replies, reply)})

    def read(self, name: str, make: Callable[[], V], kind: Any) -> V:
        """Return what `make` returns, as it stands on the tape; in a replay, what it returned then."""
        told = _told(name, make, kind) if self._source is None else self._source.read(name)
        with self._lock:
            self._reads.append(told)
        if told.problem is not None:
            raise problem_of(told.problem)
        found: V = _adapter(kind).validate_python(told.value)
        return found

    def attempt(self, name: str, make: Callable[[], None]) -> None:
        """Do something outside of the door; that it failed is on the tape, and in a replay it fails again."""
        number = self._attempts[name]
        self._attempts[name] += 1
        problem = None if self._source is None else self._source.failed(name, number)
        try:
            if problem is not None:
                raise problem_of(problem)
            make()
        except EvercrewError as failure:
            with self._lock:
                self._failed.append(TapedFailure(name=name, number=number, problem=told_problem(failure)))
            raise

    def saw(self, records: Sequence[AuditRecord]) -> None:
        """Note which of the cycle's records an interrupted run of this step has left."""
        with self._lock:
            self._examined = max([self._examined, *(record.sequence for record in records[-1:])])
            for record in records:
                entry = record.entry
                if record.sequence <= self.mark.seen or entry.kind not in _KINDS:
                    continue
                if entry.kind is RecordKind.INTENT:
                    self._intents[record.sequence] = micros(record.at)
                if f"{entry.stage}/{entry.tool}/{entry.args_hash[:10]}" not in self._places:
                    plain = json_ready(entry.model_dump(mode="json", exclude_defaults=True))
                    self._found[record.sequence] = {"sequence": record.sequence, "entry": plain}

    def held(self, recordings: Sequence[Recording]) -> None:
        """Note which results an interrupted run of this step has left: those on no tape."""
        taped = {c["outcome"].get("call") for r in recordings if r.kind == KIND for c in r.payload.get("calls", ())}
        with self._lock:
            for found in recordings:
                if found.kind == "tool" and found.place not in taped and found.place not in self._places:
                    self._kept[found.place] = {"place": found.place, "payload": dict(found.payload)}

    # -- the whole --------------------------------------------------------------------------------------------------

    def sealed(self, after: Cycle, result: StageResult, rules: str) -> StepTape:
        """Return the tape of the step that ends with `result`."""
        with self._lock:
            return StepTape(
                cycle_id=self.cycle_id,
                step=self.mark.steps,
                stage=self._cycle.stage.value,
                target=self._cycle.target,
                environment=self._cycle.environment,
                previous=self.mark.hash,
                rules=rules,
                state=None if state_hash(self._cycle) == self.mark.state else _state(self._cycle),
                clock=differences(self._clock),
                calls=tuple(self._calls),
                questions=tuple(self._questions),
                reads=tuple(self._reads),
                failed=tuple(self._failed),
                found=tuple(self._found[n] for n in sorted(self._found)),
                kept=tuple(self._kept.values()),
                intents={str(n): at for n, at in sorted(self._intents.items())},
                moved=taped_move(after, result),
            )

    def seen(self) -> int:
        """Return the highest record of the cycle that is accounted for: a stage reads them after every effect."""
        with self._lock:
            return self._examined

    def _ended(self, number: int, **how: Any) -> None:
        with self._lock:
            self._questions[number] = self._questions[number].model_copy(update=how)


class TapedClock:
    """A clock whose readings go on the tape of the step that asks."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def now(self) -> datetime:
        """See `Clock.now`."""
        moment = self._clock.now()
        tape = _current.get()
        if tape is not None:
            tape.now(moment)
        return moment

    def monotonic(self) -> float:
        """See `Clock.monotonic`; durations are measured, nothing is decided by them."""
        return self._clock.monotonic()

    def sleep(self, duration: timedelta) -> None:
        """See `Clock.sleep`."""
        self._clock.sleep(duration)


@cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


def _told(name: str, make: Callable[[], Any], kind: Any) -> TapedRead:
    try:
        return TapedRead(name=name, value=_adapter(kind).dump_python(make(), mode="json"))
    except EvercrewError as problem:
        return TapedRead(name=name, problem=told_problem(problem))


def mark_of(cycle: Cycle) -> Mark:
    """Return how far the tape of a cycle goes."""
    return Mark.model_validate(cycle.facts.get(MARK) or {})


def state_hash(cycle: Cycle) -> str:
    """Return the hash of what steps decide by in a cycle's state; how long they took is none of it."""
    return canonical_hash(_state(cycle))


def hidden(plain: dict[str, Any], secrets: Sequence[str]) -> dict[str, Any]:
    """Return a tape without the given texts: no secret is ever kept."""
    text = canonical_json(plain)
    found = [s for secret in secrets if secret and (s := json.dumps(secret, ensure_ascii=False)[1:-1]) in text]
    for secret in sorted(found, key=len, reverse=True):
        text = text.replace(secret, "[hidden]")
    return dict(json.loads(text)) if found else plain


def _state(cycle: Cycle) -> dict[str, Any]:
    plain = cycle.model_dump(mode="json", exclude={"timings", "updated_at", "facts"})
    return json_ready({**plain, "facts": {name: fact for name, fact in cycle.facts.items() if name != MARK}})
