"""Is a signal as it was? Anomaly against a baseline, and whether a dip has healed by itself."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from domain.verdict import Judgement, Verdict
from learning.quantiles import t_quantile
from learning.series import (
    Floats,
    Noise,
    estimate_noise,
    examine_both,
    is_constant,
    judged,
    require,
)

Direction = Literal["down", "up", "both"]

# What a constant baseline answers to any change: it has no scale to measure the change by.
_NO_SCALE = 999.0


@dataclass(frozen=True, slots=True)
class AnomalyDesign:
    """When a window counts as anomalous.

    Args:
        direction: which way is bad.
        alpha: chance that an unchanged signal is called anomalous at one look.
        min_relative_change: smaller changes do not matter however certain they are (0.03 is 3 %).
        min_baseline, min_current: points needed.

    Raises:
        ValueError: a field is out of range.
    """

    direction: Direction = "down"
    alpha: float = 0.005
    min_relative_change: float = 0.02
    min_baseline: int = 20
    min_current: int = 3

    def __post_init__(self) -> None:
        require(self.direction in ("down", "up", "both"), "direction", self.direction, "down, up or both")
        require(0 < self.alpha < 0.5, "alpha", self.alpha, "between 0 and 0.5")
        require(0 <= self.min_relative_change < math.inf, "min_relative_change", self.min_relative_change, "0 or more")
        require(self.min_baseline >= 8, "min_baseline", self.min_baseline, "at least 8")
        require(self.min_current >= 1, "min_current", self.min_current, "at least 1")


_DEFAULT = AnomalyDesign()


def detect_anomaly(baseline: ArrayLike, current: ArrayLike, design: AnomalyDesign = _DEFAULT) -> Judgement:
    """Judge whether the current window is as the baseline series (`pass`) or anomalous (`fail`).

    The centre is the baseline's median and the scale its median absolute deviation, so that a few outliers in the
    baseline do not blunt it; the variance of both means is that of AR(1) values; the limit is Student's at the
    effective sample size.

    Figures: z, limit, baseline, current, relative_change, rho, effective_n, n_baseline, n_current.
    """
    both = examine_both(
        baseline, "the baseline", design.min_baseline, current, "the current window", design.min_current
    )
    if isinstance(both, Judgement):
        return both.model_copy(update={"name": "anomaly"})
    before, now = both
    with np.errstate(all="ignore"):
        return _detect(before, now, design)


def _detect(before: Floats, now: Floats, design: AnomalyDesign) -> Judgement:
    centre, level = float(np.median(before)), float(now.mean())
    noise = _robust_noise(before)
    change = level - centre
    error = math.sqrt(noise.variance_of_mean(now.size) + noise.variance_of_mean(before.size) * math.pi / 2)
    z = change / error if error > 0 else math.copysign(_NO_SCALE, change) if change else 0.0
    relative = change / abs(centre) if centre else (0.0 if change == 0 else math.copysign(_NO_SCALE, change))
    if not (math.isfinite(z) and math.isfinite(relative)):
        return judged(Verdict.ERROR, "the numbers are too large or too small to be compared", "anomaly")
    tail = design.alpha / (2 if design.direction == "both" else 1)
    limit = t_quantile(1 - tail, max(noise.effective_n - 1, 1.0))
    towards = {"down": -z, "up": z, "both": abs(z)}[design.direction]
    anomalous = towards > limit and abs(relative) >= design.min_relative_change
    reason = f"{relative:+.2%} from {centre:.4g} (z {z:+.2f}, limit {limit:.2f}, correlation {noise.rho:.2f})"
    return judged(
        Verdict.FAIL if anomalous else Verdict.PASS,
        f"{reason}: {'anomalous' if anomalous else 'as before'}",
        "anomaly",
        z=z,
        limit=limit,
        baseline=centre,
        current=level,
        relative_change=relative,
        rho=noise.rho,
        effective_n=noise.effective_n,
        n_baseline=int(before.size),
        n_current=int(now.size),
    )


def _robust_noise(values: Floats) -> Noise:
    """Return the noise with outliers cut to four robust standard deviations; a mostly constant series keeps its own."""
    centre = float(np.median(values))
    scale = 1.4826 * float(np.median(np.abs(values - centre)))
    if is_constant(values):
        return Noise(0.0, 0.0, int(values.size))
    if scale == 0:
        return estimate_noise(values)
    return estimate_noise(np.clip(values, centre - 4 * scale, centre + 4 * scale))
