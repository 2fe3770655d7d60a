"""`quarantine_feedback`: taking judgements that cannot be believed out of metrics and training."""

from __future__ import annotations

from pydantic import AwareDatetime, Field

from adapters.platform.base import EFFECT_QUARANTINE, PlatformPort
from domain.decision import Effect
from domain.observation import Observation
from tools.tool import Arguments, Call, Result, Tool, ToolSpec


class QuarantineArgs(Arguments):
    """From when on (and until when; None: from now on too), by which rule of the platform."""

    since: AwareDatetime
    until: AwareDatetime | None = None
    rule: str = Field(default="implausible", pattern=r"^[a-z_]+$")


class Quarantined(Result):
    """How many judgements are in quarantine under this call."""

    quarantined: int


class QuarantineFeedback(Tool[QuarantineArgs, Quarantined]):
    """Asks the platform's feedback pipeline to set damaged judgements aside."""

    spec = ToolSpec(
        "quarantine_feedback",
        "Set judgements that disagree with what users did aside, so that metrics and training stop using them.",
        effect=Effect.WRITE,
        effects=(EFFECT_QUARANTINE,),
    )
    input = QuarantineArgs
    output = Quarantined

    def __init__(self, platform: PlatformPort) -> None:
        self._platform = platform

    def run(self, args: QuarantineArgs, call: Call) -> Quarantined:
        count = self._platform.quarantine(
            since=args.since, until=args.until, rule=args.rule, key=call.key, permit=call.permit
        )
        return Quarantined(quarantined=count)

    def observe(self, args: QuarantineArgs, call: Call) -> Observation:
        return self._platform.observe(call.key)
