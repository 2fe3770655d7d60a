"""The tape of a cycle: everything a step decided by that is no pure function of the steps before it.

One `StepTape` a step of the engine. Tapes are linked by their hashes, and every transition of the cycle carries the
hash of the last one into the audit chain, so that one that is forged, missing or out of order is found.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from domain import errors
from domain.canonical import canonical_hash, json_ready
from domain.decision import Answer
from domain.errors import DependencyError, DependencyLied, EvercrewError, InvalidInput

FORMAT = 1
# Where a step's tape is kept among the recordings of its cycle, and the kind of that recording.
PLACE = "step/"
KIND = "step"
# The fact under which a cycle keeps how far its tape goes.
MARK = "tape"

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class _Taped(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class TapedDecision(_Taped):
    """What the policies said of a call. Without a hash no set of policies was asked."""

    answer: Answer
    policies: tuple[str, ...] = ()
    policy_hash: str = ""
    reason: str = ""


class TapedOutcome(_Taped):
    """What came of a call. `word` is the kind of a refusal or the class of a failure.

    The result is here, or kept as the recording `kept` is the hash of. `intent`, `outcome` and `permit` are those of
    the receipt; a read has none.
    """

    came: Literal["done", "refused", "failed"]
    call: str = ""
    word: str = ""
    reason: str = ""
    unknown: bool = False
    result: Any = None
    kept: str = ""
    intent: int | None = None
    outcome: int | None = None
    permit: str = ""
    repeated: bool = False

    @property
    def said(self) -> str:
        """The outcome in a word: done, refused (denied), failed (DependencyTimeout)."""
        return f"{self.came} ({self.word})" if self.word else self.came


class TapedCall(_Taped):
    """One call that went through the door.

    `question` numbers the question of the step a crew made it for, None for the stage's own calls, and `turn` is how
    many answers models had given to it by then. `context` is what changed of the decision context since the call before
    on this tape, `gone` what is no longer in it.
    """

    tool: str
    role: str
    via: str = "stage"
    person: str | None = None
    args: Any = None
    args_hash: str = ""
    effect: str = ""
    question: int | None = None
    turn: int = 0
    context: Mapping[str, bool | int | str] = Field(default_factory=dict)
    gone: tuple[str, ...] = ()
    decision: TapedDecision | None = None
    outcome: TapedOutcome

    @property
    def actor(self) -> str:
        """Who asked, as the audit has it."""
        return self.person or f"{self.role}/{self.via}"


class TapedProblem(_Taped):
    """An error of the error tree: its class, and what it was made from."""

    kind: str
    parts: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.kind}: {': '.join(self.parts[:2])}"


class TapedReply(_Taped):
    """One answer of a model, or why there was none.

    `asked` is the start of the hash of what the model was shown; `fell_back` why another model stepped in.
    """

    chat: str
    task: str
    asked: str
    text: str = ""
    tool_calls: tuple[Mapping[str, Any], ...] = ()
    model: str = ""
    tokens: int | None = None
    cost_usd: float = 0.0
    fell_back: tuple[str, ...] = ()
    problem: TapedProblem | None = None


class TapedQuestion(_Taped):
    """One question a stage asked a crew: the replies of its models in order, and the answer or the error."""

    name: str
    replies: tuple[TapedReply, ...] = ()
    answer: Mapping[str, Any] | None = None
    problem: TapedProblem | None = None


class TapedRead(_Taped):
    """One more thing a step was told from outside of the door, by name; `problem` where it could not be told."""

    name: str
    value: Any = None
    problem: TapedProblem | None = None


class TapedFailure(_Taped):
    """Something a step did outside of the door, and could not: the how-manieth of its name, from 0, and why."""

    name: str
    number: int
    problem: TapedProblem


class TapedMove(_Taped):
    """How a step ended."""

    next: str
    reason: str
    wait_s: float = 0.0
    action: str | None = None
    outcome: str | None = None
    verdicts: Mapping[str, str] = Field(default_factory=dict)


class StepTape(_Taped):
    """One step of the engine.

    `previous` is the hash of the tape before it. `state` is the cycle as the step found it, where that is not how the
    step before had left it (the first step, a crash in between, a person's request). `clock` are the moments the step
    read, in microseconds: the first since 1970 (UTC), the others since the one before. `found` are the audit records,
    `kept` the recordings, that an interrupted run of the step had left; `intents` are the moments of intents.
    """

    format: int = FORMAT
    cycle_id: str
    step: int
    stage: str
    target: str
    environment: str
    previous: str = ""
    rules: str = ""
    state: Mapping[str, Any] | None = None
    clock: tuple[int, ...] = ()
    calls: tuple[TapedCall, ...] = ()
    questions: tuple[TapedQuestion, ...] = ()
    reads: tuple[TapedRead, ...] = ()
    failed: tuple[TapedFailure, ...] = ()
    found: tuple[Mapping[str, Any], ...] = ()
    kept: tuple[Mapping[str, Any], ...] = ()
    intents: Mapping[str, int] = Field(default_factory=dict)
    moved: TapedMove

    @property
    def place(self) -> str:
        """Where it is kept."""
        return place_of(self.step)

    def contexts(self) -> list[dict[str, bool | int | str]]:
        """Return the whole decision context of each call."""
        whole: list[dict[str, bool | int | str]] = []
        last: dict[str, bool | int | str] = {}
        for call in self.calls:
            last = {**{k: v for k, v in last.items() if k not in call.gone}, **call.context}
            whole.append(last)
        return whole

    def moments(self) -> list[datetime]:
        """Return the moments the step read."""
        whole: list[datetime] = []
        total = 0
        for part in self.clock:
            total += part
            whole.append(_EPOCH + timedelta(microseconds=total))
        return whole


class Mark(_Taped):
    """How far the tape of a cycle goes: its steps, the hash of the last, and of the state it left the cycle in.

    `seen` is the highest audit record of the cycle that a step has looked at.
    """

    steps: int = 0
    hash: str = ""
    state: str = ""
    seen: int = 0


def place_of(step: int) -> str:
    """Return where the tape of a step is kept."""
    return f"{PLACE}{step:05d}"


def micros(moment: datetime) -> int:
    """Return a moment as microseconds since 1970 (UTC)."""
    return (moment - _EPOCH) // timedelta(microseconds=1)


def moment_of(since_1970: int) -> datetime:
    """Return the moment of so many microseconds since 1970 (UTC)."""
    return _EPOCH + timedelta(microseconds=since_1970)


def plain_tape(tape: StepTape) -> dict[str, Any]:
    """Return a tape as plain JSON, without what is at its default."""
    return {"format": tape.format, **json_ready(tape.model_dump(mode="json", exclude_defaults=True))}


def tape_hash(payload: Mapping[str, Any]) -> str:
    """Return the hash of a tape as it is kept."""
    return canonical_hash(payload)


def changes(
    before: Mapping[str, bool | int | str], after: Mapping[str, bool | int | str]
) -> tuple[dict[str, bool | int | str], tuple[str, ...]]:
    """Return what is new or other in `after`, and what is no longer there."""
    new = {k: v for k, v in after.items() if k not in before or before[k] != v or type(before[k]) is not type(v)}
    return new, tuple(sorted(before.keys() - after.keys()))


def differences(moments: Sequence[datetime]) -> tuple[int, ...]:
    """Return moments as a tape keeps them."""
    whole = [micros(moment) for moment in moments]
    return tuple(now - before for now, before in zip(whole, [0, *whole], strict=False))


def told_problem(problem: EvercrewError) -> TapedProblem:
    """Return an error as a tape keeps it: by the nearest class of the error tree itself."""
    kind = next(k for k in type(problem).__mro__ if getattr(errors, k.__name__, None) is k)
    match problem:
        case DependencyError():
            parts: tuple[str, ...] = (problem.dependency, problem.problem, problem.remedy)
        case InvalidInput():
            parts = (problem.field, problem.problem, problem.remedy)
        case _:
            parts = (str(problem),)
    return TapedProblem(kind=kind.__name__, parts=parts)


def problem_of(taped: TapedProblem) -> EvercrewError:
    """Return the error that was taped."""
    kind = getattr(errors, taped.kind, None)
    if not (isinstance(kind, type) and issubclass(kind, EvercrewError)):
        return DependencyLied("tape", f"{taped.kind} is no error of ours")
    return kind(*taped.parts)
