"""Stages of a cycle, and what a stage answers."""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum

from pydantic import BaseModel, ConfigDict


class Stage(StrEnum):
    """The steps of an improvement cycle, in the order of the happy path; the last three are ends."""

    OBSERVE = "observe"
    DIAGNOSE = "diagnose"
    PLAN = "plan"
    AUGMENT = "augment"
    TRAIN = "train"
    EVALUATE = "evaluate"
    AB = "ab"
    PROMOTE = "promote"
    WATCH = "watch"
    ROLL_BACK = "roll_back"
    LEARN = "learn"
    DONE = "done"
    STOPPED = "stopped"
    CANCELLED = "cancelled"

    @property
    def terminal(self) -> bool:
        return self in (Stage.DONE, Stage.STOPPED, Stage.CANCELLED)


class StageResult(BaseModel):
    """What a stage answers: go to `next`, after `wait`, because of `reason`.

    `again` asks for the same stage once more.
    """

    model_config = ConfigDict(frozen=True)

    next: Stage
    reason: str
    wait: timedelta = timedelta()
