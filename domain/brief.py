"""What a crew is asked, and what it answers: one typed judgement, with how it was reached."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from domain.alert import Alert
from domain.approval import Denial

T = TypeVar("T", bound=BaseModel)


class Brief(BaseModel):
    """The question's context: `facts` are typed results of earlier stages; the alert's texts are untrusted.

    `denials` are what people refused on this target lately, with their reasons.
    """

    model_config = ConfigDict(frozen=True)

    cycle_id: str
    stage: str
    target: str
    environment: str
    alert: Alert
    opened_at: str
    facts: Mapping[str, Any] = Field(default_factory=dict)
    denials: tuple[Denial, ...] = ()


class Answered(BaseModel, Generic[T]):
    """A typed answer and its cost.

    `models` are the models that really answered; `fallbacks` says why the playbook stepped in, if it did;
    `reservation` is the key under which the answer was paid for.
    """

    model_config = ConfigDict(frozen=True)

    value: T
    models: tuple[str, ...] = ()
    prompts: Mapping[str, str] = Field(default_factory=dict)
    calls: tuple[str, ...] = ()
    repeated_calls: int = 0
    revisions: int = 0
    tokens: int = 0
    cost_usd: float = 0.0
    fallbacks: tuple[str, ...] = ()
    stopped: str = ""
    reservation: str = ""
