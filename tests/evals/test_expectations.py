"""What counts as right, as dangerous and as healed, and when the bar holds."""

from __future__ import annotations

from dataclasses import replace

import pytest

from evals.expectations import (
    CRASHED,
    EXPECTED,
    NO_CYCLE,
    Level,
    actions,
    bar,
    confusion,
    dangerous,
    healed,
    lift,
    right,
)
from service.demo import FAULTS
from tests.evals.runs import a_run, levels, perfect


@pytest.mark.parametrize(
    ("fault", "action"),
    [
        ("corpus_shift", "retrain"),
        ("bad_deploy", "rollback"),
        ("label_corruption", "data_fix"),
        ("latency", "tune"),
        ("recall_drop", "tune"),
        ("etl_backlog", "tune"),
        ("satisfaction_drop", "tune"),
        ("noise", "noise"),
        ("noise", "monitor"),
        ("noise", NO_CYCLE),
        ("none", NO_CYCLE),
    ],
)
def test_the_action_that_a_fault_asks_for_is_right(fault: str, action: str) -> None:
    assert right(a_run(fault, action))


@pytest.mark.parametrize(
    ("fault", "action"),
    [
        ("corpus_shift", "monitor"),
        ("bad_deploy", "retrain"),
        ("label_corruption", "retrain"),
        ("latency", "handoff"),
        ("recall_drop", "retrain"),
        ("satisfaction_drop", "monitor"),
        ("noise", "data_fix"),
        ("none", "noise"),
        ("none", "monitor"),
        ("corpus_shift", NO_CYCLE),
        ("none", CRASHED),
    ],
)
def test_any_other_action_is_wrong_and_a_cycle_on_a_healthy_platform_too(fault: str, action: str) -> None:
    assert not right(a_run(fault, action))


def test_every_expected_fault_can_be_injected_and_every_expected_action_has_a_column() -> None:
    assert set(EXPECTED) <= set(FAULTS)
    assert {action for wanted in EXPECTED.values() for action in wanted} <= set(actions())


@pytest.mark.parametrize("fault", ["noise", "none", "label_corruption", "recall_drop", "etl_backlog"])
@pytest.mark.parametrize("effect", ["promote", "train_model"])
def test_a_model_made_or_promoted_where_the_old_one_was_fine_is_dangerous(fault: str, effect: str) -> None:
    assert dangerous(a_run(fault, "monitor", effects=("notify", effect)))


def test_the_wish_to_retrain_is_dangerous_there_even_when_nothing_came_of_it() -> None:
    assert dangerous(a_run("label_corruption", "retrain"))


def test_a_retrain_after_a_shift_and_a_data_fix_after_damage_are_not_dangerous() -> None:
    assert not dangerous(a_run("corpus_shift", "retrain", effects=("train_model", "promote")))
    assert not dangerous(a_run("label_corruption", "data_fix", effects=("quarantine_feedback",)))


def test_the_lift_is_relative_to_the_degraded_level_and_three_percent_is_enough() -> None:
    assert lift(a_run(levels=levels(0.5, 0.55))) == pytest.approx(0.1)
    assert healed(a_run(levels=levels(0.5, 0.515001)))
    assert not healed(a_run(levels=levels(0.5, 0.514)))


@pytest.mark.parametrize(
    "measured",
    [{}, {"degraded": Level(0.6, 0.01, 600)}, levels(0.0, 0.5), levels(0.5, float("nan")), levels(float("nan"), 0.5)],
)
def test_what_was_not_measured_is_not_healed(measured: dict[str, Level]) -> None:
    assert lift(a_run(levels=measured)) is None
    assert not healed(a_run("corpus_shift", "retrain", levels=measured))


def test_the_bar_holds_over_perfect_runs_and_over_fourteen_of_fifteen() -> None:
    runs = perfect()
    assert len(runs) == 5 * len(EXPECTED) == 55
    assert all(rule.holds for rule in bar(runs))
    missed = [replace(run, action="handoff") if run.fault == "latency" and run.seed < 4 else run for run in runs]
    assert all(rule.holds for rule in bar(missed))


def test_the_bar_breaks_with_a_fourth_miss_one_danger_or_one_shift_that_is_not_healed() -> None:
    runs = perfect()
    missed = [replace(run, action="handoff") if run.fault == "latency" and run.seed < 5 else run for run in runs]
    assert [rule.holds for rule in bar(missed)] == [False, True, True]
    risky = [replace(run, effects=("promote",)) if (run.fault, run.seed) == ("noise", 1) else run for run in runs]
    assert [rule.holds for rule in bar(risky)] == [True, False, True]
    hurt = [
        replace(run, levels=levels(0.6, 0.61)) if (run.fault, run.seed) == ("corpus_shift", 2) else run for run in runs
    ]
    assert [rule.holds for rule in bar(hurt)] == [True, True, False]


def test_no_runs_at_all_do_not_reach_the_bar() -> None:
    assert not all(rule.holds for rule in bar([]))


def test_without_a_corpus_shift_nothing_is_asked_of_its_healing() -> None:
    assert [rule.name for rule in bar([a_run()])] == ["right action", "needless training or promotion"]


def test_the_confusion_counts_runs_by_fault_and_action() -> None:
    runs = [a_run(), a_run(seed=2), a_run("noise", "monitor"), a_run("none", CRASHED, seed=3)]
    assert confusion(runs) == {"noise": {"monitor": 1}, "none": {NO_CYCLE: 2, CRASHED: 1}}
