"""Two systems over the same queries: the relative lift with its interval, and the gate on it."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from domain.verdict import Judgement, Verdict
from learning.quantiles import t_quantile
from learning.series import Floats, at_least, examine_both, judged, require

_NAME = "paired_lift"


def compare_paired(
    baseline: ArrayLike,
    candidate: ArrayLike,
    *,
    min_relative_delta: float = 0.03,
    confidence: float = 0.95,
    min_queries: int = 50,
    bootstrap: int = 0,
    seed: int = 0,
) -> Judgement:
    """Judge the candidate's mean against the baseline's over the same queries, in the same order.

    `pass` when the relative lift is at least `min_relative_delta` (inclusive) and the lower end of its two-sided
    interval is above zero; `fail` when the lift is smaller; `insufficient` when it is large enough but the interval
    still holds zero.

    The interval is Fieller's (1954) for a ratio of correlated means; with `bootstrap` > 0 it is the percentile
    interval of that many resamples of the queries.

    Figures: baseline, candidate, lift, lower, upper, confidence, n.

    Raises:
        ValueError: `confidence`, `min_queries` or `min_relative_delta` is out of range.
    """
    require(0.5 < confidence < 1, "confidence", confidence, "between 0.5 and 1")
    require(min_queries >= 3, "min_queries", min_queries, "at least 3")
    require(math.isfinite(min_relative_delta), "min_relative_delta", min_relative_delta, "finite")
    both = examine_both(baseline, "the baseline", min_queries, candidate, "the candidate", min_queries)
    if isinstance(both, Judgement):
        return both.model_copy(update={"name": _NAME})
    before, after = both
    if before.size != after.size:
        return judged(Verdict.ERROR, f"{before.size} and {after.size} queries are not the same queries", _NAME)
    with np.errstate(all="ignore"):
        interval = (
            _bootstrapped(before, after, confidence, bootstrap, seed)
            if bootstrap
            else _fieller(before, after, confidence)
        )
        m1, m2 = float(before.mean()), float(after.mean())
    if not (math.isfinite(m1) and math.isfinite(m2)) or m1 <= 0:
        return judged(Verdict.ERROR, f"no relative lift over a baseline of {m1:g}", _NAME)
    return _judge(m1, m2, interval, int(before.size), min_relative_delta, confidence)


def _judge(
    m1: float, m2: float, interval: tuple[float, float] | None, n: int, gate: float, confidence: float
) -> Judgement:
    lift = (m2 - m1) / m1
    if not math.isfinite(lift):
        return judged(Verdict.ERROR, f"no relative lift over a baseline of {m1:g}", _NAME)
    figures: dict[str, float | int | str | None] = {
        "baseline": m1,
        "candidate": m2,
        "lift": lift,
        "lower": interval[0] if interval else None,
        "upper": interval[1] if interval else None,
        "confidence": confidence,
        "n": n,
    }
    if interval is None:
        return judged(Verdict.INSUFFICIENT, f"lift {lift:+.2%}, too uncertain for an interval", _NAME, **figures)
    said = f"lift {lift:+.2%} [{interval[0]:+.2%}, {interval[1]:+.2%}] over {n} queries"
    if not at_least(lift, gate):
        return judged(Verdict.FAIL, f"{said}: below {gate:+.2%}", _NAME, **figures)
    if not interval[0] > 0:
        return judged(Verdict.INSUFFICIENT, f"{said}: not shown to be above zero", _NAME, **figures)
    return judged(Verdict.PASS, f"{said}: at least {gate:+.2%} and above zero", _NAME, **figures)


def _fieller(before: Floats, after: Floats, confidence: float) -> tuple[float, float] | None:
    n = before.size
    cov = np.cov(before, after) / n
    t2 = t_quantile((1 + confidence) / 2, n - 1) ** 2
    m1, m2 = float(before.mean()), float(after.mean())
    a, b, c = m1 * m1 - t2 * cov[0, 0], m1 * m2 - t2 * cov[0, 1], m2 * m2 - t2 * cov[1, 1]
    if not a > 0:
        return None
    root = math.sqrt(max(float(b * b - a * c), 0.0))
    lower, upper = float((b - root) / a - 1), float((b + root) / a - 1)
    return (lower, upper) if math.isfinite(lower) and math.isfinite(upper) else None


def _bootstrapped(
    before: Floats, after: Floats, confidence: float, resamples: int, seed: int
) -> tuple[float, float] | None:
    rng = np.random.default_rng(seed)
    lifts = np.empty(resamples)
    for i in range(resamples):
        picked = rng.integers(0, before.size, before.size)
        lifts[i] = after[picked].mean() / before[picked].mean() - 1
    if not np.isfinite(lifts).all():
        return None
    lower, upper = np.quantile(lifts, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(lower), float(upper)
