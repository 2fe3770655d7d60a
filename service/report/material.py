"""Everything a report is drawn from, gathered before the first line is written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from domain.cycle import Cycle
from domain.receipt import AuditRecord
from service.summary import DemoSummary

Series = Sequence[tuple[datetime, float | None]]


class FeatureShare(BaseModel):
    """A feature's share (0-1) of the re-ranker's attributions before and after the alert."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    feature: str
    before: float
    after: float


class SliceScore(BaseModel):
    """nDCG@10 of one subject before and after the alert, None where it was not measured, over `n` sessions after it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    before: float | None
    after: float | None
    n: int = 0


class VerificationCheck(BaseModel):
    """One link of the proof that what is live was caused by this cycle."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    ok: bool
    detail: str = ""


class ReportMaterial(BaseModel):
    """What is known of a cycle.

    Args:
        artifacts: parsed content by the names of `cycles.artifacts.SCHEMAS`; without one its section is left out.
        series: samples by signal, oldest first; None is a gap.
        events: moments to mark on the signals, each with a short label.
        attribution: the re-ranker's attention before and after the alert, or None.
        slices: live scores by subject before and after the alert; the held-out ones are in ``evaluation.json``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    cycle: Cycle
    artifacts: Mapping[str, Mapping[str, Any]] = Field(default_factory=dict)
    audit: Sequence[AuditRecord] = ()
    series: Mapping[str, Series] = Field(default_factory=dict)
    events: Sequence[tuple[datetime, str]] = ()
    attribution: Sequence[FeatureShare] | None = None
    slices: Sequence[SliceScore] = ()
    summary: DemoSummary | None = None
    checks: Sequence[VerificationCheck] = ()
