"""Paired comparisons keep their promises."""

from __future__ import annotations

import numpy as np
import pytest

from domain.verdict import Verdict
from learning.paired import compare_paired


def scores(seed: int, lift: float, n: int = 800) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    before = rng.beta(6, 4, n)
    noise = rng.normal(0, 0.05, n)
    after = before + noise - noise.mean() + lift * before.mean()
    return before, after


def test_a_lift_of_five_percent_passes_the_paired_gate() -> None:
    before, after = scores(1, 0.05)
    answer = compare_paired(before, after)
    assert answer.verdict is Verdict.PASS
    assert float(answer.figures["lift"] or 0) == pytest.approx(0.05)


def test_a_lift_of_exactly_three_percent_passes_the_paired_gate() -> None:
    before, _ = scores(2, 0.0)
    assert compare_paired(before, before * 1.03).verdict is Verdict.PASS


def test_a_lift_of_two_percent_fails_the_paired_gate() -> None:
    assert compare_paired(*scores(3, 0.02)).verdict is Verdict.FAIL


def test_a_large_lift_over_few_noisy_queries_is_insufficient() -> None:
    rng = np.random.default_rng(4)
    before = rng.beta(0.5, 0.5, 60)
    after = np.roll(before, 7)
    after += 0.035 * before.mean()
    answer = compare_paired(before, after)
    assert answer.verdict is Verdict.INSUFFICIENT
    assert "not shown to be above zero" in answer.reason


def test_both_intervals_agree_on_a_large_sample() -> None:
    before, after = scores(5, 0.05, 2000)
    fieller, boot = compare_paired(before, after), compare_paired(before, after, bootstrap=1000, seed=1)
    for end in ("lower", "upper"):
        assert float(fieller.figures[end] or 0) == pytest.approx(float(boot.figures[end] or 0), abs=0.001)


def test_the_interval_covers_the_true_lift_as_often_as_it_says() -> None:
    rng = np.random.default_rng(6)
    covered = 0
    for _ in range(1000):
        before = rng.beta(6, 4, 150)
        after = before * 1.04 + rng.normal(0, 0.1, 150)
        figures = compare_paired(before, after).figures
        covered += float(figures["lower"] or 0) <= 0.04 <= float(figures["upper"] or 0)
    assert 0.93 <= covered / 1000 <= 0.97


def test_different_numbers_of_queries_are_an_error() -> None:
    assert compare_paired([0.5] * 60, [0.5] * 61).verdict is Verdict.ERROR


def test_a_baseline_of_zero_is_an_error() -> None:
    assert compare_paired([0.0] * 60, [0.5] * 60).verdict is Verdict.ERROR
