"""How the looks at a promoted model are judged: whether it is worse than the model before it, and whether better.

A point without enough samples is a gap, and gaps are not guessed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from cycles.desk import Desk
from domain.measurement import Measurement
from domain.verdict import Judgement, Verdict
from learning.canary import WatchDesign, judge_gain, judge_watch

QUALITY = "ndcg_at_10"


def judge_promotion(desk: Desk, before: Sequence[Measurement], now: Sequence[Measurement]) -> Judgement:
    """Judge the points since the promotion, against those before it.

    The row of the quality says by which test; without one, the planned looks have to be there, and only limits judge.
    """
    profile = desk.profile.watch
    values = [_value(m, profile.min_samples) for m in now]
    usable = [v for v in values if v is not None]
    if len(usable) < min(max(1, len(values) // 2), profile.checks):
        reason = f"{len(values) - len(usable)} of {len(values)} looks have too few samples"
        return Judgement(verdict=Verdict.INSUFFICIENT, reason=reason, name=QUALITY)
    if desk.contract.signal(QUALITY).rollback.test == "none":
        seen = len(usable) >= profile.checks
        reason = f"{len(usable)} of {profile.checks} looks; the contract asks for no test of {QUALITY}"
        return Judgement(verdict=Verdict.PASS if seen else Verdict.INSUFFICIENT, reason=reason, name=QUALITY)
    return judge_watch(_earlier(before), usable[: profile.checks], _design(desk), sampling_sd=_spread(before))


def judge_kept(desk: Desk, before: Sequence[Measurement], now: Sequence[Measurement]) -> Judgement:
    """Judge by the points of a watch that is over whether the quality has gained, with the error of its own test."""
    profile = desk.profile.watch
    usable = [v for m in now if (v := _value(m, profile.min_samples)) is not None]
    spread = _spread([*before, *now])
    return judge_gain(_earlier(before), usable[: profile.checks], _design(desk), sampling_sd=spread)


def _design(desk: Desk) -> WatchDesign:
    profile = desk.profile.watch
    return WatchDesign(
        looks=profile.checks, alpha=profile.alpha, min_baseline=profile.baseline_checks, tolerance=profile.tolerance
    )


def _earlier(before: Sequence[Measurement]) -> list[float]:
    return [v for m in before if (v := _value(m, 1)) is not None]


def _spread(points: Sequence[Measurement]) -> float:
    """The largest standard error of a point, where any is known; one that is no number is not passed over."""
    errors = [m.stderr for m in points if m.stderr is not None]
    return max(errors, default=0.0) if all(math.isfinite(e) for e in errors) else math.nan


def _value(measurement: Measurement, minimum: int) -> float | None:
    usable = measurement.usable and measurement.n >= minimum
    return measurement.finite() if usable else None
