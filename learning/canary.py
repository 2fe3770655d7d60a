"""The watch after a promotion: is the signal worse than before, by a rule whose false-rollback rate is known?

And, once it is over: is the signal better than before, beyond the error of that very comparison?

**The test.** At each look the mean of the points so far is compared with the mean of the points before the promotion.
Both means carry noise, and neighbouring points are correlated: their variance is that of AR(1) means, with the
correlation estimated before the promotion and corrected for its small-sample bias. The statistic is weighted by (share
of the watch)^(1/2 - shape) as in Wang and Tsiatis, "Approximately optimal one-parameter boundaries for group
sequential trials", 1987: shape 1/2 treats all looks alike (Pocock), shape 0 keeps nearly all of alpha for the end
(O'Brien and Fleming).

**The threshold** is the alpha quantile of the worst weighted statistic over all looks of a watch of an unchanged
signal. It is found by simulating AR(1) series of the same lengths and re-estimating everything on each, so that it
covers the looks, the correlation and the uncertainty of both estimates. It is simulated at a correlation one standard
error above the estimate.

**The gain** is read once, when the watch is over: its lower bound is the difference of the means less the one-sided
normal quantile of alpha times the same error. `learning.characteristics.false_gain_rates` says how often an unchanged
signal is called better.

A rule of "below the baseline at any look" rolls back four of five unchanged models;
`learning.characteristics.false_rollback_rates` shows both.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike

from domain.verdict import Judgement, Verdict, combine
from learning.quantiles import normal_quantile
from learning.series import (
    Floats,
    Noise,
    ar1_paths,
    cautious_rho,
    estimate_noise,
    estimate_rows,
    examine_both,
    inflation_rows,
    is_constant,
    judged,
    require,
)

_NAME = "watch"
_GAIN = "gain"
_SIMULATED = 10_000
_MIN_BASELINE = 6


@dataclass(frozen=True, slots=True)
class WatchDesign:
    """What is fixed before the first look.

    Args:
        looks: points the watch will have when it is over.
        alpha: chance, over all looks, that an unchanged signal is called degraded.
        min_looks: points needed before the answer is read.
        min_baseline: points needed before the promotion.
        tolerance: relative loss that is accepted (0.01 is 1 %); the test is of a loss beyond it.
        shape: Wang-Tsiatis shape in [0, 0.5].

    Raises:
        ValueError: a field is out of range.
    """

    looks: int
    alpha: float = 0.05
    min_looks: int = 1
    min_baseline: int = 12
    tolerance: float = 0.0
    shape: float = 0.35

    def __post_init__(self) -> None:
        require(1 <= self.looks <= 2000, "looks", self.looks, "between 1 and 2000")
        require(0 < self.alpha < 0.5, "alpha", self.alpha, "between 0 and 0.5")
        require(1 <= self.min_looks <= self.looks, "min_looks", self.min_looks, "between 1 and looks")
        require(self.min_baseline >= _MIN_BASELINE, "min_baseline", self.min_baseline, f"at least {_MIN_BASELINE}")
        require(0 <= self.tolerance < 1, "tolerance", self.tolerance, "a share from 0 to below 1")
        require(0 <= self.shape <= 0.5, "shape", self.shape, "between 0 and 0.5")


def judge_watch(
    baseline: ArrayLike,
    current: ArrayLike,
    design: WatchDesign,
    *,
    higher_is_better: bool = True,
    sampling_sd: float = 0.0,
) -> Judgement:
    """Judge the signal since the promotion: `fail` degraded, `pass` over and not degraded, `insufficient` look on.

    Points must be evenly spaced and must not overlap (a rolling gauge is read at steps of its own window, or its
    counters by their increase), else their correlation is near one and nothing can be told.

    Args:
        baseline: points before the promotion, oldest first.
        current: points since the promotion so far, oldest first.
        sampling_sd: standard error of one point where it is known; a floor for the estimated noise.

    Figures: baseline, current, relative_delta, statistic, threshold, rho, effective_n, detectable (the relative loss
    that would have been seen with a chance of four in five at the end of the watch).
    """
    both = _readable(baseline, current, design, sampling_sd, design.min_looks)
    if isinstance(both, Judgement):
        return both.model_copy(update={"name": _NAME})
    with np.errstate(all="ignore"):
        return _judge(*both, design, 1.0 if higher_is_better else -1.0, sampling_sd)


def judge_gain(
    baseline: ArrayLike,
    current: ArrayLike,
    design: WatchDesign,
    *,
    higher_is_better: bool = True,
    sampling_sd: float = 0.0,
) -> Judgement:
    """Judge whether the signal is better than before, once the watch is over; the arguments are those of `judge_watch`.

    `pass` when the lower bound of the gain is above zero, `fail` when the mean is no better at all, `insufficient` when
    it is better by no more than its error can tell, or looks are missing. The tolerance of the design has no part in
    it: what is tolerated as no loss is no gain.

    Figures: baseline, current, gain, lower (in the unit of the signal), relative_delta, relative_lower, alpha.
    """
    both = _readable(baseline, current, design, sampling_sd, design.looks)
    if isinstance(both, Judgement):
        return both.model_copy(update={"name": _GAIN})
    with np.errstate(all="ignore"):
        return _gained(*both, design, 1.0 if higher_is_better else -1.0, sampling_sd)


def _readable(
    baseline: ArrayLike, current: ArrayLike, design: WatchDesign, sampling_sd: float, looks: int
) -> tuple[Floats, Floats] | Judgement:
    """Return both series when they can be compared, or the judgement that says why not."""
    both = examine_both(baseline, "the baseline", design.min_baseline, current, "the watch", looks)
    if isinstance(both, Judgement):
        return both
    if not (math.isfinite(sampling_sd) and sampling_sd >= 0):
        return judged(Verdict.ERROR, f"sampling_sd is {sampling_sd}, which is no standard error")
    if is_constant(both[0]) and sampling_sd == 0:
        return judged(Verdict.ERROR, "the baseline does not vary at all: the measurement is stuck")
    return both


def _error(before: Floats, k: int, sampling_sd: float) -> tuple[Noise, float]:
    """Return the noise before, and the standard error of the difference from it of the mean of `k` later points."""
    estimated = estimate_noise(before)
    noise = Noise(estimated.rho, max(estimated.sd, sampling_sd), estimated.n)
    return noise, math.sqrt(noise.variance_of_mean(k) + noise.variance_of_mean(noise.n))


def _gained(before: Floats, since: Floats, design: WatchDesign, sign: float, sampling_sd: float) -> Judgement:
    level, now = float(before.mean()), float(since.mean())
    _, error = _error(before, since.size, sampling_sd)
    gain = sign * (now - level)
    lower = gain - normal_quantile(1 - design.alpha) * error
    if not (error > 0 and math.isfinite(gain) and math.isfinite(lower)):
        return judged(Verdict.ERROR, "the numbers are too large or too small to be compared", _GAIN)
    figures: dict[str, float | int | str | None] = {
        "baseline": level,
        "current": now,
        "gain": gain,
        "lower": lower,
        "relative_delta": (now - level) / abs(level) if level else math.nan,
        "relative_lower": lower / abs(level) if level else math.nan,
        "alpha": design.alpha,
    }
    said = f"{gain:+.4f} from {level:.4g} to {now:.4g}, at least {lower:+.4f} with {1 - design.alpha:.0%} confidence"
    if gain <= 0:
        return judged(Verdict.FAIL, f"{said}: no gain", _GAIN, **figures)
    verdict, told = (Verdict.PASS, "beyond") if lower > 0 else (Verdict.INSUFFICIENT, "not beyond")
    return judged(verdict, f"{said}: {told} its error", _GAIN, **figures)


def _judge(before: Floats, since: Floats, design: WatchDesign, sign: float, sampling_sd: float) -> Judgement:
    level, now = float(before.mean()), float(since.mean())
    k = since.size
    noise, error = _error(before, k, sampling_sd)
    share = min(k / design.looks, 1.0)
    loss = sign * (now - level) + design.tolerance * abs(level)
    statistic = loss / error * share ** (0.5 - design.shape) if error > 0 else math.nan
    if not math.isfinite(statistic):
        return judged(Verdict.ERROR, "the numbers are too large or too small to be compared", _NAME)
    threshold = watch_threshold(noise.n, design, cautious_rho(noise.rho, noise.n))
    relative = (now - level) / abs(level) if level else math.nan
    detectable = _detectable(noise, design, threshold, level)
    figures: dict[str, float | int | str | None] = {
        "baseline": level,
        "current": now,
        "relative_delta": relative,
        "statistic": statistic,
        "threshold": threshold,
        "rho": noise.rho,
        "effective_n": noise.effective_n,
        "detectable": detectable,
        "looks": int(k),
        "looks_planned": design.looks,
        "alpha": design.alpha,
    }
    said = f"look {k} of {design.looks}: {relative:+.2%} from {level:.4g}"
    said = f"{said}, statistic {statistic:.2f} (limit {threshold:.2f})"
    if statistic < threshold:
        return judged(Verdict.FAIL, f"{said}: degraded", _NAME, **figures)
    if k < design.looks:
        return judged(Verdict.INSUFFICIENT, f"{said}: no degradation so far", _NAME, **figures)
    reason = f"{said}: no degradation; a loss of {detectable:.1%} would have been seen in four of five watches"
    return judged(Verdict.PASS, reason, _NAME, **figures)


def _detectable(noise: Noise, design: WatchDesign, threshold: float, level: float) -> float:
    error = math.sqrt(noise.variance_of_mean(design.looks) + noise.variance_of_mean(noise.n))
    return design.tolerance + (0.8416 - threshold) * error / abs(level) if level else math.nan


def watch_threshold(n_baseline: int, design: WatchDesign, rho: float) -> float:
    """Return the (negative) limit of the weighted statistic, for `n_baseline` points before and correlation `rho`."""
    return _threshold(min(n_baseline, 500), design.looks, design.min_looks, round(rho, 2), design.alpha, design.shape)


@lru_cache(maxsize=256)
def _threshold(n: int, looks: int, first: int, rho: float, alpha: float, shape: float) -> float:
    rng = np.random.default_rng(20_260_101)
    paths = ar1_paths(rng, _SIMULATED, n + looks, rho)
    before, since = paths[:, :n], paths[:, n:]
    rhos, sds = estimate_rows(before)
    k = np.arange(1, looks + 1)
    since_variance = inflation_rows(k, rhos) / k
    before_variance = inflation_rows(np.array([n]), rhos) / n
    means = np.cumsum(since, axis=1) / k
    statistics = (means - before.mean(axis=1, keepdims=True)) / (
        sds[:, None] * np.sqrt(since_variance + before_variance)
    )
    weighted = statistics * (k / looks) ** (0.5 - shape)
    # Two standard errors of the simulation below alpha, so that its own luck does not spend what is not there.
    safe = max(alpha - 2 * math.sqrt(alpha * (1 - alpha) / _SIMULATED), alpha / 2)
    return float(np.quantile(weighted[:, first - 1 :].min(axis=1), safe))


def conclude_watch(test: Judgement, limits: Sequence[Judgement]) -> Judgement:
    """Return the answer of the watch: any `fail` rolls back, even beside an `error`; else the worst verdict counts."""
    everything = [test, *limits]
    failed = [j for j in everything if j.verdict is Verdict.FAIL]
    worst = combine(failed or everything, _NAME)
    return worst.model_copy(update={"figures": test.figures})
