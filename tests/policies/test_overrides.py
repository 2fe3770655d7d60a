"""Overrides change numbers of the contract, within bounds, and nothing else."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from domain.errors import InvalidInput
from domain.measurement import Measurement
from domain.override import Kind, Override, override
from domain.verdict import Verdict
from policies.contract import Contract, breached, load_contract, rollback_due
from policies.overrides import applied, checked, misfit
from policies.packaged import packaged_contract

CONTRACT = load_contract(packaged_contract())
NOON = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)


def made(kind: Kind, name: str, threshold: float, **changed: Any) -> Override:
    asked: dict[str, Any] = {
        "environment": "dev",
        "by": "ann",
        "reason": "a release",
        "at": NOON,
        "lasts": timedelta(hours=2),
    }
    return override(kind, name, threshold, **{**asked, **changed})


def seconds(value: float) -> Measurement:
    return Measurement(value=value, unit="s", n=10)


def test_a_gate_has_the_number_of_the_newest_override() -> None:
    older = made("gate", "ndcg_at_10", 0.02)
    newer = made("gate", "ndcg_at_10", 0.01, at=NOON + timedelta(minutes=1))
    changed = applied(CONTRACT, [newer, older])
    assert [rule.threshold for rule in changed.gate("ndcg_at_10")] == [0.01]
    assert [rule.threshold for rule in CONTRACT.gate("ndcg_at_10")] == [0.03]
    level = applied(CONTRACT, [made("gate", "ndcg_at_10_level", 0.7)])
    assert [(r.name, r.threshold) for r in level.gate("ndcg_at_10")] == [
        ("ndcg_at_10", 0.03),
        ("ndcg_at_10_level", 0.7),
    ]
    guard = applied(CONTRACT, [made("gate", "no_quality_loss", -0.02)])
    assert guard.guards["no_quality_loss"].threshold == -0.02


def test_the_limit_of_a_signal_and_of_its_rollback_change_what_is_a_breach() -> None:
    changed = applied(CONTRACT, [made("limit", "etl_backlog_s", 90, of="absolute")])
    assert breached(CONTRACT, "etl_backlog_s", seconds(80)).verdict is Verdict.FAIL
    assert breached(changed, "etl_backlog_s", seconds(80)).verdict is Verdict.PASS
    back = applied(CONTRACT, [made("rollback", "etl_backlog_s", 70, of="absolute")])
    assert rollback_due(CONTRACT, "etl_backlog_s", seconds(80)).verdict is Verdict.PASS
    assert rollback_due(back, "etl_backlog_s", seconds(80)).verdict is Verdict.FAIL
    assert breached(back, "etl_backlog_s", seconds(80)) == breached(CONTRACT, "etl_backlog_s", seconds(80))


def test_what_is_missing_or_not_finite_stays_what_it_is() -> None:
    changed = applied(CONTRACT, [made("limit", "etl_backlog_s", 1e9, of="absolute")])
    assert breached(changed, "etl_backlog_s", None).verdict is Verdict.INSUFFICIENT
    assert breached(changed, "etl_backlog_s", seconds(float("nan"))).verdict is Verdict.ERROR


@pytest.mark.parametrize(
    ("kind", "name", "threshold", "changed", "field"),
    [
        ("gate", "speed_of_light", 0.1, {}, "gate"),
        ("gate", "ndcg_at_10", -0.01, {}, "threshold"),
        ("gate", "no_quality_loss", -0.5, {}, "threshold"),
        ("gate", "latency_p95_ms", 40.0, {}, "threshold"),
        ("limit", "no_such_signal", 1.0, {"of": "absolute"}, "signal"),
        ("limit", "etl_backlog_s", 0.5, {"of": "relative_to_baseline"}, "of"),
        ("limit", "ndcg_at_10", 3.0, {"of": "relative_to_baseline"}, "threshold"),
        ("rollback", "ndcg_at_10", 0.1, {"of": "absolute"}, "of"),
        ("gate", "ndcg_at_10", 0.02, {"lasts": timedelta(days=31)}, "expires"),
        ("gate", "ndcg_at_10", 0.02, {"lasts": timedelta()}, "expires"),
        ("gate", "ndcg_at_10", 0.02, {"by": " "}, "by"),
        ("gate", "ndcg_at_10", 0.02, {"reason": " "}, "reason"),
    ],
)
def test_what_no_override_may_do_is_refused_with_the_field(
    kind: Kind, name: str, threshold: float, changed: dict[str, Any], field: str
) -> None:
    with pytest.raises(InvalidInput) as problem:
        checked(CONTRACT, made(kind, name, threshold, **changed))
    assert problem.value.field == field
    assert problem.value.remedy


def test_the_kill_switch_and_tombstones_are_no_numbers_anybody_could_override() -> None:
    for name in ("kill_switch", "tombstoned", "gates_passed", "forbid-promote-ungated"):
        with pytest.raises(InvalidInput):
            checked(CONTRACT, made("gate", name, 1.0))
        assert applied(CONTRACT, [made("gate", name, 1.0)]) == CONTRACT


def test_an_override_that_the_contract_would_refuse_by_now_is_left_out_and_the_number_of_the_file_counts() -> None:
    dearer = checked(CONTRACT, made("gate", "cost_per_1k_requests", 40.0))
    assert applied(CONTRACT, [dearer]).quality_gates["cost_per_1k_requests"].threshold == 40.0
    spec = CONTRACT.quality_gates["cost_per_1k_requests"].model_copy(
        update={"kind": "max_relative_delta", "threshold": 0.2}
    )
    gates = {**CONTRACT.quality_gates, "cost_per_1k_requests": spec}
    relative = CONTRACT.model_copy(update={"quality_gates": gates})
    assert applied(relative, [dearer]) == relative
    older = made("gate", "cost_per_1k_requests", 0.3, at=NOON - timedelta(minutes=1))
    assert applied(relative, [dearer, older]).quality_gates["cost_per_1k_requests"].threshold == 0.3


COST = "cost_per_1k_requests"


def with_gate(name: str, **changes: Any) -> Contract:
    """The packaged contract with a gate or guard that is another one."""
    book = "guards" if name in CONTRACT.guards else "quality_gates"
    gates = getattr(CONTRACT, book)
    return CONTRACT.model_copy(update={book: {**gates, name: gates[name].model_copy(update=changes)}})


def with_unit(name: str, unit: str) -> Contract:
    """The packaged contract with a signal in another unit."""
    return CONTRACT.model_copy(
        update={"signals": {**CONTRACT.signals, name: CONTRACT.signals[name].model_copy(update={"unit": unit})}}
    )


@pytest.mark.parametrize(
    ("given", "of", "unit"),
    [
        (made("gate", "ndcg_at_10", 0.02), "min_relative_delta", ""),
        (made("gate", "ndcg_at_10_level", 0.7), "min", "score"),
        (made("gate", "latency_p95_ms", 0.2), "max_relative_delta", ""),
        (made("gate", COST, 0.4), "max", "USD"),
        (made("gate", "no_index_loss", -0.02), "min_relative_delta", ""),
        (made("limit", "etl_backlog_s", 90, of="absolute"), "absolute", "s"),
        (made("rollback", "latency_p95_ms", 0.4, of="relative_to_baseline"), "relative_to_baseline", ""),
    ],
)
def test_an_override_keeps_what_its_number_means(given: Override, of: str, unit: str) -> None:
    kept = checked(CONTRACT, given)
    assert (kept.of, kept.unit) == (of, unit)
    assert misfit(CONTRACT, kept) == ""
    assert applied(CONTRACT, [kept]) != CONTRACT
    assert checked(CONTRACT, kept) == kept


@pytest.mark.parametrize(
    ("given", "changed", "said"),
    [
        (made("gate", COST, 0.4), with_gate(COST, kind="max_relative_delta", threshold=0.2), "max_relative_delta now"),
        (made("gate", COST, 0.4), with_gate(COST, kind="min"), "given for max"),
        (made("gate", "ndcg_at_10", 0.02), with_gate("ndcg_at_10", kind="min", threshold=0.7), "is min now"),
        (made("gate", "no_quality_loss", -0.02), with_gate("no_quality_loss", kind="min", threshold=0.7), "is min now"),
        (made("gate", "ndcg_at_10_level", 0.7), with_gate("ndcg_at_10", kind="max", threshold=0.9), "has no level"),
        (made("gate", COST, 0.4), with_unit(COST, "EUR"), "given in 'USD'"),
        (made("limit", "etl_backlog_s", 90, of="absolute"), with_unit("etl_backlog_s", "min"), "is in 'min' now"),
        (made("rollback", "latency_p95_ms", 900, of="absolute"), with_unit("latency_p95_ms", "s"), "given in 'ms'"),
    ],
)
def test_a_number_is_not_applied_to_what_it_was_not_given_for(given: Override, changed: Contract, said: str) -> None:
    kept = checked(CONTRACT, given)
    assert said in misfit(changed, kept)
    assert applied(changed, [kept]) == changed
    with pytest.raises(InvalidInput):
        checked(changed, kept)


def test_a_share_does_not_mind_in_which_unit_its_signal_is() -> None:
    kept = checked(CONTRACT, made("rollback", "latency_p95_ms", 0.4, of="relative_to_baseline"))
    assert misfit(with_unit("latency_p95_ms", "s"), kept) == ""


@pytest.mark.parametrize("name", ["ndcg_at_10", COST, "no_quality_loss"])
def test_a_gate_of_an_earlier_release_that_does_not_say_its_kind_does_not_count(name: str) -> None:
    assert "does not say for which kind" in misfit(CONTRACT, made("gate", name, 0.1))


@pytest.mark.parametrize(
    "old", [made("gate", "ndcg_at_10_level", 0.7), made("limit", "etl_backlog_s", 90, of="absolute")]
)
def test_one_of_an_earlier_release_counts_where_nothing_else_can_have_been_meant(old: Override) -> None:
    assert misfit(CONTRACT, old) == ""


def test_a_gate_that_asks_for_less_has_no_level() -> None:
    for name in ("latency_p95_ms_level", f"{COST}_level"):
        with pytest.raises(InvalidInput, match="has no level"):
            checked(CONTRACT, made("gate", name, 1.0))


def test_a_unit_that_could_not_be_kept_is_refused() -> None:
    with pytest.raises(InvalidInput, match="too long"):
        checked(with_unit(COST, "USD of the last fiscal year"), made("gate", COST, 0.4))


def test_a_number_that_is_not_finite_is_no_override() -> None:
    with pytest.raises(ValueError, match="finite"):
        made("gate", "ndcg_at_10", float("nan"))
