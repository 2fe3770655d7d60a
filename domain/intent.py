"""What an operator may ask of Evercrew: a closed set of typed intents, whoever understood the sentence.

An intent is all that ever comes of a sentence. Its slots are names Evercrew knows, identities of a fixed form, numbers
within bounds, and absolute times; no free text of the sentence stands in any slot that something is looked up or done
by. A question answers itself; a write is only ever proposed (`domain.proposal`).
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    TypeAdapter,
    ValidationError,
    model_serializer,
    model_validator,
)

from domain.access import ApiAction
from domain.errors import InvalidInput

CycleId = Annotated[str, Field(pattern=r"^si_\d{4}_\d{2}_\d{2}_\d{3,6}$")]
ApprovalId = Annotated[str, Field(pattern=r"^ap_[0-9a-f]{4,24}$")]
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,63}$")]
Subject = Annotated[str, Field(pattern=r"^[\w][\w .&+/-]{0,79}$")]
Place = Literal["dev", "staging", "production"]
Target = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,119}$")]
EVERYWHERE = "all"


class Kind(StrEnum):
    """The names of the intents."""

    EXPLAIN = "explain"
    STATUS = "status"
    WHY = "why_action"
    COST = "cost_estimate"
    SPENT = "cost_spent"
    WAITING = "waiting"
    HISTORY = "history"
    CYCLES = "list_cycles"
    CYCLE = "show_cycle"
    WHAT_WOULD = "what_would"
    POLICY = "policy"
    REPORT = "report"
    HELP = "help"
    OPEN = "open_cycle"
    STOP = "stop"
    START = "start"
    ROLL_BACK = "rollback"
    CANCEL = "cancel"
    RESUME = "resume"
    APPROVE = "approve"
    DENY = "deny"
    FLAG = "set_flag"
    OVERRIDE = "override_gate"


class Period(BaseModel):
    """From `start` up to `end`, absolute and with a zone; `said` is how it was put, as one of our own words."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    start: datetime
    end: datetime
    said: str = Field(default="", max_length=60)

    @model_validator(mode="after")
    def _in_order(self) -> Period:
        if self.start.tzinfo is None or self.end.tzinfo is None or self.end < self.start:
            raise ValueError("a period has a zone and does not end before it starts")
        return self

    def absolute(self) -> str:
        """Return it in absolute times, e.g. ``2026-01-31 00:00 to 2026-02-01 00:00 UTC``."""
        return f"{self.start:%Y-%m-%d %H:%M} to {self.end:%Y-%m-%d %H:%M} UTC"


class Intent(BaseModel):
    """Base of all intents."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class _OfTarget(Intent):
    """About one target, which is named where there are several."""

    target: Target | None = None

    @model_serializer(mode="wrap")
    def _unnamed(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out a target that is not named: with one target an order is what it always was, and so is its hash."""
        whole: dict[str, Any] = handler(self)
        return {name: value for name, value in whole.items() if name != "target" or value is not None}


class Explain(Intent):
    """Why does a signal stand as it does?"""

    kind: Literal[Kind.EXPLAIN] = Kind.EXPLAIN
    signal: Name | None = None
    period: Period | None = None


class Status(Intent):
    """How is it, here or everywhere?"""

    kind: Literal[Kind.STATUS] = Kind.STATUS
    environment: Place | None = None


class WhyAction(Intent):
    """Why did the crew do (or not do) this?"""

    kind: Literal[Kind.WHY] = Kind.WHY
    cycle: CycleId | None = None
    action: Name | None = None
    period: Period | None = None


class CostEstimate(Intent):
    """What would it cost?"""

    kind: Literal[Kind.COST] = Kind.COST
    cycle: CycleId | None = None
    action: Name | None = None


class CostSpent(Intent):
    """What was spent?"""

    kind: Literal[Kind.SPENT] = Kind.SPENT
    cycle: CycleId | None = None
    period: Period | None = None


class Waiting(Intent):
    """What waits for people?"""

    kind: Literal[Kind.WAITING] = Kind.WAITING


class History(Intent):
    """What happened?"""

    kind: Literal[Kind.HISTORY] = Kind.HISTORY
    period: Period | None = None


class ListCycles(Intent):
    """Which cycles are there?"""

    kind: Literal[Kind.CYCLES] = Kind.CYCLES
    open_only: bool = False
    period: Period | None = None


class ShowCycle(Intent):
    """What of this cycle?"""

    kind: Literal[Kind.CYCLE] = Kind.CYCLE
    cycle: CycleId


class WhatWould(Intent):
    """What would it do if?"""

    kind: Literal[Kind.WHAT_WOULD] = Kind.WHAT_WOULD
    signal: Name | None = None


class PolicyQuestion(Intent):
    """Who may do what?"""

    kind: Literal[Kind.POLICY] = Kind.POLICY
    tool: Name | None = None
    environment: Place | None = None


class Report(Intent):
    """Give me the report."""

    kind: Literal[Kind.REPORT] = Kind.REPORT
    cycle: CycleId | None = None
    period: Period | None = None


class Help(Intent):
    """What can I say?"""

    kind: Literal[Kind.HELP] = Kind.HELP


