"""Quality gates: inclusive at the threshold, and never a pass without numbers."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.measurement import Measurement
from domain.verdict import Judgement, Verdict
from learning.gates import KINDS, combine, judge_gate


@dataclass(frozen=True)
class Rule:
    kind: str
    threshold: float
    name: str = "signal"


def measured(value: float | None, n: int = 100, unit: str = "score") -> Measurement:
    return Measurement(value=value, unit=unit, n=n)


def verdict(kind: str, threshold: float, before: float | None, after: float | None) -> str:
    return judge_gate(Rule(kind, threshold), measured(before), measured(after)).verdict.value


@pytest.mark.parametrize("before", [0.1, 0.3, 0.55, 0.7, 0.72, 0.82, 1.0, 3.7])
def test_exactly_three_percent_more_passes_whatever_the_rounding(before: float) -> None:
    assert verdict("min_relative_delta", 0.03, before, before * 1.03) == "pass"
    assert verdict("min_relative_delta", 0.03, before, before + before * 0.03) == "pass"


def test_a_hair_less_than_three_percent_fails() -> None:
    assert verdict("min_relative_delta", 0.03, 0.7, 0.7 * 1.0299) == "fail"


@pytest.mark.parametrize(
    ("kind", "threshold", "before", "after", "expected"),
    [
        ("max_relative_delta", 0.15, 100, 115, "pass"),
        ("max_relative_delta", 0.15, 100, 115.1, "fail"),
        ("max_relative_delta", 0.15, 100, 20, "pass"),
        ("max", 0.5, None, 0.5, "pass"),
        ("max", 0.5, None, 0.51, "fail"),
        ("min", 4.0, None, 4.0, "pass"),
        ("min", 4.0, None, 3.99, "fail"),
        ("min_relative_delta", 0.03, None, 0.9, "insufficient"),
        ("min_relative_delta", 0.03, 0.0, 0.9, "error"),
        ("min_relative_delta", 0.03, -1.0, 0.9, "error"),
        ("min_relative_delta", float("nan"), 0.5, 0.9, "error"),
        ("at_most", 0.5, 0.5, 0.5, "error"),
    ],
)
def test_each_kind_of_gate_answers(
    kind: str, threshold: float, before: float | None, after: float, expected: str
) -> None:
    assert verdict(kind, threshold, before, after) == expected


def test_measurements_in_different_units_are_an_error() -> None:
    answer = judge_gate(Rule("max_relative_delta", 0.15), measured(0.1, unit="s"), measured(100, unit="ms"))
    assert answer.verdict is Verdict.ERROR
    assert "'s'" in answer.reason


def test_the_reason_names_signal_change_and_threshold() -> None:
    answer = judge_gate(Rule("min_relative_delta", 0.03, "ndcg_at_10"), measured(0.5), measured(0.51))
    assert answer.reason.startswith("ndcg_at_10: +2.00%")
    assert "+3.00%" in answer.reason


BROKEN = [
    None,
    measured(None),
    measured(float("nan")),
    measured(float("inf")),
    measured(float("-inf")),
    measured(0.9, n=0),
    measured(0.9, n=-5),
    Measurement.missing("score", "nobody"),
]


@pytest.mark.parametrize("kind", KINDS)
def test_no_broken_candidate_passes_any_gate(kind: str) -> None:
    for baseline, candidate in product([*BROKEN, measured(0.5)], BROKEN):
        assert judge_gate(Rule(kind, 0.03), baseline, candidate).verdict is not Verdict.PASS


@pytest.mark.parametrize("kind", ["min_relative_delta", "max_relative_delta"])
def test_no_broken_baseline_passes_a_relative_gate(kind: str) -> None:
    for baseline in BROKEN:
        answer = judge_gate(Rule(kind, 0.03), baseline, measured(0.9))
        assert answer.verdict in (Verdict.INSUFFICIENT, Verdict.ERROR)


any_float = st.floats(allow_nan=True, allow_infinity=True)
any_measurement = st.none() | st.builds(
    Measurement, value=st.none() | any_float, unit=st.sampled_from(["score", "ms"]), n=st.integers(-3, 3)
)


@given(st.sampled_from([*KINDS, "other"]), any_float, any_measurement, any_measurement)
def test_a_pass_always_rests_on_usable_measurements(
    kind: str, threshold: float, baseline: Measurement | None, candidate: Measurement | None
) -> None:
    answer = judge_gate(Rule(kind, threshold), baseline, candidate)
    if answer.verdict is Verdict.PASS:
        assert candidate is not None
        assert candidate.usable
        if kind.endswith("relative_delta"):
            assert baseline is not None
            assert baseline.usable
            assert baseline.unit == candidate.unit


def judgement(value: Verdict) -> Judgement:
    return Judgement(verdict=value, reason=value.value)


@given(st.lists(st.sampled_from(list(Verdict))))
def test_combining_answers_the_worst_and_nothing_is_insufficient(verdicts: list[Verdict]) -> None:
    order = [Verdict.ERROR, Verdict.FAIL, Verdict.INSUFFICIENT, Verdict.PASS]
    expected = min(verdicts, key=order.index) if verdicts else Verdict.INSUFFICIENT
    assert combine(judgement(v) for v in verdicts).verdict is expected
