"""When did a series change its level?

The statistic is the largest deviation of the cumulated sum from its bridge, over the long-run standard deviation after
the best split is taken out (Ploberger and Kramer, "The CUSUM test with OLS residuals", 1992). Without a change it
tends to the supremum of a Brownian bridge, but slowly when neighbours are correlated: at 26 points and a correlation
of 0.8 the limiting threshold finds a change in a quarter of unchanged series. So the threshold is the larger of the
limiting one and that of simulated AR(1) series of the same length on which everything is estimated again, at a
correlation one standard error above the estimate.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike

from domain.verdict import Judgement, Verdict
from learning.quantiles import kolmogorov_quantile
from learning.series import (
    Floats,
    ar1_paths,
    cautious_rho,
    estimate_rows,
    examine_both,
    inflation_rows,
    is_constant,
    judged,
    require,
)

_SIMULATED = 4000
_LONGEST_SIMULATED = 240
_NO_SCALE = 999.0


@dataclass(frozen=True, slots=True)
class ChangePoint:
    """The answer of `locate_change`.

    `judgement` is `fail` when the level changed, `pass` when it did not. `onset` is the time of the first point after
    the change and `index` its place; both None without a change. `before` and `after` are the mean levels.
    """

    judgement: Judgement
    onset: float | None = None
    index: int | None = None
    before: float | None = None
    after: float | None = None


def locate_change(times: ArrayLike, values: ArrayLike, *, alpha: float = 0.01, min_points: int = 20) -> ChangePoint:
    """Find one change of level in a series, at the split where the likelihood of two levels is largest.

    Args:
        times: seconds, rising, as many as values.
        alpha: chance of finding a change where there is none.

    Raises:
        ValueError: `alpha` or `min_points` is out of range.
    """
    require(0.0005 <= alpha < 0.5, "alpha", alpha, "between 0.0005 and 0.5")
    require(min_points >= 8, "min_points", min_points, "at least 8")
    both = examine_both(times, "the times", min_points, values, "the series", min_points)
    if isinstance(both, Judgement):
        return ChangePoint(both.model_copy(update={"name": "change"}))
    at, series = both
    if at.size != series.size or bool(np.any(np.diff(at) <= 0)):
        return ChangePoint(judged(Verdict.ERROR, "the times do not rise, or are not as many as the values", "change"))
    if is_constant(series):
        return ChangePoint(judged(Verdict.PASS, "the series is constant", "change", n=int(series.size)))
    with np.errstate(all="ignore"):
        return _locate(at, series, alpha)


def _locate(at: Floats, series: Floats, alpha: float) -> ChangePoint:
    n = series.size
    statistics, splits, rhos = _statistics(series[None, :])
    split, rho = int(splits[0]), float(rhos[0])
    statistic = float(statistics[0])
    before, after = float(series[:split].mean()), float(series[split:].mean())
    if not (math.isfinite(statistic) and math.isfinite(before) and math.isfinite(after)):
        return ChangePoint(judged(Verdict.ERROR, "the numbers are too large or too small to be compared", "change"))
    limit = max(kolmogorov_quantile(alpha), _simulated_limit(min(n, _LONGEST_SIMULATED), cautious_rho(rho, n), alpha))
    figures: dict[str, float | int | str | None] = {
        "statistic": statistic,
        "limit": limit,
        "rho": rho,
        "before": before,
        "after": after,
        "n": n,
    }
    if statistic <= limit:
        reason = f"no change of level (statistic {statistic:.2f}, limit {limit:.2f})"
        return ChangePoint(judged(Verdict.PASS, reason, "change", **figures))
    onset = float(at[split])
    reason = f"from {before:.4g} to {after:.4g} at {onset:.0f} (statistic {statistic:.2f}, limit {limit:.2f})"
    return ChangePoint(judged(Verdict.FAIL, reason, "change", **figures, onset=onset), onset, split, before, after)


def _statistics(rows: Floats) -> tuple[Floats, np.ndarray, Floats]:
    """Return statistic, split and lag-one correlation of the residuals for every row, each of shape (rows,)."""
    n = rows.shape[1]
    k = np.arange(1, n)
    sums = np.cumsum(rows, axis=1)
    bridge = (sums - sums[:, -1:] * np.arange(1, n + 1) / n)[:, :-1]
    splits = k[np.argmax(bridge**2 / (k * (n - k)), axis=1)]
    picked = np.take_along_axis(sums, splits[:, None] - 1, axis=1)
    first, second = picked / splits[:, None], (sums[:, -1:] - picked) / (n - splits[:, None])
    residuals = rows - np.where(np.arange(n) < splits[:, None], first, second)
    rhos, sds = estimate_rows(residuals)
    spread = sds * np.sqrt(inflation_rows(np.array([n]), rhos)[:, 0] * n)
    deviation = np.abs(bridge).max(axis=1)
    statistics: Floats = np.where(spread > 0, deviation / np.where(spread > 0, spread, 1.0), _NO_SCALE)
    return statistics, splits, rhos


@lru_cache(maxsize=256)
def _simulated_limit(n: int, rho: float, alpha: float) -> float:
    rng = np.random.default_rng(20_260_102)
    statistics, _, _ = _statistics(ar1_paths(rng, _SIMULATED, n, rho))
    return float(np.quantile(statistics, 1 - alpha))
