"""An anytime-valid comparison of two arms from their summary statistics: look as often as you like.

**The bound.** The difference of two means, divided by its variance, behaves like a Brownian motion with drift whose
clock is the information I = 1 / (v1/n1 + v2/n2). Two bounds on it are joined, each spending a share of alpha (a union
bound):

* a Gaussian mixture (Robbins; mSPRT; the asymptotic confidence sequence of Waudby-Smith, Arbour, Sinha, Kennedy and
  Ramdas, "Time-uniform central limit theory and asymptotic confidence sequences", Annals of Statistics 2024): holds
  for ever;
* a constant bound on the Brownian motion up to the planned information (by reflection, P(max B > b sqrt(T)) = 2 P(Z >
  b)), the continuous form of O'Brien and Fleming: holds at every moment up to the planned sample, and is nearly as
  sharp at its end as a test that looks once. Without a planned sample the mixture alone takes all of alpha.

**The relative lift** r - 1 = m2/m1 - 1 is bounded by Fieller's method: every r for which m2 - r m1 lies within the
bound.

**The rule.** With L the point estimate and [l, u] the bounds, each of which holds at all looks together with 1 -
alpha: `pass` when L >= margin (inclusive) and l > floor; `fail` when u < margin; otherwise `insufficient`. So an equal
or worse candidate passes with probability at most alpha over all looks (floor 0), asymptotically in the users per arm.
With `floor=margin` the test asks for proof of the margin itself.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from domain.verdict import Judgement, Verdict
from learning.quantiles import best_mixture_scale, normal_quantile
from learning.series import at_least, judged, require

_NAME = "ab"


@dataclass(frozen=True, slots=True)
class ArmSummary:
    """One arm: mean and variance (ddof 1) of the per-user means, and the number of users."""

    mean: float
    variance: float
    n: float


@dataclass(frozen=True, slots=True)
class SequentialDesign:
    """What is fixed before the first look.

    Args:
        margin: relative lift that is asked for (0.03 is 3 %).
        alpha: chance, over all looks, that a candidate without lift passes.
        min_per_arm: users in each arm before the answer is read; the bounds are asymptotic.
        planned_users: users in both arms together when the window ends, or None when nobody knows.
        split: share of users in the candidate arm.
        floor: what the lower bound must exceed; 0 asks for a lift, `margin` for proof of the margin.

    Raises:
        ValueError: a field is out of range.
    """

    margin: float = 0.03
    alpha: float = 0.05
    min_per_arm: int = 100
    planned_users: int | None = None
    split: float = 0.2
    floor: float = 0.0

    def __post_init__(self) -> None:
        require(math.isfinite(self.margin), "margin", self.margin, "finite")
        require(math.isfinite(self.floor), "floor", self.floor, "finite")
        require(0 < self.alpha < 0.5, "alpha", self.alpha, "between 0 and 0.5")
        require(self.min_per_arm >= 2, "min_per_arm", self.min_per_arm, "at least 2")
        require(0 < self.split < 1, "split", self.split, "between 0 and 1")
        planned = self.planned_users
        require(planned is None or planned >= 4, "planned_users", planned, "at least 4, or None")


# Measured over 14 looks: a larger share for the mixture stops sooner on large lifts and loses power at the end of the
# window.
_MIXTURE_SHARE = 0.15
# The mixture is tightest at this share of the plan, where the constant bound is still wide.
_MIXTURE_AIM = 0.25


@dataclass(frozen=True, slots=True)
class LiftBounds:
    """The relative lift, its bounds (each holds with 1 - alpha over all looks) and the share of the plan reached."""

    lift: float
    lower: float
    upper: float
    progress: float | None


def _mixture_multiplier(progress: float, alpha: float, aim: float) -> float:
    """Return the mixture bound in standard errors; `aim` is the progress at which it is tightest."""
    scaled = best_mixture_scale(alpha) * progress / aim
    return math.sqrt(2 * (1 + 1 / scaled) * math.log1p(math.sqrt(1 + scaled) / (2 * alpha)))


def bound_multiplier(progress: float, alpha: float, *, planned: bool = True) -> float:
    """Return how many standard errors the one-sided bound is from the estimate at `progress` of the plan.

    Args:
        progress: information so far over planned information, > 0. Without a plan: over the information at the first
            look.
        alpha: level of the one-sided bound over all looks.
        planned: whether there is a plan; without one, or beyond it, only the mixture bound holds.
    """
    if not planned:
        # Tightest at some four times the smallest sample that is read.
        return _mixture_multiplier(progress, alpha, aim=4.0)
    mixture = _mixture_multiplier(progress, alpha * _MIXTURE_SHARE, aim=_MIXTURE_AIM)
    if progress > 1 + 1e-9:
        return mixture
    constant = normal_quantile(1 - alpha * (1 - _MIXTURE_SHARE) / 2) / math.sqrt(progress)
    return min(mixture, constant)


def lift_bounds(baseline: ArmSummary, candidate: ArmSummary, design: SequentialDesign) -> LiftBounds | None:
    """Return the lift and its bounds, or None where the baseline is too uncertain for a ratio or nothing varies."""
    s1, s2 = baseline.variance / baseline.n, candidate.variance / candidate.n
    reference = _reference_variance(baseline, candidate, design)
    if not (s1 + s2 > 0 and reference > 0):
        return None
    progress = reference / (s1 + s2)
    k = bound_multiplier(progress, design.alpha, planned=design.planned_users is not None)
    m1, m2 = baseline.mean, candidate.mean
    a, b, c = m1 * m1 - k * k * s1, m1 * m2, m2 * m2 - k * k * s2
    if not (m1 > 0 and a > 0 and math.isfinite(k)):
        return None
    root = math.sqrt(max(b * b - a * c, 0.0))
    lower, upper, lift = (b - root) / a - 1, (b + root) / a - 1, m2 / m1 - 1
    if not all(map(math.isfinite, (lower, upper, lift))):
        return None
    return LiftBounds(lift, lower, upper, progress if design.planned_users is not None else None)


def plan_from_look(users: float, elapsed: float, window: float, earlier: int | None = None) -> int:
    """Return how many users to plan for, from those of both arms at a look; never more than was planned `earlier`.

    Users who come back make the later looks add fewer of them than the first, so a plan made there is far too large,
    and a bound for too large a plan is blunt. A plan may shrink, never grow, while one looks: with counts that say
    nothing about scores, every bound of the past was at least as wide as that of the last plan, so the chance that one
    of them is crossed is at most that of the last plan's bound, which is alpha. Two standard deviations of the count
    and a twentieth are added: the bound for the plan ends where the plan is exceeded, and a plan that is not quite
    reached costs little.

    Raises:
        ValueError: an argument is not positive and finite.
    """
    for field, value in (("users", users), ("elapsed", elapsed), ("window", window)):
        require(math.isfinite(value) and value > 0, field, value, "positive and finite")
    fresh = max(math.ceil((users + 2 * math.sqrt(users)) * max(window / elapsed, 1.0) * 21 / 20), 4)
    return fresh if earlier is None else min(earlier, fresh)


def users_needed(
    lift: float, *, mean: float, sd: float, power: float = 0.8, split: float = 0.2, alpha: float = 0.05
) -> int:
    """Return the users of both arms together with which a true `lift` is shown to be above zero with chance `power`.

    `mean` and `sd` are those of the per-user means. The bound is that of a test whose plan is just that many users.

    Raises:
        ValueError: an argument is out of range.
    """
    for field, value in (("lift", lift), ("mean", mean), ("sd", sd)):
        require(math.isfinite(value) and value > 0, field, value, "positive and finite")
    require(0 < power < 1, "power", power, "between 0 and 1")
    design = SequentialDesign(alpha=alpha, split=split)
    needed = normal_quantile(power) + bound_multiplier(1.0, design.alpha)
    variance = sd * sd * (1 / (1 - split) + 1 / split)
    return max(math.ceil(needed * needed * variance / (lift * mean) ** 2), 4)


def _reference_variance(baseline: ArmSummary, candidate: ArmSummary, design: SequentialDesign) -> float:
    """Return the variance of the difference at the planned sample, or at the smallest one that is read."""
    if design.planned_users is None:
        n1 = n2 = float(design.min_per_arm)
    else:
        n1, n2 = design.planned_users * (1 - design.split), design.planned_users * design.split
    return baseline.variance / n1 + candidate.variance / n2


def compare_arms(baseline: ArmSummary, candidate: ArmSummary, design: SequentialDesign) -> Judgement:
    """Judge at any look whether the candidate's lift is shown (`pass`), out of reach (`fail`) or open (`insufficient`).

    Figures: lift, lower, upper, alpha, margin, progress, n_baseline, n_candidate. The rule is in the module's
    docstring.
    """
    problem = _damage(baseline, "baseline") or _damage(candidate, "candidate")
    if problem:
        return judged(Verdict.ERROR, problem, _NAME)
    counts: dict[str, float | int | str | None] = {
        "n_baseline": baseline.n,
        "n_candidate": candidate.n,
        "margin": design.margin,
        "alpha": design.alpha,
    }
    if min(baseline.n, candidate.n) < design.min_per_arm:
        reason = f"{baseline.n:.0f} and {candidate.n:.0f} users, {design.min_per_arm} are needed in each arm"
        return judged(Verdict.INSUFFICIENT, reason, _NAME, **counts)
    if baseline.mean <= 0:
        return judged(Verdict.ERROR, f"no relative lift over a baseline of {baseline.mean:g}", _NAME, **counts)
    if baseline.variance == 0 or candidate.variance == 0:
        return judged(Verdict.ERROR, "users do not differ at all in one arm: the measurement is stuck", _NAME, **counts)
    bounds = lift_bounds(baseline, candidate, design)
    if bounds is None:
        return judged(Verdict.INSUFFICIENT, "the baseline is too uncertain for a relative lift", _NAME, **counts)
    return _judge(bounds, design, counts)


def _judge(bounds: LiftBounds, design: SequentialDesign, counts: dict[str, float | int | str | None]) -> Judgement:
    said = f"lift {bounds.lift:+.2%}, between {bounds.lower:+.2%} and {bounds.upper:+.2%} at all looks"
    figures = {**counts, "lift": bounds.lift, "lower": bounds.lower, "upper": bounds.upper, "progress": bounds.progress}
    reached = at_least(bounds.lift, design.margin)
    if reached and bounds.lower > design.floor:
        return judged(
            Verdict.PASS, f"{said}: at least {design.margin:+.2%} and above {design.floor:+.2%}", _NAME, **figures
        )
    if bounds.upper < design.margin:
        return judged(Verdict.FAIL, f"{said}: {design.margin:+.2%} is out of reach", _NAME, **figures)
    missing = (
        f"not yet shown to be above {design.floor:+.2%}"
        if reached
        else f"below {design.margin:+.2%}, not yet ruled out"
    )
    return judged(Verdict.INSUFFICIENT, f"{said}: {missing}", _NAME, **figures)


def _damage(arm: ArmSummary, which: str) -> str | None:
    for field, value in (("mean", arm.mean), ("variance", arm.variance), ("n", arm.n)):
        if not math.isfinite(value):
            return f"the {field} of the {which} arm is {value}, which is not a finite number"
    if arm.variance < 0 or arm.n < 0:
        return f"the {which} arm has variance {arm.variance:g} and {arm.n:g} users: negative"
    return None
