"""The improvement cycle: its state and the table of its legal transitions."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from domain.alert import Alert
from domain.diagnosis import Action
from domain.errors import IllegalTransition
from domain.outcome import OutcomeKind
from domain.stage import Stage

_ENDS = frozenset({Stage.STOPPED, Stage.CANCELLED})

TRANSITIONS: Mapping[Stage, frozenset[Stage]] = {
    Stage.OBSERVE: frozenset({Stage.OBSERVE, Stage.DIAGNOSE, Stage.LEARN}) | _ENDS,
    Stage.DIAGNOSE: frozenset({Stage.DIAGNOSE, Stage.PLAN, Stage.LEARN}) | _ENDS,
    Stage.PLAN: frozenset({Stage.AUGMENT, Stage.PROMOTE, Stage.ROLL_BACK, Stage.LEARN}) | _ENDS,
    Stage.AUGMENT: frozenset({Stage.TRAIN, Stage.WATCH, Stage.LEARN}) | _ENDS,
    Stage.TRAIN: frozenset({Stage.EVALUATE, Stage.LEARN}) | _ENDS,
    Stage.EVALUATE: frozenset({Stage.EVALUATE, Stage.AB, Stage.TRAIN, Stage.LEARN}) | _ENDS,
    Stage.AB: frozenset({Stage.AB, Stage.PROMOTE, Stage.LEARN}) | _ENDS,
    Stage.PROMOTE: frozenset({Stage.PROMOTE, Stage.WATCH, Stage.ROLL_BACK, Stage.LEARN}) | _ENDS,
    Stage.WATCH: frozenset({Stage.WATCH, Stage.ROLL_BACK, Stage.LEARN}) | _ENDS,
    Stage.ROLL_BACK: frozenset({Stage.ROLL_BACK, Stage.WATCH, Stage.LEARN}) | _ENDS,
    Stage.LEARN: frozenset({Stage.DONE, Stage.STOPPED, Stage.CANCELLED}),
    Stage.DONE: frozenset(),
    Stage.STOPPED: frozenset(),
    Stage.CANCELLED: frozenset(),
}


def check_transition(current: Stage, following: Stage) -> None:
    """Return when the step is in the table.

    Raises:
        IllegalTransition: it is not.
    """
    if following not in TRANSITIONS[current]:
        legal = ", ".join(sorted(stage.value for stage in TRANSITIONS[current])) or "none: it is an end"
        raise IllegalTransition(
            f"{current.value} -> {following.value} is not a step of a cycle; from {current.value}: {legal}"
        )


class Cycle(BaseModel):
    """A cycle as the store keeps it. `facts` holds the typed results of the stages so far, by stage, as plain JSON."""

    model_config = ConfigDict(frozen=True)

    id: str
    alert: Alert
    target: str
    environment: str
    stage: Stage
    opened_at: datetime
    updated_at: datetime
    action: Action | None = None
    outcome: OutcomeKind | None = None
    reason: str = ""
    cancel_requested: bool = False
    facts: Mapping[str, Any] = Field(default_factory=dict)
    timings: Mapping[str, float] = Field(default_factory=dict)

    def at(self, following: Stage, when: datetime, reason: str = "") -> Cycle:
        """Return the cycle moved to `following`.

        Raises:
            IllegalTransition: the table does not allow it.
        """
        check_transition(self.stage, following)
        return self.model_copy(update={"stage": following, "updated_at": when, "reason": reason})

    def with_fact(self, name: str, value: Any) -> Cycle:
        """Return the cycle with one more (or replaced) fact."""
        return self.model_copy(update={"facts": {**self.facts, name: value}})
