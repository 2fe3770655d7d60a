"""Anomalies, changes of level and dips that heal."""

from __future__ import annotations

import numpy as np
import pytest

from domain.verdict import Verdict
from learning.anomaly import AnomalyDesign, Direction, detect_anomaly
from learning.change import locate_change
from learning.series import Floats, ar1_paths, at_least, at_most, estimate_noise, lag_one, mean_inflation


def paths(n: int, runs: int, rho: float = 0.0, seed: int = 0) -> Floats:
    return 0.72 + 0.007 * ar1_paths(np.random.default_rng(seed), runs, n, rho)


@pytest.mark.parametrize("rho", [0.0, 0.5, 0.8])
def test_an_unchanged_signal_is_rarely_anomalous_however_correlated(rho: float) -> None:
    design = AnomalyDesign(direction="both", alpha=0.01, min_relative_change=0.0)
    rows = paths(46, 1000, rho, seed=21)
    alarms = sum(detect_anomaly(row[:40], row[40:], design).verdict is Verdict.FAIL for row in rows)
    assert alarms / 1000 <= 0.02


def test_a_drop_of_five_percent_is_anomalous() -> None:
    (row,) = paths(46, 1, seed=1)
    row[40:] -= 0.036
    answer = detect_anomaly(row[:40], row[40:])
    assert answer.verdict is Verdict.FAIL
    assert float(answer.figures["relative_change"] or 0) == pytest.approx(-0.05, abs=0.01)


@pytest.mark.parametrize(("direction", "expected"), [("down", "pass"), ("up", "fail"), ("both", "fail")])
def test_only_the_bad_direction_alarms(direction: Direction, expected: str) -> None:
    (row,) = paths(46, 1, seed=2)
    row[40:] += 0.05
    assert detect_anomaly(row[:40], row[40:], AnomalyDesign(direction=direction)).verdict.value == expected


def test_a_certain_but_tiny_change_does_not_alarm() -> None:
    (row,) = paths(500, 1, seed=3)
    row[400:] -= 0.007
    assert detect_anomaly(row[:400], row[400:]).verdict is Verdict.PASS
    sensitive = AnomalyDesign(min_relative_change=0.001)
    assert detect_anomaly(row[:400], row[400:], sensitive).verdict is Verdict.FAIL


def test_outliers_in_the_baseline_do_not_blunt_the_check() -> None:
    (row,) = paths(46, 1, seed=4)
    row[[3, 17]] = [0.1, 1.4]
    row[40:] -= 0.06
    assert detect_anomaly(row[:40], row[40:]).verdict is Verdict.FAIL


def test_errors_after_none_at_all_are_anomalous() -> None:
    design = AnomalyDesign(direction="up")
    assert detect_anomaly([0.0] * 30, [4.0, 5.0, 4.0], design).verdict is Verdict.FAIL
    assert detect_anomaly([0.0] * 30, [0.0, 0.0, 0.0], design).verdict is Verdict.PASS


def test_the_onset_of_a_change_is_found() -> None:
    (row,) = paths(60, 1, seed=5)
    row[40:] -= 0.04
    times = 1_000_000 + 15.0 * np.arange(60)
    change = locate_change(times, row)
    assert change.index is not None
    assert abs(change.index - 40) <= 1
    assert change.onset == times[change.index]
    assert change.before is not None
    assert change.after is not None
    assert change.before > change.after


@pytest.mark.parametrize(("rho", "most"), [(0.0, 0.02), (0.5, 0.04), (0.8, 0.08)])
def test_a_change_is_rarely_found_where_there_is_none(rho: float, most: float) -> None:
    rows = paths(46, 600, rho, seed=22)
    found = sum(locate_change(np.arange(46.0), row).onset is not None for row in rows)
    assert found / 600 <= most


def test_times_that_do_not_rise_are_an_error() -> None:
    answer = locate_change([0.0] * 30, list(range(30)))
    assert answer.judgement.verdict is Verdict.ERROR


def test_a_constant_series_has_no_change() -> None:
    assert locate_change(range(30), [0.5] * 30).onset is None


def test_a_step_without_noise_is_a_change() -> None:
    assert locate_change(range(30), [1.0] * 20 + [2.0] * 10).index == 20


def test_the_variance_of_a_correlated_mean_is_that_of_the_sum_of_correlations() -> None:
    n, rho = 7, 0.6
    matrix = rho ** np.abs(np.subtract.outer(np.arange(n), np.arange(n)))
    assert mean_inflation(n, rho) == pytest.approx(matrix.sum() / n)


def test_the_correlation_of_a_series_is_estimated_without_much_bias() -> None:
    rows = ar1_paths(np.random.default_rng(9), 500, 60, 0.5)
    assert np.mean([lag_one(row) for row in rows]) == pytest.approx(0.5, abs=0.04)
    assert np.mean([estimate_noise(row).sd for row in rows]) == pytest.approx(1.0, abs=0.06)


def test_comparisons_forgive_rounding_and_nothing_more() -> None:
    assert at_least(0.1 + 0.2 - 0.3 + 0.03, 0.03)
    assert at_least(1.03 - 1, 0.03)
    assert not at_least(0.029999, 0.03)
    assert at_most(1.15 - 1, 0.15)
    assert not at_most(0.150001, 0.15)
    assert not at_least(float("nan"), 0.03)
    assert not at_most(float("nan"), 0.03)


@pytest.mark.parametrize("field", ["direction", "alpha", "min_relative_change", "min_baseline", "min_current"])
def test_an_anomaly_design_out_of_range_names_its_field(field: str) -> None:
    values: dict[str, float | str] = {
        "direction": "left",
        "alpha": 1,
        "min_relative_change": -1,
        "min_baseline": 1,
        "min_current": 0,
    }
    with pytest.raises(ValueError, match=field):
        AnomalyDesign(**{field: values[field]})  # type: ignore[arg-type]