class OpenCycle(_OfTarget):
    """Work on something now, within these bounds; see `domain.wish`."""

    kind: Literal[Kind.OPEN] = Kind.OPEN
    action: Literal["diagnose", "retrain"]
    signal: Name | None = None
    model: Name | None = None
    new_subjects: bool = False
    subjects: tuple[Subject, ...] = Field(default=(), max_length=20)
    do_not_promote: bool = False
    only_diagnose: bool = False
    at_most_usd: float | None = Field(default=None, gt=0, allow_inf_nan=False)


class _Switch(Intent):
    environment: Place | Literal["all"]
    agent: Name | None = None
    tool: Name | None = None

    @model_validator(mode="after")
    def _one(self) -> _Switch:
        if self.agent and self.tool:
            raise ValueError("a switch is of a role or of a tool, not of both")
        return self


class Stop(_Switch):
    """Throw the kill switch."""

    kind: Literal[Kind.STOP] = Kind.STOP


class Start(_Switch):
    """Lift the kill switch."""

    kind: Literal[Kind.START] = Kind.START


class Destination(BaseModel):
    """Where a rollback leads to: a gold baseline, the end of a day (UTC), or a revision of the values."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    how: Literal["gold", "day", "version"]
    value: str = Field(pattern=r"^(gold(/\d{4}-\d{2}-\d{2}-\d{1,4})?|\d{4}-\d{2}-\d{2}|[0-9a-f]{7,40})$")


class RollBack(_OfTarget):
    """Bring back what stood before."""

    kind: Literal[Kind.ROLL_BACK] = Kind.ROLL_BACK
    environment: Place
    to: Destination


class Cancel(Intent):
    """End a cycle at its next step."""

    kind: Literal[Kind.CANCEL] = Kind.CANCEL
    cycle: CycleId


class Resume(Intent):
    """Go on with a cycle."""

    kind: Literal[Kind.RESUME] = Kind.RESUME
    cycle: CycleId


class Approve(Intent):
    """Vote for a call that waits."""

    kind: Literal[Kind.APPROVE] = Kind.APPROVE
    approval: ApprovalId


class Deny(Intent):
    """Vote against a call that waits; the reason is what the crew reads."""

    kind: Literal[Kind.DENY] = Kind.DENY
    approval: ApprovalId
    reason: str = Field(default="", max_length=500)


class SetFlag(Intent):
    """Switch a feature on or off."""

    kind: Literal[Kind.FLAG] = Kind.FLAG
    flag: Name
    enabled: bool
    environment: Place | Literal["all"]


class OverrideGate(Intent):
    """For a while, another number in place of a gate's."""

    kind: Literal[Kind.OVERRIDE] = Kind.OVERRIDE
    gate: Name
    threshold: float = Field(allow_inf_nan=False)
    environment: Place
    hours: float = Field(gt=0, le=720)


AnyIntent = Annotated[
    Explain
    | Status
    | WhyAction
    | CostEstimate
    | CostSpent
    | Waiting
    | History
    | ListCycles
    | ShowCycle
    | WhatWould
    | PolicyQuestion
    | Report
    | Help
    | OpenCycle
    | Stop
    | Start
    | RollBack
    | Cancel
    | Resume
    | Approve
    | Deny
    | SetFlag
    | OverrideGate,
    Field(discriminator="kind"),
]
_ANY: TypeAdapter[Any] = TypeAdapter(AnyIntent)

# A question is not here; a write is, with what whoever wants it has to be allowed.
WRITES: dict[Kind, ApiAction] = {
    Kind.OPEN: ApiAction.OPEN_CYCLE,
    Kind.STOP: ApiAction.STOP,
    Kind.START: ApiAction.START,
    Kind.ROLL_BACK: ApiAction.ROLLBACK,
    Kind.CANCEL: ApiAction.CANCEL_CYCLE,
    Kind.RESUME: ApiAction.RESUME_CYCLE,
    Kind.APPROVE: ApiAction.VOTE,
    Kind.DENY: ApiAction.VOTE,
    Kind.FLAG: ApiAction.SET_FLAG,
    Kind.OVERRIDE: ApiAction.OVERRIDE_GATE,
}
# What cannot simply be said the other way round afterwards: nobody confirms these without looking.
IRREVERSIBLE = frozenset({Kind.ROLL_BACK, Kind.APPROVE, Kind.DENY, Kind.START, Kind.OVERRIDE, Kind.CANCEL})


# Orders that cannot be limited to one of several targets.
OF_ALL_TARGETS = frozenset({Kind.STOP, Kind.START, Kind.FLAG, Kind.OVERRIDE})


def is_write(intent: Intent) -> bool:
    """Whether it would change something."""
    return kind_of(intent) in WRITES


def kind_of(intent: Intent) -> Kind:
    """Return which of the intents it is."""
    return Kind(intent.kind)  # type: ignore[attr-defined]


def needed(intent: Intent) -> ApiAction:
    """Return what whoever asks has to be allowed: a question needs no more than to look."""
    return WRITES.get(kind_of(intent), ApiAction.VIEW)


def intent_of(value: Any) -> Intent:
    """Return the intent that plain JSON stands for.

    Raises:
        InvalidInput: it is none of the set, or a slot holds what it cannot; names the slot.
    """
    try:
        found: Intent = _ANY.validate_python(value)
    except ValidationError as problem:
        first = problem.errors()[0]
        field = ".".join(str(part) for part in first["loc"]) or "intent"
        raise InvalidInput(
            f"intent.{field}"[:100], first["msg"][:200], "Use one of the intents of docs/chat.md"
        ) from None
    return found
