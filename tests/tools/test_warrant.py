"""What the platform must show by itself before a diagnosis may change it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from domain.diagnosis import Action, Diagnosis, RootCause
from domain.plan import AugmentationMethod, AugmentationPlan
from tools.warrant import since, warranted, within

FALLEN = {"breached": ["ndcg_at_10"]}
DRIFT = {"new_subjects": ["sailing"], "new_subject_session_share": 0.5, "coverage": 0.7, "coverage_before": 0.9}
HISTORY = {
    "drop": -0.2,
    "drop_z": -6.0,
    "settings": {"before": {"etl_workers": 4, "title_chars": 80, "mode": "fast"}},
    "releases": [],
}
QUIET: dict[str, Any] = {"drop": None, "drop_z": None, "settings": None, "releases": []}


def results(**changed: Any) -> dict[str, Any]:
    """Results of the tools when quality fell, beyond its noise, and nothing explains it."""
    found = {
        "signal_snapshot": FALLEN,
        "anomaly_check": {"signal": "ndcg_at_10", "anomalous": True},
        "data_quality_report": {"damaged": False},
        "deployment_history": QUIET,
        "drift_report": {"new_subjects": [], "new_subject_session_share": 0.0, "coverage": 0.9, "coverage_before": 0.9},
        "runtime_state": {"declared_mode": "balanced", "declared_tier": "standard", "declared_generation": 4},
        **changed,
    }
    return {f"diagnose/{tool}/0": result for tool, result in found.items() if result is not None}


def said(action: Action, **slots: Any) -> Diagnosis:
    return Diagnosis(action=action, root_cause=RootCause.UNKNOWN, summary="so", **slots)


@pytest.mark.parametrize("action", [Action.NOISE, Action.MONITOR, Action.HANDOFF])
def test_what_changes_nothing_needs_no_warrant(action: Action) -> None:
    assert warranted(said(action), {}) == ""


@pytest.mark.parametrize("action", [Action.RETRAIN, Action.DATA_FIX, Action.ROLLBACK, Action.TUNE])
def test_without_a_snapshot_nothing_is_changed(action: Action) -> None:
    assert "needs a signal_snapshot" in warranted(said(action), results(signal_snapshot=None))


@pytest.mark.parametrize(
    ("action", "changed"),
    [
        (Action.RETRAIN, {"drift_report": DRIFT}),
        (Action.RETRAIN, {"drift_report": {**DRIFT, "new_subjects": []}}),
        (Action.DATA_FIX, {"data_quality_report": {"damaged": True}}),
        (Action.ROLLBACK, {"deployment_history": HISTORY}),
        (Action.RETRAIN, {"drift_report": DRIFT, "anomaly_check": {"signal": "ndcg_at_10", "anomalous": None}}),
    ],
)
def test_what_the_tools_show_warrants_its_remedy(action: Action, changed: dict[str, Any]) -> None:
    assert warranted(said(action), results(**changed)) == ""


@pytest.mark.parametrize(
    ("action", "changed", "reason"),
    [
        (Action.RETRAIN, {}, "nothing that the model never saw"),
        (Action.RETRAIN, {"drift_report": None}, "nothing that the model never saw"),
        (Action.RETRAIN, {"drift_report": DRIFT, "signal_snapshot": {"breached": []}}, "no quality signal is breached"),
        (Action.RETRAIN, {"drift_report": DRIFT, "signal_snapshot": {"breached": ["cost"]}}, "no quality signal"),
        (Action.RETRAIN, {"drift_report": DRIFT, "anomaly_check": None}, "anomaly_check was not asked"),
        (Action.RETRAIN, {"drift_report": DRIFT, "anomaly_check": {"signal": "cost", "anomalous": True}}, "not asked"),
        (
            Action.RETRAIN,
            {"drift_report": DRIFT, "anomaly_check": {"signal": "ndcg_at_10", "anomalous": False}},
            "within its noise",
        ),
        (Action.RETRAIN, {"drift_report": DRIFT, "data_quality_report": None}, "data_quality_report was not asked"),
        (Action.RETRAIN, {"drift_report": DRIFT, "data_quality_report": {"damaged": True}}, "judgements damaged"),
        (Action.RETRAIN, {"drift_report": DRIFT, "deployment_history": None}, "deployment_history was not asked"),
        (Action.RETRAIN, {"drift_report": DRIFT, "deployment_history": HISTORY}, "a release to be worse"),
        (Action.RETRAIN, {"drift_report": DRIFT, "recall_report": {"missing_share": 0.2}}, "missing from the index"),
        (Action.RETRAIN, {"drift_report": {**DRIFT, "coverage": True, "new_subjects": []}}, "never saw"),
        (Action.DATA_FIX, {}, "does not find the judgements damaged"),
        (Action.ROLLBACK, {}, "does not show the release to be worse"),
        (Action.ROLLBACK, {"deployment_history": {**HISTORY, "drop_z": -1.0}}, "does not show"),
        (Action.ROLLBACK, {"deployment_history": {**HISTORY, "drop": None}}, "does not show"),
        (Action.ROLLBACK, {"deployment_history": HISTORY, "data_quality_report": {"damaged": True}}, "damaged"),
    ],
)
def test_what_the_tools_do_not_show_warrants_nothing(action: Action, changed: dict[str, Any], reason: str) -> None:
    assert reason in warranted(said(action), results(**changed))


@pytest.mark.parametrize(
    ("breached", "tuning"),
    [
        ("latency_p95_ms", {"mode": "balanced", "tier": "standard"}),
        ("budget_share", {"mode": "fast"}),
        ("etl_backlog_s", {"etl_workers": 4}),
        ("etl_backlog_s", {"etl_workers": 6}),
        ("user_satisfaction", {"title_chars": 80}),
        ("vector_index_errors", {"index_generation": 5}),
    ],
)
def test_a_setting_may_have_a_value_that_is_on_record(breached: str, tuning: dict[str, Any]) -> None:
    found = results(
        signal_snapshot={"breached": [breached]}, deployment_history=HISTORY, etl_report={"declared_workers": 3}
    )
    assert warranted(said(Action.TUNE, tuning=tuning), found) == ""


@pytest.mark.parametrize(
    ("breached", "tuning", "reason"),
    [
        ("latency_p95_ms", {}, "names no setting"),
        ("latency_p95_ms", {"mode": "exhaustive"}, "stands in no result"),
        ("latency_p95_ms", {"mode": "balanced", "remote": "https://elsewhere"}, "'remote' is no setting"),
        ("ndcg_at_10", {"mode": "balanced"}, "nothing that mode could mend is breached"),
        ("etl_backlog_s", {"etl_workers": 32}, "stands in no result"),
        ("etl_backlog_s", {"etl_workers": "4"}, "stands in no result"),
        ("latency_p95_ms", {"etl_workers": 4}, "nothing that etl_workers could mend"),
        ("vector_index_errors", {"index_generation": 999}, "stands in no result"),
        ("ndcg_at_10", {"index_generation": 5}, "nothing that index_generation could mend"),
        ("user_satisfaction", {"title_chars": 20}, "stands in no result"),
    ],
)
def test_a_setting_may_have_no_other_value(breached: str, tuning: dict[str, Any], reason: str) -> None:
    found = results(
        signal_snapshot={"breached": [breached]}, deployment_history=HISTORY, etl_report={"declared_workers": 3}
    )
    assert reason in warranted(said(Action.TUNE, tuning=tuning), found)


def test_an_index_that_misses_documents_may_be_built_anew() -> None:
    found = results(recall_report={"missing_share": 0.3})
    assert warranted(said(Action.TUNE, tuning={"index_generation": 5}), found) == ""


def test_a_plan_keeps_the_words_and_subjects_that_tools_named_and_no_others() -> None:
    plan = AugmentationPlan(
        methods=(AugmentationMethod.SYNONYM,),
        target_tokens=("jib", "attacker"),
        target_categories=("sailing", "malware"),
        examples=10,
        drop_damaged=False,
        rationale="so",
    )
    found = results(drift_report={**DRIFT, "new_tokens": ["jib"], "affected_categories": []})
    kept = within(plan, Action.RETRAIN, found)
    assert (kept.target_tokens, kept.target_categories, kept.drop_damaged) == (("jib",), ("sailing",), False)
    assert within(plan, Action.DATA_FIX, found).drop_damaged


def test_when_damage_began_is_what_a_tool_said() -> None:
    onset, alert = datetime(2026, 1, 31, 11, tzinfo=UTC), datetime(2026, 1, 31, 12, tzinfo=UTC)
    found = results(data_quality_report={"damaged": True, "since": onset.isoformat()})
    assert since(onset.isoformat(), found, alert) == onset
    assert since("1970-01-01T00:00:00", found, alert) == onset
    assert since("drop everything", found, alert) == onset
    assert since("1970-01-01T00:00:00", results(), alert) == alert
