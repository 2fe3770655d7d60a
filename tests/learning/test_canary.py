"""The watch: a known rate of false rollbacks, also when neighbouring points are correlated."""

from __future__ import annotations

import numpy as np
import pytest

from domain.verdict import Judgement, Verdict
from learning.canary import WatchDesign, conclude_watch, judge_gain, judge_watch, watch_threshold
from learning.characteristics import false_gain_rates, false_rollback_rates

# Two and a half standard errors of 1,000 runs at five percent.
TOLERANCE = 0.017


@pytest.mark.parametrize("rho", [0.0, 0.5, 0.8])
def test_an_unchanged_model_is_rolled_back_in_at_most_five_percent_of_watches(rho: float) -> None:
    rates = false_rollback_rates(rho=rho, runs=1000, seed=11)
    assert rates.sequential <= 0.05 + TOLERANCE


def test_the_naive_rule_rolls_back_four_of_five_unchanged_models_in_the_same_simulation() -> None:
    rates = false_rollback_rates(rho=0.0, runs=500, seed=12)
    assert rates.naive >= 0.75
    assert rates.sequential <= 0.08


@pytest.mark.parametrize(("rho", "caught"), [(0.0, 0.99), (0.5, 0.95), (0.8, 0.8)])
def test_a_loss_of_three_percent_is_caught_in_most_watches(rho: float, caught: float) -> None:
    rates = false_rollback_rates(rho=rho, relative_shift=-0.03, runs=200, seed=13)
    assert rates.sequential >= caught
    assert rates.mean_look <= 4


def test_a_short_baseline_does_not_raise_the_false_rollbacks() -> None:
    assert false_rollback_rates(rho=0.3, n_baseline=12, looks=6, runs=600, seed=14).sequential <= 0.05 + 0.022


def series(level: float, n: int, seed: int, sd: float = 0.007) -> list[float]:
    return list(level + sd * np.random.default_rng(seed).standard_normal(n))


DESIGN = WatchDesign(looks=12)


def test_a_watch_that_is_not_over_is_insufficient() -> None:
    answer = judge_watch(series(0.72, 60, 1), series(0.72, 5, 2), DESIGN)
    assert answer.verdict is Verdict.INSUFFICIENT
    assert "look 5 of 12" in answer.reason


def test_a_watch_that_is_over_passes_and_says_what_it_would_have_seen() -> None:
    answer = judge_watch(series(0.72, 60, 1), series(0.72, 12, 2), DESIGN)
    assert answer.verdict is Verdict.PASS
    assert 0 < float(answer.figures["detectable"] or 0) < 0.03


def test_a_degraded_signal_fails_at_once_when_it_is_clear() -> None:
    answer = judge_watch(series(0.72, 60, 1), series(0.62, 1, 2), DESIGN)
    assert answer.verdict is Verdict.FAIL


def test_for_a_signal_where_less_is_better_more_is_degraded() -> None:
    better = judge_watch(series(0.72, 60, 1), series(0.62, 12, 2), DESIGN, higher_is_better=False)
    worse = judge_watch(series(0.72, 60, 1), series(0.82, 12, 2), DESIGN, higher_is_better=False)
    assert (better.verdict, worse.verdict) == (Verdict.PASS, Verdict.FAIL)


def test_a_loss_within_the_tolerance_is_accepted() -> None:
    tolerant = WatchDesign(looks=12, tolerance=0.05)
    assert judge_watch(series(0.72, 60, 1), series(0.70, 12, 2), tolerant).verdict is Verdict.PASS
    assert judge_watch(series(0.72, 60, 1), series(0.70, 12, 2), DESIGN).verdict is Verdict.FAIL


def test_a_known_sampling_error_keeps_a_lucky_quiet_baseline_from_alarming() -> None:
    quiet, now = series(0.72, 12, 1, sd=0.0005), series(0.71, 6, 2)
    assert judge_watch(quiet, now, DESIGN).verdict is Verdict.FAIL
    assert judge_watch(quiet, now, DESIGN, sampling_sd=0.03).verdict is Verdict.INSUFFICIENT


def test_a_baseline_that_never_moves_is_a_stuck_measurement() -> None:
    answer = judge_watch([0.72] * 30, series(0.72, 12, 2), DESIGN)
    assert answer.verdict is Verdict.ERROR
    assert "stuck" in answer.reason


