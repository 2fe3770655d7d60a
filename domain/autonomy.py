"""Earned autonomy: what a class of action may do by itself, by its record, and what an admin caps it at."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field

from domain.outcome import OutcomeKind


class Level(StrEnum):
    """What a class of action may do: be proposed only, be done once people approved it, or be done by itself."""

    SUGGEST = "suggest"
    APPROVE = "approve"
    ACT = "act"

    def capped(self, cap: Level | None) -> Level:
        """Return the lower one of this level and the cap."""
        order = list(Level)
        return self if cap is None or order.index(self) <= order.index(cap) else cap


class Trial(BaseModel):
    """One cycle in which an action of the class was really taken, and what was measured afterwards.

    `record` and `record_hash` name the record in the audit chain that says so; without it a trial counts for nothing.
    """

    model_config = ConfigDict(frozen=True)

    cycle_id: str
    kind: str
    environment: str
    outcome: OutcomeKind
    harmful: bool
    at: datetime
    record: int
    record_hash: str

    @property
    def success(self) -> bool:
        """Whether it is verified that it did what it was taken for."""
        return self.outcome in _SUCCESSES and not self.harmful


_SUCCESSES = frozenset({OutcomeKind.IMPROVED, OutcomeKind.TUNED, OutcomeKind.REPAIRED, OutcomeKind.RESTORED})


class Cap(BaseModel):
    """An admin's word: no more than `level`, or, with None, whatever is earned again."""

    model_config = ConfigDict(frozen=True)

    kind: str
    environment: str
    level: Level | None
    by: str
    reason: str = Field(min_length=1, max_length=2000)
    at: datetime
    record: int
    record_hash: str


class Standing(BaseModel):
    """Where a class stands: its level now, what it earned, and the figures that rests on.

    `lower` is the lower confidence bound of its rate of verified success; `until` the end of a cool-down.
    """

    model_config = ConfigDict(frozen=True)

    kind: str
    environment: str
    level: Level
    earned: Level
    trials: int
    successes: int
    lower: float
    reason: str
    until: datetime | None = None
    cap: Cap | None = None
