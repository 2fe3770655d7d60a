"""Drift: do the words of now come from the same distribution as those of the reference, and which slices got worse?"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from domain.verdict import Judgement, Verdict
from learning.quantiles import chi2_tail, t_quantile, t_tail, welch_df
from learning.series import Floats, examine_both, judged, require

_TOKEN = re.compile(r"[^\W_]+")


def count_tokens(texts: Iterable[str]) -> Counter[str]:
    """Return how often each lower-case word (letters and digits) occurs."""
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(_TOKEN.findall(text.lower()))
    return counts


@dataclass(frozen=True, slots=True)
class DriftDesign:
    """When a distribution counts as drifted.

    Args:
        psi_limit: population stability index from which on the change is large (0.25 by convention).
        coverage_limit: share of the current tokens the reference must know.
        alpha: level of the G-test that keeps small samples from looking like drift.
        min_tokens: tokens needed on each side.
        top: most frequent tokens that get a bin of their own; the others share one.
        new_tokens: how many unknown tokens are listed.

    Raises:
        ValueError: a field is out of range.
    """

    psi_limit: float = 0.25
    coverage_limit: float = 0.9
    alpha: float = 0.001
    min_tokens: int = 200
    top: int = 200
    new_tokens: int = 50

    def __post_init__(self) -> None:
        require(0 < self.psi_limit < math.inf, "psi_limit", self.psi_limit, "positive")
        require(0 <= self.coverage_limit <= 1, "coverage_limit", self.coverage_limit, "between 0 and 1")
        require(0 < self.alpha < 0.5, "alpha", self.alpha, "between 0 and 0.5")
        require(self.min_tokens >= 1, "min_tokens", self.min_tokens, "at least 1")
        require(self.top >= 2, "top", self.top, "at least 2")


_DEFAULT = DriftDesign()


@dataclass(frozen=True, slots=True)
class TokenDrift:
    """How the tokens of now differ. `judgement` is `fail` where they drifted; the numbers are 0 where it is no answer.

    `coverage` is the share of current token occurrences the reference knows; `new_tokens` are the unknown ones with
    their counts, most frequent first; `js` is the Jensen-Shannon divergence in bits, in [0, 1].
    """

    judgement: Judgement
    psi: float = 0.0
    js: float = 0.0
    coverage: float = 0.0
    new_tokens: tuple[tuple[str, int], ...] = ()


def compare_tokens(
    reference: Mapping[str, int], current: Mapping[str, int], design: DriftDesign = _DEFAULT
) -> TokenDrift:
    """Compare two token counts.

    Drifted means: the G-test says that the distributions differ, and either the population stability index over the
    `top` bins reaches its limit or the coverage falls below its own. PSI grows as the inverse of the sample size
    without any drift, so the expected share of that, (bins - 1) (1/n + 1/m), is taken off first.
    """
    for counts, which in ((reference, "reference"), (current, "current")):
        if any(not math.isfinite(c) or c < 0 for c in counts.values()):
            return TokenDrift(judged(Verdict.ERROR, f"a {which} count is not a count", "token_drift"))
        if sum(counts.values()) < design.min_tokens:
            reason = f"{sum(counts.values())} {which} tokens, {design.min_tokens} are needed"
            return TokenDrift(judged(Verdict.INSUFFICIENT, reason, "token_drift"))
    p, q = _binned(reference, current, design.top)
    n, m = float(p.sum()), float(q.sum())
    psi = max(_psi(p, q) - (p.size - 1) * (1 / n + 1 / m), 0.0)
    js = _jensen_shannon(p / n, q / m, 0.5)
    g = 2 * (n + m) * _jensen_shannon(p / n, q / m, n / (n + m)) * math.log(2)
    p_value = chi2_tail(g, p.size - 1)
    unknown = sorted(
        ((t, c) for t, c in current.items() if c > 0 and not reference.get(t)), key=lambda tc: (-tc[1], tc[0])
    )
    coverage = 1 - sum(c for _, c in unknown) / m
    drifted = p_value < design.alpha and (psi >= design.psi_limit or coverage < design.coverage_limit)
    reason = f"PSI {psi:.3f}, coverage {coverage:.1%}, {len(unknown)} unknown tokens (p = {p_value:.2g})"
    judgement = judged(
        Verdict.FAIL if drifted else Verdict.PASS,
        f"{reason}: {'drifted' if drifted else 'as before'}",
        "token_drift",
        psi=psi,
        js=js,
        coverage=coverage,
        p=p_value,
        n_reference=int(n),
        n_current=int(m),
        unknown_tokens=len(unknown),
    )
    return TokenDrift(judgement, psi, js, coverage, tuple(unknown[: design.new_tokens]))


def _binned(reference: Mapping[str, int], current: Mapping[str, int], top: int) -> tuple[Floats, Floats]:
    """Return the counts of the `top` tokens of both sides together, with one bin for all others."""
    together = Counter(reference)
    together.update(current)
    kept = [t for t, _ in sorted(together.items(), key=lambda tc: (-tc[1], tc[0]))[:top]]
    sides = []
    for counts in (reference, current):
        known = [counts.get(t, 0) for t in kept]
        sides.append(np.array([*known, sum(counts.values()) - sum(known)], dtype=np.float64))
    used = (sides[0] + sides[1]) > 0
    return sides[0][used], sides[1][used]


def _psi(p: Floats, q: Floats) -> float:
    a, b = (p + 0.5) / (p.sum() + 0.5 * p.size), (q + 0.5) / (q.sum() + 0.5 * q.size)
    return float(((a - b) * np.log(a / b)).sum())


def _jensen_shannon(p: Floats, q: Floats, weight: float) -> float:
    """Return the divergence in bits with `weight` on `p`; times 2 n ln 2 it is the G statistic of the two-row table."""
    mixed = weight * p + (1 - weight) * q
    with np.errstate(divide="ignore", invalid="ignore"):
        left = np.where(p > 0, p * np.log2(p / mixed), 0.0).sum()
        right = np.where(q > 0, q * np.log2(q / mixed), 0.0).sum()
    return max(float(weight * left + (1 - weight) * right), 0.0)


@dataclass(frozen=True, slots=True)
class SliceChange:
    """One slice before and after. `judgement` is `fail` where it got worse; `change` is absolute, with its interval.

    `p` is one-sided, for "got worse"; `p_adjusted` is Holm's (1979) over all slices that could be judged.
    """

    name: str
    judgement: Judgement
    n_before: int = 0
    n_after: int = 0
    before: float | None = None
    after: float | None = None
    change: float | None = None
    lower: float | None = None
    upper: float | None = None
    p: float | None = None
    p_adjusted: float | None = None


def compare_slices(
    slices: Mapping[str, tuple[ArrayLike, ArrayLike]],
    *,
    alpha: float = 0.05,
    confidence: float = 0.95,
    min_queries: int = 20,
) -> list[SliceChange]:
    """Compare per-query scores of each slice before and after (different queries) by Welch's test, worst change first.

    Args:
        slices: name -> (scores before, scores after).
        alpha: chance that any slice at all is wrongly called worse.

    Raises:
        ValueError: an argument is out of range.
    """
    require(0 < alpha < 0.5, "alpha", alpha, "between 0 and 0.5")
    require(0.5 < confidence < 1, "confidence", confidence, "between 0.5 and 1")
    require(min_queries >= 2, "min_queries", min_queries, "at least 2")
    raw = [_compare_slice(name, before, after, confidence, min_queries) for name, (before, after) in slices.items()]
    adjusted = _holm({s.name: s.p for s in raw if s.p is not None})
    changes = [_concluded(s, adjusted.get(s.name), alpha) for s in raw]
    return sorted(changes, key=lambda s: (s.change is None, s.change or 0.0, s.name))


def _compare_slice(name: str, before: ArrayLike, after: ArrayLike, confidence: float, minimum: int) -> SliceChange:
    both = examine_both(before, "the scores before", minimum, after, "the scores after", minimum)
    if isinstance(both, Judgement):
        return SliceChange(name, both.model_copy(update={"name": name}))
    a, b = both
    with np.errstate(all="ignore"):
        v1, v2 = float(a.var(ddof=1)), float(b.var(ddof=1))
        m1, m2 = float(a.mean()), float(b.mean())
    error = math.sqrt(v1 / a.size + v2 / b.size) if math.isfinite(v1 + v2) else math.nan
    if not error > 0:
        return SliceChange(name, judged(Verdict.ERROR, "the scores do not vary, or are too large", name))
    df = welch_df(v1, a.size, v2, b.size)
    half = t_quantile((1 + confidence) / 2, df) * error
    change = m2 - m1
    p = t_tail(-change / error, df)
    pending = judged(Verdict.INSUFFICIENT, "not concluded", name)
    return SliceChange(name, pending, a.size, b.size, m1, m2, change, change - half, change + half, p)


def _holm(p_values: Mapping[str, float]) -> dict[str, float]:
    adjusted: dict[str, float] = {}
    running = 0.0
    for rank, (name, p) in enumerate(sorted(p_values.items(), key=lambda np_: np_[1])):
        running = max(running, min(p * (len(p_values) - rank), 1.0))
        adjusted[name] = running
    return adjusted


def _concluded(s: SliceChange, p_adjusted: float | None, alpha: float) -> SliceChange:
    if p_adjusted is None or s.change is None or s.lower is None or s.upper is None:
        return s
    worse = p_adjusted < alpha and s.change < 0
    reason = (
        f"{s.before:.3f} to {s.after:.3f} ({s.change:+.3f} [{s.lower:+.3f}, {s.upper:+.3f}], Holm p = {p_adjusted:.2g})"
    )
    judgement = judged(
        Verdict.FAIL if worse else Verdict.PASS,
        f"{reason}: {'worse' if worse else 'not worse'}",
        s.name,
        before=s.before,
        after=s.after,
        change=s.change,
        p_adjusted=p_adjusted,
    )
    return SliceChange(
        s.name, judgement, s.n_before, s.n_after, s.before, s.after, s.change, s.lower, s.upper, s.p, p_adjusted
    )
