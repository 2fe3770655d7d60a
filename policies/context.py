"""The context a policy decision needs, complete: a field that is missing is a mistake here, not a hole in a policy."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from domain.verdict import Verdict
from policies.flags import FlagSet


class CycleFacts(BaseModel):
    """What is true of the cycle and of the day when a call is asked for. Money in US cents, the hour in UTC.

    `cycles_today` counts this cycle too; `approved` says that a person approved exactly this call; a verdict of a gate
    that was not asked is `insufficient`; `approval_needed` that the contract wants a
    person's approval for what the signal leads to; `watch_silences` is the environment's word on silencing alerts.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    stage: str
    cycles_today: int = Field(ge=0)
    max_cycles_per_day: int = Field(ge=0)
    budget_left_cents: int
    hour: int = Field(ge=0, le=23)
    calls: int = Field(ge=0)
    tombstoned: bool
    approved: bool = False
    approval_needed: bool = False
    watch_silences: bool = False
    verdict_evaluate: Verdict = Verdict.INSUFFICIENT
    verdict_ab: Verdict = Verdict.INSUFFICIENT
    signal: str | None = None

    @property
    def gates_passed(self) -> bool:
        return self.verdict_evaluate is Verdict.PASS and self.verdict_ab is Verdict.PASS


def policy_context(flags: FlagSet, environment: str, facts: CycleFacts) -> dict[str, bool | int | str]:
    """Return the context of an `AuthorizationRequest`; effect and environment are added from the request itself."""
    asked: dict[str, bool | int | str] = {
        **flags.context(environment),
        **facts.model_dump(mode="json", exclude_none=True),
        "gates_passed": facts.gates_passed,
    }
    return asked
