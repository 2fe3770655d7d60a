"""No combination of NaN, infinite, empty, missing or zero-sample inputs reads as a pass, in any decision."""

from __future__ import annotations

import math
from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from domain.verdict import Judgement, Verdict
from learning.anomaly import AnomalyDesign, detect_anomaly
from learning.canary import WatchDesign, conclude_watch, judge_gain, judge_watch
from learning.change import locate_change
from learning.drift import DriftDesign, compare_slices, compare_tokens
from learning.paired import compare_paired
from learning.sequential import ArmSummary, SequentialDesign, compare_arms
from learning.srm import check_sample_ratio

any_float = st.floats(allow_nan=True, allow_infinity=True)
healthy = st.floats(0.4, 0.6)
damage = st.sampled_from([float("nan"), float("inf"), float("-inf"), None])


@st.composite
def damaged(draw: st.DrawFn, size: int = 40) -> list[float | None]:
    """A series that is long enough, with at least one damaged value."""
    values: list[float | None] = list(draw(st.lists(healthy, min_size=size, max_size=size)))
    for place in draw(st.lists(st.integers(0, size - 1), min_size=1, max_size=4)):
        values[place] = draw(damage)
    return values


short: st.SearchStrategy[list[float | None]] = st.lists(healthy | st.none(), max_size=2)
good = st.lists(healthy, min_size=40, max_size=40)
bad = damaged() | short
WATCH = WatchDesign(looks=12, min_looks=3, min_baseline=12)
AB = SequentialDesign(margin=0.0, min_per_arm=50, planned_users=1000)


def refused(judgement: Judgement) -> bool:
    return judgement.verdict in (Verdict.INSUFFICIENT, Verdict.ERROR) and bool(judgement.reason)


def one_is_bad(first: st.SearchStrategy[list[float | None]]) -> st.SearchStrategy[tuple[Sequence[float | None], ...]]:
    return st.tuples(first, good) | st.tuples(good, first) | st.tuples(first, first)


@given(one_is_bad(bad))
def test_the_paired_comparison_refuses_damaged_input(pair: tuple[Sequence[float | None], ...]) -> None:
    assert refused(compare_paired(pair[0], pair[1], min_relative_delta=-1.0, min_queries=10))  # type: ignore[arg-type]


@given(one_is_bad(bad))
def test_the_watch_refuses_damaged_input(pair: tuple[Sequence[float | None], ...]) -> None:
    assert refused(judge_watch(pair[0], pair[1], WATCH))  # type: ignore[arg-type]
    assert refused(judge_gain(pair[0], pair[1], WATCH))  # type: ignore[arg-type]


@given(one_is_bad(bad))
def test_the_anomaly_check_refuses_damaged_input(pair: tuple[Sequence[float | None], ...]) -> None:
    assert refused(detect_anomaly(pair[0], pair[1], AnomalyDesign()))  # type: ignore[arg-type]


@given(bad)
def test_the_change_point_refuses_damaged_input(series: list[float | None]) -> None:
    answer = locate_change(list(range(len(series))), series)  # type: ignore[arg-type]
    assert refused(answer.judgement)
    assert answer.onset is None


@given(one_is_bad(bad))
def test_slices_refuse_damaged_input(pair: tuple[Sequence[float | None], ...]) -> None:
    (change,) = compare_slices({"a": (pair[0], pair[1])})  # type: ignore[dict-item]
    assert refused(change.judgement)


@given(any_float, any_float)
def test_the_sample_ratio_passes_counts_only(baseline: float, candidate: float) -> None:
    answer = check_sample_ratio(baseline, candidate)
    if answer.verdict is Verdict.PASS:
        assert math.isfinite(baseline)
        assert math.isfinite(candidate)
        assert min(baseline, candidate) > 0


arms = st.builds(ArmSummary, mean=any_float, variance=any_float, n=any_float)


@settings(max_examples=300)
@given(arms, arms)
def test_the_sequential_test_passes_finite_positive_arms_only(baseline: ArmSummary, candidate: ArmSummary) -> None:
    answer = compare_arms(baseline, candidate, AB)
    if answer.verdict is Verdict.PASS:
        for arm in (baseline, candidate):
            assert all(map(math.isfinite, (arm.mean, arm.variance, arm.n)))
            assert arm.n >= AB.min_per_arm
            assert arm.variance > 0


@given(st.sampled_from([0.0, -1.0, float("nan"), float("inf"), 49.0]), st.booleans())
def test_the_sequential_test_refuses_an_arm_without_users(n: float, in_baseline: bool) -> None:
    good_arm, empty = ArmSummary(0.5, 0.04, 10_000), ArmSummary(0.9, 0.04, n)
    pair = (empty, good_arm) if in_baseline else (good_arm, empty)
    assert refused(compare_arms(*pair, AB))


@given(st.lists(st.sampled_from(list(Verdict))), st.sampled_from(list(Verdict)))
def test_the_watch_concludes_pass_only_when_everything_passed(limits: list[Verdict], test: Verdict) -> None:
    answer = conclude_watch(Judgement(verdict=test, reason="t"), [Judgement(verdict=v, reason=v.value) for v in limits])
    assert (answer.verdict is Verdict.PASS) == all(v is Verdict.PASS for v in [test, *limits])
    assert (answer.verdict is Verdict.FAIL) == (Verdict.FAIL in [test, *limits])


counts = st.dictionaries(st.sampled_from("abcdef"), st.integers(-5, 30))


@given(counts, counts)
def test_token_drift_passes_on_enough_counts_only(reference: dict[str, int], current: dict[str, int]) -> None:
    answer = compare_tokens(reference, current, DriftDesign(min_tokens=40))
    if answer.judgement.verdict is Verdict.PASS:
        for side in (reference, current):
            assert min(side.values()) >= 0
            assert sum(side.values()) >= 40


@given(st.lists(any_float, min_size=12, max_size=40), st.lists(any_float, min_size=3, max_size=12))
def test_no_series_of_floats_makes_a_decision_raise(baseline: list[float], current: list[float]) -> None:
    answers = [
        judge_watch(baseline, current, WATCH),
        detect_anomaly(baseline, current, AnomalyDesign(min_baseline=8)),
        compare_paired(baseline, baseline[::-1], min_queries=3),
        locate_change(range(len(baseline)), baseline, min_points=8).judgement,
        compare_slices({"a": (baseline, current)}, min_queries=2)[0].judgement,
    ]
    for answer in answers:
        for figure in answer.figures.values():
            assert not isinstance(figure, float) or math.isfinite(figure)
