"""Drift of words, of slices, and of the split between two arms."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from domain.verdict import Verdict
from learning.drift import DriftDesign, compare_slices, compare_tokens, count_tokens
from learning.srm import check_sample_ratio


def words(seed: int, n: int, vocabulary: int = 300, prefix: str = "w") -> Counter[str]:
    rng = np.random.default_rng(seed)
    weights = 1 / np.arange(1, vocabulary + 1)
    drawn = rng.choice(vocabulary, n, p=weights / weights.sum())
    return Counter(f"{prefix}{i}" for i in drawn)


def test_two_samples_of_the_same_words_have_not_drifted() -> None:
    verdicts = [compare_tokens(words(s, 3000), words(s + 100, 600)).judgement.verdict for s in range(30)]
    assert verdicts.count(Verdict.FAIL) == 0


def test_new_subjects_are_drift_and_their_words_are_named() -> None:
    current = words(2, 500) + words(3, 500, prefix="new")
    drift = compare_tokens(words(1, 3000), current)
    assert drift.judgement.verdict is Verdict.FAIL
    assert drift.coverage == pytest.approx(0.5, abs=0.05)
    assert drift.new_tokens[0] == ("new0", current["new0"])
    assert 0 < drift.js <= 1
    assert drift.psi > 0.25


def test_a_few_tokens_say_nothing() -> None:
    drift = compare_tokens(words(1, 3000), words(3, 50, prefix="new"))
    assert drift.judgement.verdict is Verdict.INSUFFICIENT
    assert drift.new_tokens == ()


def test_a_negative_count_is_an_error() -> None:
    assert compare_tokens({"a": -1, "b": 900}, {"a": 500}).judgement.verdict is Verdict.ERROR


def test_tokens_are_lower_case_words_and_numbers() -> None:
    assert count_tokens(["Open the_File 3x", "open"]) == {"open": 2, "the": 1, "file": 1, "3x": 1}


def test_a_drift_design_out_of_range_names_its_field() -> None:
    with pytest.raises(ValueError, match="coverage_limit"):
        DriftDesign(coverage_limit=2)


def scored(seed: int, mean: float, n: int = 200) -> np.ndarray:
    return np.random.default_rng(seed).normal(mean, 0.2, n)


def test_the_slice_that_got_worse_is_found_and_comes_first() -> None:
    changes = compare_slices(
        {
            "same": (scored(1, 0.6), scored(2, 0.6)),
            "worse": (scored(3, 0.6), scored(4, 0.45)),
            "few": (scored(5, 0.6, 5), scored(6, 0.1, 5)),
        }
    )
    assert [c.name for c in changes] == ["worse", "same", "few"]
    assert [c.judgement.verdict.value for c in changes] == ["fail", "pass", "insufficient"]
    worse = changes[0]
    assert worse.lower is not None
    assert worse.upper is not None
    assert worse.lower < -0.15 < worse.upper < 0


def test_many_unchanged_slices_together_rarely_alarm() -> None:
    alarmed = 0
    for run in range(100):
        slices = {str(i): (scored(run * 50 + i, 0.6, 60), scored(9000 + run * 50 + i, 0.6, 60)) for i in range(10)}
        alarmed += any(c.judgement.verdict is Verdict.FAIL for c in compare_slices(slices))
    assert alarmed <= 11


def test_holm_never_lowers_a_p_value_and_keeps_their_order() -> None:
    changes = compare_slices({str(i): (scored(i, 0.6), scored(i + 50, 0.6 - 0.01 * i)) for i in range(6)})
    pairs = sorted((c.p or 0.0, c.p_adjusted or 0.0) for c in changes)
    assert all(p <= adjusted for p, adjusted in pairs)
    assert [a for _, a in pairs] == sorted(a for _, a in pairs)


@pytest.mark.parametrize(
    ("baseline", "candidate", "expected"),
    [
        (8000, 2000, "pass"),
        (8050, 1950, "pass"),
        (8300, 1700, "fail"),
        (40, 10, "insufficient"),
        (0, 0, "insufficient"),
    ],
)
def test_the_split_of_users_is_checked(baseline: int, candidate: int, expected: str) -> None:
    assert check_sample_ratio(baseline, candidate).verdict.value == expected


def test_counts_that_are_none_are_an_error() -> None:
    assert check_sample_ratio(-1, 100).verdict is Verdict.ERROR
    assert check_sample_ratio(float("nan"), 100).verdict is Verdict.ERROR


def test_a_fair_split_is_rarely_called_unfair() -> None:
    draws = np.random.default_rng(7).binomial(5000, 0.2, 2000)
    alarms = sum(check_sample_ratio(5000 - d, d).verdict is Verdict.FAIL for d in draws)
    assert alarms / 2000 <= 0.004


def test_a_split_outside_zero_and_one_is_refused() -> None:
    with pytest.raises(ValueError, match="split"):
        check_sample_ratio(1, 1, split=1.0)
