"""What the policy decision point is asked, and what it answers."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field

from domain.actor import Actor


class Effect(StrEnum):
    """What a tool does to the world."""

    READ = "read"
    WRITE = "write"
    IRREVERSIBLE = "irreversible"


class Answer(StrEnum):
    """Allow goes on; deny ends the call; escalate asks a person first."""

    ALLOW = "allow"
    DENY = "deny"
    ESCALATE = "escalate"


class AuthorizationRequest(BaseModel):
    """May `actor` do `tool` on `target` in `environment`, given `context`?"""

    model_config = ConfigDict(frozen=True)

    actor: Actor
    tool: str
    effect: Effect
    target: str
    environment: str
    context: Mapping[str, bool | int | str] = Field(default_factory=dict)


class Decision(BaseModel):
    """The answer, with the policies that decided and the hash of the set they come from."""

    model_config = ConfigDict(frozen=True)

    answer: Answer
    policies: tuple[str, ...] = ()
    policy_hash: str = ""
    reason: str = ""

    @property
    def allowed(self) -> bool:
        return self.answer is Answer.ALLOW
