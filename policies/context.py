"""The context a policy decision needs, complete: a field that is missing is a mistake here, not a hole in a policy."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from domain.verdict import Verdict
from policies.flags import FlagSet


class CycleFacts(BaseModel):
    """What is true of the cycle and of the day when a call is asked for. Money in US cents, the hour in UTC.

    `cycles_today` counts this cycle too; `approved` says that a person approved exactly this call; a verdict of a gate
    that was not asked is `insufficient`; `approval_needed` that the contract wants a
    person's approval for what the signal leads to; `watch_silences` is the environment's word on silencing alerts.
    `autonomy` is the level that the tool's class of action has earned here; nobody knows: it asks people.
    `models_today` and `models_at_once` are models that other cycles promoted before this one; shares of the users are
    in hundredths of a percent. `held_back` is set where whoever opened the cycle wants nothing of it to go live.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    stage: str
    cycles_today: int = Field(ge=0)
    max_cycles_per_day: int = Field(ge=0)
    budget_left_cents: int
    hour: int = Field(ge=0, le=23)
    calls: int = Field(ge=0)
    tombstoned: bool
    window_open: bool
    cooling_down: bool
    models_today: int = Field(ge=0)
    max_models_per_day: int = Field(ge=0)
    models_at_once: int = Field(ge=0)
    max_models_at_once: int = Field(ge=0)
    share_bp: int = Field(ge=0)
    max_share_bp: int = Field(ge=0)
    approved: bool = False
    approval_needed: bool = False
    watch_silences: bool = False
    autonomy: Literal["suggest", "approve", "act"] = "approve"
    verdict_evaluate: Verdict = Verdict.INSUFFICIENT
    verdict_ab: Verdict = Verdict.INSUFFICIENT
    signal: str | None = None
    held_back: bool | None = None

    @property
    def gates_passed(self) -> bool:
        return self.verdict_evaluate is Verdict.PASS and self.verdict_ab is Verdict.PASS


def policy_context(
    flags: FlagSet, environment: str, facts: CycleFacts, *, role: str = "", tool: str = ""
) -> dict[str, bool | int | str]:
    """Return the context of an `AuthorizationRequest`; effect and environment are added from the request itself.

    `role` and `tool` are whose kill switches count besides that of everybody.
    """
    asked: dict[str, bool | int | str] = {
        **flags.context(environment, role=role, tool=tool),
        **facts.model_dump(mode="json", exclude_none=True),
        "gates_passed": facts.gates_passed,
    }
    return asked
