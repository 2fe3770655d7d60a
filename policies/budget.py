"""What an environment may spend, and what it takes for going in circles."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

from pydantic import BaseModel, ConfigDict, Field

from domain.budget import MICROS, Ceiling
from policies.durations import Duration

_EPOCH = datetime(2024, 1, 1, tzinfo=UTC)


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class BudgetProfile(_Strict):
    """What may be spent on one target: per cycle, per period, and at one question to a model. None is no limit.

    Money is in US dollars. `alert_share` of a period's budget raises its alarm. A question sets `question_tokens`
    aside before it is asked, with the money they cost.
    """

    cycle_usd: float = Field(gt=0)
    period: Duration
    period_usd: float = Field(gt=0)
    alert_share: float = Field(gt=0, le=1)
    cycle_tokens: int | None = Field(default=4_000_000, ge=0)
    period_tokens: int | None = Field(default=None, ge=0)
    question_tokens: int = Field(default=400_000, ge=1)
    question_usd: float | None = Field(default=None, gt=0)
    cycle_gpu_minutes: float | None = Field(default=None, ge=0)
    period_gpu_minutes: float | None = Field(default=None, ge=0)
    period_cycles: int | None = Field(default=None, ge=0)

    def of_cycle(self) -> Ceiling:
        """Return what one cycle may spend."""
        return Ceiling(
            tokens=self.cycle_tokens, usd_micros=_micros(self.cycle_usd), gpu_seconds=_seconds(self.cycle_gpu_minutes)
        )

    def of_period(self) -> Ceiling:
        """Return what may be spent in one period."""
        return Ceiling(
            tokens=self.period_tokens,
            usd_micros=_micros(self.period_usd),
            gpu_seconds=_seconds(self.period_gpu_minutes),
            cycles=self.period_cycles,
        )

    def period_start(self, moment: datetime) -> datetime:
        """Return when the period began that `moment` is in, in UTC."""
        return _EPOCH + (moment.astimezone(UTC) - _EPOCH) // self.period * self.period


class LoopsProfile(_Strict):
    """When a cycle would only go in circles.

    Looked back at is what ended within `window`. A value that our own cycles have already changed back and forth
    `oscillations` times is not changed again; an action that did not show `ineffective` times in a row, for the same
    signal and cause, is not taken again. An alert that starts within `propagation` of a change of ours, and whose
    signal moved with it, is taken for its consequence. At most `max_synthetic` of the weight of a training set may be
    generated, and at most `max_own` may come from us at all: generated, or shown by a model of ours and confirmed.
    """

    window: Duration = timedelta(days=14)
    oscillations: int = Field(default=1, ge=1)
    ineffective: int = Field(default=3, ge=1)
    propagation: Duration = timedelta(hours=6)
    max_synthetic: float = Field(default=0.8, gt=0, le=1)
    max_own: float = Field(default=0.98, gt=0, le=1)


def _micros(dollars: float) -> int:
    return math.floor(dollars * MICROS + 0.5)


def _seconds(minutes: float | None) -> int | None:
    return None if minutes is None else math.floor(minutes * 60)
