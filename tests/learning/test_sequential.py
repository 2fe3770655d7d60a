"""The A/B test: valid at every look, and powerful enough to be of use."""

from __future__ import annotations

import math

import numpy as np
import pytest

from domain.verdict import Verdict
from learning.characteristics import operating_characteristics
from learning.sequential import (
    ArmSummary,
    SequentialDesign,
    bound_multiplier,
    compare_arms,
    lift_bounds,
    plan_from_look,
    users_needed,
)

PLANNED = SequentialDesign(planned_users=14_000, split=0.5)


def arms(lift: float, n: int = 7000, mean: float = 0.72, sd: float = 0.149) -> tuple[ArmSummary, ArmSummary]:
    return ArmSummary(mean, sd**2, n), ArmSummary(mean * (1 + lift), sd**2, n)


def test_a_clear_lift_above_the_margin_passes() -> None:
    answer = compare_arms(*arms(0.05), PLANNED)
    assert answer.verdict is Verdict.PASS
    assert answer.figures["lift"] == pytest.approx(0.05)
    assert answer.figures["lower"] is not None


def test_a_lift_of_exactly_the_margin_passes() -> None:
    assert compare_arms(*arms(0.03), PLANNED).verdict is Verdict.PASS


def test_a_certain_lift_below_the_margin_fails() -> None:
    answer = compare_arms(*arms(0.015), PLANNED)
    assert answer.verdict is Verdict.FAIL
    assert "out of reach" in answer.reason


def test_a_worse_candidate_fails() -> None:
    assert compare_arms(*arms(-0.04), PLANNED).verdict is Verdict.FAIL


def test_a_lift_that_may_be_chance_is_insufficient() -> None:
    answer = compare_arms(*arms(0.05, n=150), PLANNED)
    assert answer.verdict is Verdict.INSUFFICIENT
    assert "not yet shown" in answer.reason


def test_too_few_users_in_one_arm_are_insufficient() -> None:
    baseline, candidate = arms(0.5)
    few = ArmSummary(candidate.mean, candidate.variance, 99)
    assert compare_arms(baseline, few, PLANNED).verdict is Verdict.INSUFFICIENT


def test_arms_without_any_spread_are_an_error() -> None:
    assert compare_arms(*arms(0.05, sd=0.0), PLANNED).verdict is Verdict.ERROR


def test_proof_of_the_margin_asks_for_more_than_proof_of_a_lift() -> None:
    strict = SequentialDesign(planned_users=14_000, split=0.5, floor=0.03)
    assert compare_arms(*arms(0.035), PLANNED).verdict is Verdict.PASS
    assert compare_arms(*arms(0.035), strict).verdict is Verdict.INSUFFICIENT
    assert compare_arms(*arms(0.06), strict).verdict is Verdict.PASS


def test_the_bounds_narrow_with_the_sample_and_hold_the_estimate() -> None:
    widths = []
    for n in (500, 2000, 7000):
        bounds = lift_bounds(*arms(0.03, n=n), PLANNED)
        assert bounds is not None
        assert bounds.lower < bounds.lift < bounds.upper
        widths.append(bounds.upper - bounds.lower)
    assert widths == sorted(widths, reverse=True)


def test_the_bound_at_the_planned_end_is_nearly_that_of_one_look() -> None:
    assert bound_multiplier(1.0, 0.05) < 2.05
    assert bound_multiplier(1.0, 0.05, planned=False) > 2.3


def test_beyond_the_plan_only_the_bound_that_holds_for_ever_is_used() -> None:
    assert bound_multiplier(1.1, 0.05) > bound_multiplier(1.0, 0.05)


@pytest.mark.parametrize("field", ["alpha", "min_per_arm", "split", "margin", "planned_users"])
def test_a_design_out_of_range_names_its_field(field: str) -> None:
    values: dict[str, float] = {"alpha": 0.0, "min_per_arm": 1, "split": 1.0, "margin": math.nan, "planned_users": 1}
    with pytest.raises(ValueError, match=field):
        SequentialDesign(**{field: values[field]})  # type: ignore[arg-type]


def test_an_equal_candidate_is_detected_in_at_most_five_percent_of_runs_over_14_looks() -> None:
    figures = operating_characteristics(0.0, runs=1000, seed=1)
    assert figures.detected <= 0.05 + 0.01
    assert figures.passed <= 0.01
    assert figures.naive_detected > 0.09


def test_without_a_plan_the_false_positives_stay_below_five_percent_too() -> None:
    figures = operating_characteristics(0.0, runs=600, seed=2, design=SequentialDesign(min_per_arm=500))
    assert figures.detected <= 0.05


def test_one_percent_of_lift_at_7000_users_is_detected_in_three_of_four_runs() -> None:
    figures = operating_characteristics(0.01, runs=600, seed=3)
    assert figures.users_per_arm == 7000
    assert figures.detected >= 0.75


def test_four_percent_of_lift_passes_the_gate_and_stops_early() -> None:
    figures = operating_characteristics(0.04, runs=300, seed=4)
    assert figures.passed >= 0.95
    assert figures.mean_looks <= 3


def test_the_plan_from_a_look_is_a_little_more_than_expected() -> None:
    assert plan_from_look(100, elapsed=2, window=40) == 2520
    assert plan_from_look(10_000, elapsed=40, window=40) == 10_710
    with pytest.raises(ValueError, match="elapsed"):
        plan_from_look(100, elapsed=0, window=40)


def test_a_plan_shrinks_with_users_who_come_back_and_never_grows() -> None:
    assert plan_from_look(700, elapsed=20, window=40, earlier=2520) == 1582
    assert plan_from_look(2000, elapsed=20, window=40, earlier=2520) == 2520


def _returning(rng: np.random.Generator, lift: float, users: int = 2000, looks: int = 20, per_look: int = 110) -> bool:
    """Whether an A/B test among users who come back passes at some look, with the plan made anew at every look."""
    own = rng.random(users) < 0.2
    who = rng.integers(users, size=looks * per_look)
    hits = rng.random(looks * per_look) < np.where(own[who], 0.6 * (1 + lift), 0.6)
    plan: int | None = None
    for look in range(1, looks + 1):
        seen = who[: look * per_look]
        visits = np.bincount(seen, minlength=users)
        means = np.bincount(seen, hits[: look * per_look], minlength=users)[visits > 0] / visits[visits > 0]
        arms = [means[own[visits > 0] == arm] for arm in (False, True)]
        plan = plan_from_look(len(means), look, looks, plan)
        design = SequentialDesign(min_per_arm=50, planned_users=plan)
        summaries = [ArmSummary(float(a.mean()), float(a.var(ddof=1)), len(a)) for a in arms]
        if compare_arms(summaries[0], summaries[1], design).passed:
            return True
    return False


def test_a_shrinking_plan_keeps_the_error_rate_and_finds_what_a_plan_of_the_first_look_misses() -> None:
    rng = np.random.default_rng(6)
    assert sum(_returning(rng, 0.0) for _ in range(400)) <= 0.05 * 400 + 5
    assert sum(_returning(rng, 0.16) for _ in range(200)) >= 0.85 * 200


def test_the_users_needed_give_the_power_they_promise() -> None:
    total = users_needed(0.01, mean=0.72, sd=0.149, power=0.8, split=0.5)
    figures = operating_characteristics(0.01, looks=14, users_per_look=math.ceil(total / 28), runs=500, seed=5)
    assert 0.74 <= figures.detected <= 0.9
