"""Diagnoses: typed, every claim resting on a tool call that can be looked up."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict, Field


class Action(StrEnum):
    """What a diagnosis may lead to. Doing nothing is a result."""

    NOISE = "noise"
    MONITOR = "monitor"
    DATA_FIX = "data_fix"
    RETRAIN = "retrain"
    ROLLBACK = "rollback"
    TUNE = "tune"
    HANDOFF = "handoff"


class RootCause(StrEnum):
    """Kinds of cause the diagnosis tells apart."""

    CORPUS_SHIFT = "corpus_shift"
    BAD_RELEASE = "bad_release"
    DATA_QUALITY = "data_quality"
    EXPENSIVE_MODE = "expensive_mode"
    INDEX_DAMAGE = "index_damage"
    COST_TIER = "cost_tier"
    INDEX_INCOMPLETE = "index_incomplete"
    ETL_CAPACITY = "etl_capacity"
    PRESENTATION = "presentation"
    NOISE = "noise"
    UNKNOWN = "unknown"


class Comparison(StrEnum):
    """How a claim compares the number it cites."""

    EQUALS = "eq"
    ABOVE = "gt"
    AT_LEAST = "ge"
    BELOW = "lt"
    AT_MOST = "le"


class Claim(BaseModel):
    """One checkable statement: the number or text at `path` in the result of call `call` stands so to `value`.

    `path` is a dotted path into the tool's typed result, e.g. ``readings.ndcg_at_10.relative_delta``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    statement: str = Field(min_length=1)
    call: str = Field(min_length=1)
    path: str = Field(min_length=1)
    comparison: Comparison
    value: float | str | bool


class Diagnosis(BaseModel):
    """The typed answer of the diagnosis crew."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    action: Action
    root_cause: RootCause
    summary: str = Field(min_length=1)
    claims: tuple[Claim, ...] = ()
    affected_categories: tuple[str, ...] = ()
    new_tokens: tuple[str, ...] = ()
    low_coverage_tokens: tuple[str, ...] = ()
    coverage: float | None = None
    tuning: Mapping[str, str | int] = Field(default_factory=dict)
    suspect_digest: str | None = None
    restore_revision: str | None = None
    since: str | None = None
    expected_improvement: str | None = None


class CheckedClaim(BaseModel):
    """A claim with what the checker found when it recomputed it."""

    model_config = ConfigDict(frozen=True)

    claim: Claim
    supported: bool
    found: Any = None
    reason: str = ""


class CheckedDiagnosis(BaseModel):
    """A diagnosis whose unsupported claims were dropped and counted."""

    model_config = ConfigDict(frozen=True)

    diagnosis: Diagnosis
    supported: tuple[CheckedClaim, ...] = ()
    dropped: tuple[CheckedClaim, ...] = ()

    @property
    def unsupported_claims(self) -> int:
        return len(self.dropped)