def test_a_sampling_error_that_is_none_is_an_error() -> None:
    answer = judge_watch(series(0.72, 30, 1), series(0.72, 12, 2), DESIGN, sampling_sd=float("nan"))
    assert answer.verdict is Verdict.ERROR


def test_the_threshold_grows_with_the_correlation_it_must_survive() -> None:
    assert watch_threshold(20, DESIGN, 0.8) < watch_threshold(20, DESIGN, 0.0) < -1.6


@pytest.mark.parametrize("field", ["looks", "alpha", "min_looks", "min_baseline", "tolerance", "shape"])
def test_a_watch_design_out_of_range_names_its_field(field: str) -> None:
    values: dict[str, float] = {
        "looks": 0,
        "alpha": 0.6,
        "min_looks": 99,
        "min_baseline": 2,
        "tolerance": -1,
        "shape": 0.9,
    }
    with pytest.raises(ValueError, match=field):
        WatchDesign(**{"looks": 12, field: values[field]})  # type: ignore[arg-type]


def test_a_passed_limit_rolls_back_although_the_test_had_an_error() -> None:
    error = Judgement(verdict=Verdict.ERROR, reason="no numbers")
    fail = Judgement(verdict=Verdict.FAIL, reason="too slow")
    answer = conclude_watch(error, [fail])
    assert answer.verdict is Verdict.FAIL
    assert answer.reason == "too slow"


# -- the gain --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("rho", "looks", "before"), [(0.0, 12, 60), (0.5, 12, 60), (0.8, 12, 60), (0.5, 6, 15)])
def test_an_unchanged_model_is_called_better_in_at_most_five_percent_of_watches(
    rho: float, looks: int, before: int
) -> None:
    told, bare = false_gain_rates(rho=rho, looks=looks, n_baseline=before, runs=1000, seed=21)
    assert told <= 0.05 + TOLERANCE
    assert bare >= 0.4


@pytest.mark.parametrize(("rho", "seen"), [(0.0, 0.99), (0.5, 0.99), (0.8, 0.9)])
def test_a_gain_of_three_percent_is_seen_by_most_watches(rho: float, seen: float) -> None:
    assert false_gain_rates(rho=rho, relative_shift=0.03, runs=300, seed=22)[0] >= seen


def test_a_gain_is_read_when_all_looks_are_there_and_says_its_lower_bound() -> None:
    before, after = series(0.72, 60, 1), series(0.76, 12, 2)
    assert judge_gain(before, after[:11], DESIGN).verdict is Verdict.INSUFFICIENT
    answer = judge_gain(before, after, DESIGN)
    assert answer.passed
    gain, lower = float(answer.figures["gain"] or 0), float(answer.figures["lower"] or 0)
    assert 0.03 < lower < gain < 0.05
    assert f"at least {lower:+.4f} with 95% confidence" in answer.reason


def test_a_gain_is_told_from_a_loss_and_from_what_its_error_hides() -> None:
    before = series(0.72, 60, 1)
    assert judge_gain(before, series(0.722, 12, 2), DESIGN, sampling_sd=0.05).verdict is Verdict.INSUFFICIENT
    assert judge_gain(before, series(0.68, 12, 2), DESIGN).verdict is Verdict.FAIL
    assert judge_gain(before, series(0.68, 12, 2), DESIGN, higher_is_better=False).passed


def test_a_tolerated_loss_is_no_gain() -> None:
    tolerant = WatchDesign(looks=12, tolerance=0.05)
    assert judge_watch(series(0.72, 60, 1), series(0.70, 12, 2), tolerant).passed
    assert judge_gain(series(0.72, 60, 1), series(0.70, 12, 2), tolerant).verdict is Verdict.FAIL


@pytest.mark.parametrize("sampling_sd", [float("nan"), float("inf"), -0.1])
def test_an_error_that_is_none_shows_no_gain(sampling_sd: float) -> None:
    answer = judge_gain(series(0.72, 60, 1), series(0.8, 12, 2), DESIGN, sampling_sd=sampling_sd)
    assert answer.verdict is Verdict.ERROR


def test_a_baseline_that_is_stuck_shows_no_gain() -> None:
    assert judge_gain([0.72] * 60, series(0.8, 12, 2), DESIGN).verdict is Verdict.ERROR
