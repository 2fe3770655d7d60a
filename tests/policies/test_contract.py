"""The contract: seven triggers, every threshold in one place, and a breach only where numbers say so."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import ConfigurationError, InvalidInput
from domain.measurement import Measurement
from domain.verdict import Judgement, Verdict
from policies.contract import Contract, Limit, SignalOverride, breached, load_contract, rollback_due
from policies.loading import read_yaml
from policies.packaged import packaged_contract

CONTRACT = load_contract(packaged_contract())
Judge = Callable[[Contract, str, Measurement, Measurement], Judgement]


def measured(value: float | None, unit: str = "score", n: int = 100) -> Measurement:
    return Measurement(value=value, unit=unit, n=n)


def test_seven_triggers_watch_eight_signals() -> None:
    assert set(CONTRACT.signals) == {
        "ndcg_at_10",
        "recall_at_20",
        "latency_p95_ms",
        "etl_backlog_s",
        "budget_share",
        "cost_per_1k_requests",
        "vector_index_errors",
        "user_satisfaction",
    }
    assert len({row.trigger for row in CONTRACT.signals.values()}) == 7


def test_reaction_times_are_those_agreed() -> None:
    assert CONTRACT.signal("ndcg_at_10").reaction == timedelta(hours=1)
    assert CONTRACT.signal("latency_p95_ms").reaction == timedelta(minutes=5)
    assert CONTRACT.signal("vector_index_errors").reaction == timedelta(minutes=3)


@pytest.mark.parametrize(
    ("signal", "before", "now", "expected"),
    [
        ("ndcg_at_10", 0.80, 0.776, "fail"),
        ("ndcg_at_10", 0.80, 0.7761, "pass"),
        ("ndcg_at_10", 0.80, 0.9, "pass"),
        ("ndcg_at_10", None, 0.7, "insufficient"),
        ("ndcg_at_10", 0.0, 0.7, "error"),
        ("recall_at_20", 0.80, 0.76, "fail"),
        ("recall_at_20", 0.80, 0.77, "pass"),
        ("latency_p95_ms", 700, 801, "fail"),
        ("latency_p95_ms", 700, 800, "pass"),
        ("latency_p95_ms", 20, 30, "fail"),
        ("latency_p95_ms", 20, 29, "pass"),
        ("latency_p95_ms", None, 801, "fail"),
        ("latency_p95_ms", None, 100, "insufficient"),
        ("etl_backlog_s", None, 60, "pass"),
        ("etl_backlog_s", None, 61, "fail"),
        ("budget_share", None, 0.81, "fail"),
        ("cost_per_1k_requests", 0.1, 0.51, "fail"),
        ("cost_per_1k_requests", 0.1, 0.15, "fail"),
        ("vector_index_errors", None, 3, "pass"),
        ("vector_index_errors", None, 4, "fail"),
        ("user_satisfaction", None, 4.0, "pass"),
        ("user_satisfaction", None, 3.9, "fail"),
    ],
)
def test_the_strictest_limit_that_applies_decides(signal: str, before: float | None, now: float, expected: str) -> None:
    unit = CONTRACT.signal(signal).unit
    answer = breached(CONTRACT, signal, measured(now, unit), measured(before, unit))
    assert answer.verdict.value == expected, answer.reason
    assert signal in answer.reason


@pytest.mark.parametrize(
    ("signal", "before", "now", "expected"),
    [
        ("latency_p95_ms", 20, 31, "fail"),
        ("latency_p95_ms", 900, 1001, "fail"),
        ("latency_p95_ms", 900, 1000, "pass"),
        ("recall_at_20", 0.80, 0.78, "fail"),
        ("user_satisfaction", None, 3.6, "pass"),
        ("user_satisfaction", None, 3.4, "fail"),
        ("vector_index_errors", None, 11, "fail"),
        ("ndcg_at_10", 0.8, 0.1, "pass"),
    ],
)
def test_hard_limits_of_the_rollback_are_apart_from_those_of_the_trigger(
    signal: str, before: float | None, now: float, expected: str
) -> None:
    unit = CONTRACT.signal(signal).unit
    assert rollback_due(CONTRACT, signal, measured(now, unit), measured(before, unit)).verdict.value == expected


def test_the_loss_of_ndcg_is_left_to_the_sequential_test() -> None:
    assert CONTRACT.signal("ndcg_at_10").rollback.test == "sequential"


BROKEN = [None, measured(None), measured(0.5, n=0), measured(float("nan")), measured(float("inf"))]


@pytest.mark.parametrize("signal", sorted(CONTRACT.signals))
def test_a_broken_current_value_is_neither_a_breach_nor_well(signal: str) -> None:
    for current, baseline in product(BROKEN, [*BROKEN, measured(0.5)]):
        answer = breached(CONTRACT, signal, current, baseline)
        assert answer.verdict in (Verdict.INSUFFICIENT, Verdict.ERROR)


any_measurement = st.none() | st.builds(
    Measurement,
    value=st.none() | st.floats(allow_nan=True, allow_infinity=True),
    unit=st.sampled_from(["score", "ms", "v"]),
    n=st.integers(-2, 2),
)


@given(st.sampled_from(sorted(CONTRACT.signals)), any_measurement, any_measurement)
def test_no_answer_but_insufficient_or_error_without_a_usable_value(
    signal: str, current: Measurement | None, baseline: Measurement | None
) -> None:
    answer = breached(CONTRACT, signal, current, baseline)
    if answer.verdict in (Verdict.PASS, Verdict.FAIL):
        assert current is not None
        assert current.usable


def test_different_units_are_an_error() -> None:
    answer = breached(CONTRACT, "ndcg_at_10", measured(0.5, "score"), measured(0.5, "percent"))
    assert answer.verdict is Verdict.ERROR


@pytest.mark.parametrize("judge", [breached, rollback_due])
@pytest.mark.parametrize("value", [0.9, 1200.0, 1_000_000.0])
def test_a_value_in_another_unit_than_its_row_says_nothing_about_it(judge: Judge, value: float) -> None:
    answer = judge(CONTRACT, "latency_p95_ms", measured(value, "s"), measured(0.1, "s"))
    assert answer.verdict is Verdict.ERROR
    assert "measured in 's', and its limits are in 'ms'" in answer.reason


def test_the_promotion_gates_are_the_four_agreed() -> None:
    gates = {g.name: (g.kind, g.threshold) for g in CONTRACT.promotion_gates()}
    assert gates == {
        "ndcg_at_10": ("min_relative_delta", 0.03),
        "latency_p95_ms": ("max_relative_delta", 0.15),
        "cost_per_1k_requests": ("max", 0.5),
        "user_satisfaction": ("min", 4.0),
    }


def test_a_level_set_by_an_operator_is_a_rule_beside_the_relative_one() -> None:
    relative = "    kind: min_relative_delta\n    threshold: 0.03\n"
    text = packaged_contract().replace(relative, f"{relative}    min_level: 0.70\n")
    rules = load_contract(text).gate("ndcg_at_10")
    assert [(r.name, r.kind, r.threshold) for r in rules] == [
        ("ndcg_at_10", "min_relative_delta", 0.03),
        ("ndcg_at_10_level", "min", 0.7),
    ]


def test_a_target_may_have_its_own_limits() -> None:
    override = SignalOverride(limits=(Limit(kind="absolute", threshold=50),))
    own = CONTRACT.with_overrides({"latency_p95_ms": override})
    assert breached(own, "latency_p95_ms", measured(51, "ms")).verdict is Verdict.FAIL
    assert breached(CONTRACT, "latency_p95_ms", measured(51, "ms"), measured(50, "ms")).verdict is Verdict.PASS
    assert own.signal("latency_p95_ms").rollback == CONTRACT.signal("latency_p95_ms").rollback


def test_unknown_signals_and_gates_are_named_with_the_known_ones() -> None:
    with pytest.raises(InvalidInput, match="ndcg_at_10"):
        breached(CONTRACT, "mood", measured(1))
    with pytest.raises(InvalidInput, match="no_quality_loss"):
        CONTRACT.gate("mood")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("gates: [no_quality_loss]", "gates: [no_such_gate]", "no_such_gate"),
        ("reaction: PT5M", "reaction: 5", "latency_p95_ms.reaction"),
        ("reaction: PT5M", "reaction_time: PT5M", "reaction"),
        ("threshold: 800", "threshold: fast", "latency_p95_ms.limits.0"),
        ("threshold: 800", "threshold: .nan", "latency_p95_ms.limits.0"),
        ("threshold: 0.05}", "threshold: -0.05}", "positive share"),
        ("version: 1", "version: 1\nversion: 1", "appears twice"),
        ("signal: recall_at_20", "signal: recall", "unknown signal"),
        ("version: 1", "version: [", "YAML"),
    ],
)
def test_a_broken_contract_is_refused_with_file_and_field(old: str, new: str, said: str) -> None:
    assert old in packaged_contract()
    with pytest.raises(ConfigurationError, match=said) as raised:
        load_contract(packaged_contract().replace(old, new, 1), file="mine.yaml")
    assert "mine.yaml" in str(raised.value)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("2024-13-45", "month"),
        ("9" * 5000, "digits"),
        ("0x" + "f" * 5000, "mine.yaml: version"),
        ("!!int x", "holds a value that is none"),
        ("!!int ''", "holds a value that is none"),
        ("!!bool x", "holds a value that is none"),
        ("!!timestamp x", "holds a value that is none"),
    ],
)
def test_a_value_that_is_none_is_refused_with_the_file(value: str, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said) as raised:
        load_contract(packaged_contract().replace("version: 1", f"version: {value}", 1), file="mine.yaml")
    assert "mine.yaml" in str(raised.value)


def test_a_time_out_of_range_is_refused_with_the_file() -> None:
    with pytest.raises(ConfigurationError, match=r"mine\.yaml"):
        load_contract(packaged_contract().replace("PT5M", f"P{'9' * 30}D", 1), file="mine.yaml")


@pytest.mark.parametrize("text", ["[" * 30_000 + "]" * 30_000, "- " * 30_000 + "1", "{a: " * 5000, "[" * 101])
def test_a_file_that_nests_too_deeply_is_refused_and_does_not_end_the_process(text: str) -> None:
    with pytest.raises(ConfigurationError, match=r"mine\.yaml.*100 levels deep at line 1"):
        load_contract(text, file="mine.yaml")


def test_what_nests_as_deeply_as_may_be_is_read_and_judged_as_any_other() -> None:
    with pytest.raises(ConfigurationError, match="no mapping"):
        load_contract("[" * 100 + "]" * 100)


def test_what_aliases_blow_up_is_refused_before_it_is_built() -> None:
    laughs = "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}' if n else '1'] * 10)}]\n" for n in range(30))
    with pytest.raises(ConfigurationError, match=r"mine\.yaml.*more than 100000 values.* at line 5"):
        load_contract(laughs, file="mine.yaml")
    with pytest.raises(ConfigurationError, match="holds me inside itself at line 1"):
        load_contract("a: &me [*me]", file="mine.yaml")


def test_an_alias_stands_for_what_it_names() -> None:
    assert read_yaml("a: &x {b: 1}\nc: [*x, *x]\nd: &y 2\ne: *y", file="mine.yaml") == {
        "a": {"b": 1},
        "c": [{"b": 1}, {"b": 1}],
        "d": 2,
        "e": 2,
    }


def test_a_file_that_holds_no_mapping_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="no mapping"):
        load_contract("- a\n- b\n")
