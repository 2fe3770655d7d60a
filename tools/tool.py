"""What a tool is: a spec, a typed input, a typed output, and how to find out whether its effect happened."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Generic, TypeVar

from pydantic import BaseModel, ConfigDict

from domain.actor import Actor
from domain.brief import Brief
from domain.budget import Amounts
from domain.decision import Effect
from domain.observation import Observation
from domain.permit import Permit

_FREE = Amounts()


class Arguments(BaseModel):
    """Base of every tool input: unknown fields are an error the caller can read and correct."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Result(BaseModel):
    """Base of every tool output."""

    model_config = ConfigDict(frozen=True)


class Nothing(Arguments):
    """The input of a tool that needs none."""


In = TypeVar("In", bound=Arguments)
Out = TypeVar("Out", bound=Result)


# How long a call is waited for whose tool does not say otherwise. What does not answer is given up by its adapter,
# after seconds; this is for when that fails. It is no measure of speed: a report that reads a whole corpus is slow on a
# busy machine, and a call that is given up leaves an agent without evidence, or a person with an effect nobody knows.
PATIENCE = timedelta(minutes=2)


@dataclass(frozen=True)
class ToolSpec:
    """Name, effect and limits of a tool. `effects` are the adapter effects its permit covers; empty for reads."""

    name: str
    summary: str
    effect: Effect = Effect.READ
    effects: tuple[str, ...] = ()
    timeout: timedelta = PATIENCE


@dataclass(frozen=True)
class Scope:
    """Where in a cycle a call is made. `alert_at` is when the alert started; tools look around it."""

    cycle_id: str
    stage: str
    target: str
    environment: str
    alert_at: datetime
    opened_at: datetime


def scope_of(brief: Brief) -> Scope:
    """Return where a question of a cycle stands, and so the calls that are made to answer it."""
    return Scope(
        cycle_id=brief.cycle_id,
        stage=brief.stage,
        target=brief.target,
        environment=brief.environment,
        alert_at=brief.alert.starts_at,
        opened_at=datetime.fromisoformat(brief.opened_at),
    )


@dataclass(frozen=True)
class Call:
    """One call on its way through the door.

    `key` finds its effect again; `permit` is spent by the adapter that acts.
    """

    scope: Scope
    actor: Actor
    key: str
    place: str
    permit: Permit | None = field(default=None, repr=False)


class Tool(ABC, Generic[In, Out]):
    """A typed capability. Subclasses are built with the ports they use and keep no state between calls."""

    spec: ToolSpec
    input: type[In]
    output: type[Out]

    @abstractmethod
    def run(self, args: In, call: Call) -> Out:
        """Do it, and return the typed result.

        Raises:
            EvercrewError: it could not be done.
        """

    def observe(self, args: In, call: Call) -> Observation:
        """Return whether the effect under `call.key` happened; reads have none. Never needs a permit."""
        return Observation.absent("a read leaves nothing to find")

    def facts(self, args: In) -> Mapping[str, bool]:
        """Return what the policies are told of these arguments besides the facts of the cycle.

        Raises:
            EvercrewError: it cannot be known; then the call is denied.
        """
        return {}

    def preview(self, args: In, call: Call) -> str:
        """Return what the call would change as things stand now, as a unified diff; empty where there is none to show.

        Changes nothing.

        Raises:
            EvercrewError: it cannot be told, or the call would fail.
        """
        return ""

    def price(self, args: In) -> Amounts:
        """Return what the call may cost at most; it is set aside before the call is made."""
        return _FREE

    def spent(self, args: In, result: Out) -> Amounts:
        """Return what the call did cost, by its result."""
        return self.price(args)

    def lost(self, args: In, seconds: float) -> Amounts:
        """Return what a call did cost that failed after so many seconds, and left nothing."""
        return _FREE
