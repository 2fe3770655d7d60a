"""Checked arrays, comparisons that survive floating point, and what autocorrelation does to a mean."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from domain.verdict import Judgement, Verdict, combine

Floats = NDArray[np.float64]

_MAX_RHO = 0.97
_MIN_SHRINK = 0.05
# Squares and their sums stay finite below it; no measured signal comes near.
_LARGEST = 1e100


def at_least(value: float, limit: float) -> bool:
    """Whether `value` >= `limit`, where a difference of rounding (1e-9 relative, 1e-12 absolute) counts as equal."""
    return value >= limit or math.isclose(value, limit, rel_tol=1e-9, abs_tol=1e-12)


def at_most(value: float, limit: float) -> bool:
    """Whether `value` <= `limit`, where a difference of rounding counts as equal."""
    return value <= limit or math.isclose(value, limit, rel_tol=1e-9, abs_tol=1e-12)


def require(condition: bool, field: str, value: object, rule: str) -> None:
    """Check an argument of a design.

    Raises:
        ValueError: `condition` does not hold; the message names field, value and rule.
    """
    if not condition:
        raise ValueError(f"{field} is {value!r}; it must be {rule}")


def judged(verdict: Verdict, reason: str, name: str = "", **figures: float | int | str | None) -> Judgement:
    """Return a judgement whose figures are finite: a figure that is not is left out as None."""
    kept = {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in figures.items()}
    return Judgement(verdict=verdict, reason=reason, name=name, figures=kept)


def to_series(values: ArrayLike) -> Floats | None:
    """Return `values` as a one-dimensional float array (None becomes NaN), or None when they are no such thing."""
    try:
        array = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        return None
    return array if array.ndim == 1 else None


def examine(values: ArrayLike, what: str, minimum: int) -> Floats | Judgement:
    """Return `values` as a finite float array with at least `minimum` entries, or the judgement that says why not."""
    array = to_series(values)
    if array is None:
        return judged(Verdict.ERROR, f"{what} is not a list of numbers")
    bad = int(np.count_nonzero(~np.isfinite(array)))
    if bad:
        return judged(Verdict.ERROR, f"{what} has {bad} of {array.size} values missing or not finite")
    if array.size and float(np.abs(array).max()) > _LARGEST:
        return judged(Verdict.ERROR, f"{what} has values beyond {_LARGEST:g}")
    if array.size < minimum:
        return judged(Verdict.INSUFFICIENT, f"{what} has {array.size} values, {minimum} are needed", n=int(array.size))
    return array


def examine_both(
    first: ArrayLike, what_first: str, min_first: int, second: ArrayLike, what_second: str, min_second: int
) -> tuple[Floats, Floats] | Judgement:
    """Return both series as `examine` does, or the worse of the judgements that say why not."""
    a, b = examine(first, what_first, min_first), examine(second, what_second, min_second)
    if isinstance(a, Judgement) or isinstance(b, Judgement):
        return combine(x for x in (a, b) if isinstance(x, Judgement))
    return a, b


def mean_inflation(n: int, rho: float) -> float:
    """Return how many times larger the variance of a mean of `n` AR(1) values is than that of `n` independent ones.

    Exact for finite n: 1 + 2 sum_{j<n} (1 - j/n) rho^j.
    """
    if n <= 1 or rho == 0:
        return 1.0
    return (1 + rho) / (1 - rho) - 2 * rho * (1 - rho**n) / (n * (1 - rho) ** 2)


@dataclass(frozen=True, slots=True)
class Noise:
    """The noise of a level series: lag-one correlation in [0, 0.97], standard deviation of one value, series length."""

    rho: float
    sd: float
    n: int

    @property
    def effective_n(self) -> float:
        """How many independent values the series is worth."""
        return self.n / mean_inflation(self.n, self.rho)

    def variance_of_mean(self, n: int) -> float:
        """Return the variance of the mean of `n` consecutive values."""
        return self.sd**2 * mean_inflation(n, self.rho) / n


def lag_one(values: Floats) -> float:
    """Return the lag-one autocorrelation, corrected for its small-sample bias and cut to [0, 0.97].

    The plain estimate is too small by (1 + 3 rho) / n on average (Marriott and Pope 1954, Kendall 1954).
    """
    n = values.size
    centred = values - values.mean()
    total = float(centred @ centred)
    if n < 5 or total <= 0:
        return 0.0
    plain = float(centred[1:] @ centred[:-1]) / total
    return min(max((n * plain + 1) / (n - 3), 0.0), _MAX_RHO)


def estimate_noise(values: Floats) -> Noise:
    """Return the noise of `values` (at least two), with the standard deviation corrected for autocorrelation."""
    n, rho = int(values.size), lag_one(values)
    shrink = max(1 - (mean_inflation(n, rho) - 1) / (n - 1), _MIN_SHRINK)
    return Noise(rho=rho, sd=math.sqrt(float(values.var(ddof=1)) / shrink), n=n)


def is_constant(values: Floats) -> bool:
    """Whether the values differ by no more than rounding."""
    return bool(np.ptp(values) <= 1e-12 * max(float(np.abs(values).max()), 1e-300))


def ar1_paths(rng: np.random.Generator, paths: int, length: int, rho: float) -> Floats:
    """Return `paths` stationary AR(1) series of `length` with unit variance, shape (paths, length)."""
    shocks = rng.standard_normal((paths, length))
    shocks[:, 1:] *= math.sqrt(1 - rho**2)
    for i in range(1, length):
        shocks[:, i] += rho * shocks[:, i - 1]
    return shocks


def inflation_rows(n: NDArray[np.int64], rhos: Floats) -> Floats:
    """Return `mean_inflation` for every correlation (rows) and length (columns)."""
    r, m = rhos[:, None], n[None, :].astype(np.float64)
    result: Floats = (1 + r) / (1 - r) - 2 * r * (1 - r**m) / (m * (1 - r) ** 2)
    return result


def estimate_rows(series: Floats) -> tuple[Floats, Floats]:
    """Return what `estimate_noise` estimates, correlation and standard deviation, for every row of (rows, length)."""
    n = series.shape[1]
    centred = series - series.mean(axis=1, keepdims=True)
    total = (centred**2).sum(axis=1)
    plain = (centred[:, 1:] * centred[:, :-1]).sum(axis=1) / np.where(total > 0, total, 1.0)
    rhos = np.clip((n * plain + 1) / (n - 3), 0.0, _MAX_RHO)
    shrink = np.maximum(1 - (inflation_rows(np.array([n]), rhos)[:, 0] - 1) / (n - 1), _MIN_SHRINK)
    return rhos, np.sqrt(total / (n - 1) / shrink)


def cautious_rho(rho: float, n: int) -> float:
    """Return the correlation one standard error above its estimate, on a grid of 0.05 (shared simulations)."""
    upper = rho + math.sqrt(max(1 - rho**2, 0.0) / n)
    return min(math.ceil(upper * 20) / 20, 0.95)
