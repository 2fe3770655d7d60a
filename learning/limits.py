"""Hard limits of a watch: levels that must not be passed, whatever the statistics say."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from domain.measurement import Measurement
from domain.verdict import Judgement, Verdict
from learning.series import at_most, judged, require


@dataclass(frozen=True, slots=True)
class HardLimit:
    """A level that must not be passed, whatever the statistics say.

    `kind` is ``max_ratio`` or ``min_ratio`` (threshold times the baseline) or ``max`` or ``min`` (in the signal's
    unit). `persist` is how many readings in a row must be beyond it: one slow scrape is no degradation.

    Raises:
        ValueError: the kind is unknown, or a number out of range.
    """

    signal: str
    kind: str
    threshold: float
    persist: int = 2

    def __post_init__(self) -> None:
        require(
            self.kind in ("max_ratio", "min_ratio", "max", "min"), "kind", self.kind, "max_ratio, min_ratio, max or min"
        )
        require(math.isfinite(self.threshold), "threshold", self.threshold, "finite")
        require(self.persist >= 1, "persist", self.persist, "at least 1")


def judge_limit(limit: HardLimit, baseline: Measurement | None, readings: Sequence[Measurement]) -> Judgement:
    """Judge the readings since the promotion, oldest first: `fail` when the last `persist` are all beyond the limit.

    `pass` needs the last reading, and a baseline for a ratio, to be there; a reading that is not finite is `error`.
    """
    bound = limit.threshold
    if limit.kind.endswith("_ratio"):
        if baseline is None or baseline.value is None or baseline.n <= 0:
            return judged(Verdict.INSUFFICIENT, f"{limit.signal}: the baseline was not measured", limit.signal)
        bound *= baseline.value
    if not math.isfinite(bound):
        return judged(Verdict.ERROR, f"{limit.signal}: the baseline is not a finite number", limit.signal)
    if any(r.value is not None and not math.isfinite(r.value) for r in readings):
        return judged(Verdict.ERROR, f"{limit.signal}: a reading is not a finite number", limit.signal)
    recent = list(readings[-limit.persist :])
    values = [r.value for r in recent if r.value is not None and r.n > 0]
    if len(values) < len(recent) or len(values) < limit.persist:
        return judged(Verdict.INSUFFICIENT, f"{limit.signal}: {len(values)} of {limit.persist} readings", limit.signal)
    inside = _within(limit.kind)
    good = any(inside(v, bound) for v in values)
    word = "at most" if limit.kind.startswith("max") else "at least"
    reason = f"{limit.signal}: {values[-1]:.4g} where {word} {bound:.4g} is allowed"
    return judged(Verdict.PASS if good else Verdict.FAIL, reason, limit.signal, current=values[-1], limit=bound)


def _within(kind: str) -> Callable[[float, float], bool]:
    if kind.startswith("max"):
        return at_most
    return lambda value, bound: at_most(bound, value)
