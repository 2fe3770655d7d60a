"""What an environment says of people and of earned trust: who decides what is escalated, and what may act unasked."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from domain.approval import Quorum
from policies.durations import Duration


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class ApprovalRule(_Strict):
    """For these tools so many different people, each of whom holds one of the roles."""

    tools: tuple[str, ...] = Field(min_length=1)
    need: int = Field(ge=1)
    of: tuple[str, ...] = Field(min_length=1)


class ApprovalsProfile(_Strict):
    """Who decides what is escalated: `need` people with a role `of`, unless one of the `rules` names the tool.

    It is data of the environment and no annotation of a Cedar policy, for the same policies hold in every environment;
    an approval is bound to the rule it was asked under, as it is to the hash of the policy set.
    """

    need: int = Field(default=1, ge=1)
    of: tuple[str, ...] = Field(default=("admin", "approver"), min_length=1)
    rules: tuple[ApprovalRule, ...] = ()

    @model_validator(mode="after")
    def _one_rule_a_tool(self) -> Self:
        named = [tool for rule in self.rules for tool in rule.tools]
        twice = sorted({tool for tool in named if named.count(tool) > 1})
        if twice:
            raise ValueError(f"rules: {', '.join(twice)} stands in more than one; name every tool once")
        return self

    def quorum(self, tool: str) -> Quorum:
        """Return who has to decide a call of this tool."""
        rule = next((rule for rule in self.rules if tool in rule.tools), None)
        return Quorum(need=rule.need, of=rule.of) if rule else Quorum(need=self.need, of=self.of)


# What is earned, and the tools that belong to it. Taking back, ending and telling are never earned: they stay possible.
CLASSES: Mapping[str, tuple[str, ...]] = {
    "promote": ("promote",),
    "tune": ("apply_tuning",),
    "data": ("quarantine_feedback",),
    "index": ("reindex_vectors", "quarantine_vectors", "release_vectors"),
}


def class_of(tool: str) -> str | None:
    """Return the class of action a tool belongs to, or None where nothing has to be earned."""
    return next((name for name, tools in CLASSES.items() if tool in tools), None)


class AutonomyProfile(_Strict):
    """Whether a class of action acts by itself here, or has to have earned it.

    Where it is `earned`: the lower bound, at `confidence`, of the rate of verified success over the last `window` has
    to reach `bar`; after a bad outcome the class waits for people for `cool_down`, whatever its record.
    """

    mode: Literal["act", "earned"] = "earned"
    bar: float = Field(default=0.8, gt=0, lt=1)
    confidence: float = Field(default=0.95, gt=0.5, lt=1)
    window: Duration = timedelta(days=180)
    cool_down: Duration = timedelta(days=14)
