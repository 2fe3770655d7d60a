"""The claim checker: what is quoted must stand where it is said to, and carry the action."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.diagnosis import Action, Claim, Comparison, Diagnosis, RootCause
from tools.evidence import REQUIREMENTS, check, find, sufficient, tool_of

SNAPSHOT = "diagnose/signal_snapshot/0123456789"
ANOMALY = "diagnose/anomaly_check/0123456789"
DRIFT = "diagnose/drift_report/0123456789"
HISTORY = "diagnose/deployment_history/0123456789"
QUALITY = "diagnose/data_quality_report/0123456789"
RUNTIME = "diagnose/runtime_state/0123456789"
DIGEST = f"sha256:{'b' * 64}"

RESULTS: dict[str, dict[str, Any]] = {
    SNAPSHOT: {
        "readings": {
            "ndcg_at_10": {"current": 0.51, "relative_delta": -0.1512, "breached": True, "unit": "score"},
            "recall_at_20": {"current": 0.8, "relative_delta": 0.01, "breached": False},
            "latency_p95_ms": {"current": 1200, "relative_delta": 20.0, "breached": True},
            "user_satisfaction": {"current": None, "relative_delta": None, "breached": None},
        },
        "breached": ["ndcg_at_10", "latency_p95_ms"],
    },
    ANOMALY: {"signal": "ndcg_at_10", "anomalous": True},
    DRIFT: {
        "coverage": 0.71,
        "coverage_before": 0.97,
        "new_subjects": ["quantum"],
        "slices": [{"name": "a"}, {"name": "b", "after": 0.3}],
    },
    HISTORY: {
        "suspect": {"digest": DIGEST, "revision": "2" * 40},
        "drop": -0.15,
        "drop_z": -5.0,
        "releases": [{"revision": "2" * 40}, {"revision": "1" * 40}],
    },
    QUALITY: {"damaged": True, "click_agreement_after": 0.31},
    RUNTIME: {"mode": "exhaustive", "declared_mode": "balanced", "overridden": ["mode"]},
}


def _claim(call: str, path: str, comparison: str, value: float | str | bool) -> Claim:
    return Claim(statement="so it is", call=call, path=path, comparison=Comparison(comparison), value=value)


FALL = _claim(SNAPSHOT, "readings.ndcg_at_10.relative_delta", "lt", 0)
LOW = _claim(DRIFT, "coverage", "lt", 0.9)
SUSPECT = _claim(HISTORY, "drop", "lt", -0.03)
SAME = _claim(HISTORY, "suspect.digest", "eq", DIGEST)
DAMAGED = _claim(QUALITY, "damaged", "eq", True)
AGREEMENT = _claim(QUALITY, "click_agreement_after", "lt", 0.5)
MODE = _claim(RUNTIME, "mode", "eq", "exhaustive")
SLOW = _claim(SNAPSHOT, "readings.latency_p95_ms.current", "gt", 800)
SLOWER = _claim(SNAPSHOT, "readings.latency_p95_ms.breached", "eq", True)


def _diagnosis(action: Action, *claims: Claim, **slots: Any) -> Diagnosis:
    tuning = {"mode": "balanced"} if action is Action.TUNE else {}
    given = {"tuning": tuning, **slots}
    return Diagnosis(action=action, root_cause=RootCause.UNKNOWN, summary="so", claims=claims, **given)


def _only(action: Action) -> dict[str, dict[str, Any]]:
    """The results without what would look like another cause of the same fall."""
    quality = {**RESULTS[QUALITY], "damaged": action is Action.DATA_FIX}
    history = {**RESULTS[HISTORY], **({"drop": None, "drop_z": None} if action is Action.RETRAIN else {})}
    return {**RESULTS, QUALITY: quality, HISTORY: history}


def _holds(claim: Claim) -> bool:
    return bool(check(_diagnosis(Action.MONITOR, claim), RESULTS).supported)


@pytest.mark.parametrize(
    ("call", "path", "comparison", "value"),
    [
        (SNAPSHOT, "readings.ndcg_at_10.relative_delta", "eq", -0.151),
        (SNAPSHOT, "readings.ndcg_at_10.relative_delta", "lt", -0.03),
        (SNAPSHOT, "readings.ndcg_at_10.breached", "eq", True),
        (SNAPSHOT, "readings.ndcg_at_10.unit", "eq", "score"),
        (SNAPSHOT, "readings.latency_p95_ms.current", "ge", 1200),
        (SNAPSHOT, "readings.latency_p95_ms.current", "le", 1200),
        (SNAPSHOT, "breached.0", "eq", "ndcg_at_10"),
        (DRIFT, "slices.1.after", "gt", 0.2),
    ],
)
def test_a_claim_that_stands_where_it_is_said_to_is_supported(
    call: str, path: str, comparison: str, value: float | str | bool
) -> None:
    assert _holds(_claim(call, path, comparison, value))


@pytest.mark.parametrize(
    ("call", "path", "comparison", "value", "reason"),
    [
        ("diagnose/signal_snapshot/other", "breached", "eq", "x", "no result of a call"),
        (SNAPSHOT, "readings.ndcg.current", "eq", 0.5, "not in the result"),
        (SNAPSHOT, "readings.ndcg_at_10.current.deeper", "eq", 0.5, "not in the result"),
        (SNAPSHOT, "breached.2", "eq", "x", "not in the result"),
        (SNAPSHOT, "breached.-1", "eq", "ndcg_at_10", "not in the result"),
        (SNAPSHOT, "readings.ndcg_at_10.current", "eq", 0.6, "found 0.51"),
        (SNAPSHOT, "readings.ndcg_at_10.relative_delta", "gt", 0, "not gt"),
        (SNAPSHOT, "readings.ndcg_at_10.current", "eq", float("nan"), "not a finite number"),
        (SNAPSHOT, "readings.ndcg_at_10.current", "lt", float("inf"), "not a finite number"),
        (SNAPSHOT, "readings.user_satisfaction.current", "lt", 4, "found nothing"),
        (SNAPSHOT, "readings.ndcg_at_10.breached", "eq", 1, "a truth value"),
        (SNAPSHOT, "readings.ndcg_at_10.breached", "eq", "true", "a truth value"),
        (SNAPSHOT, "readings.ndcg_at_10.current", "eq", "0.51", "found a number"),
        (SNAPSHOT, "readings.ndcg_at_10.current", "eq", True, "found a number"),
        (SNAPSHOT, "readings.ndcg_at_10.unit", "gt", "a", "only be compared with eq"),
        (SNAPSHOT, "readings.ndcg_at_10", "eq", "x", "a structure"),
        (RUNTIME, "mode", "eq", "balanced", "found 'exhaustive'"),
    ],
)
def test_a_claim_that_does_not_hold_is_dropped_with_the_reason(
    call: str, path: str, comparison: str, value: float | str | bool, reason: str
) -> None:
    checked = check(_diagnosis(Action.MONITOR, FALL, _claim(call, path, comparison, value)), RESULTS)
    assert checked.unsupported_claims == 1
    assert reason in checked.dropped[0].reason
    assert [claim.claim for claim in checked.supported] == [FALL]


def test_a_recorded_nan_supports_nothing() -> None:
    results = {SNAPSHOT: {"x": json.loads("NaN")}}
    for comparison in Comparison:
        claim = _claim(SNAPSHOT, "x", comparison.value, 1.0)
        assert check(_diagnosis(Action.MONITOR, claim), results).supported == ()


@pytest.mark.parametrize(
    ("action", "claims"),
    [
        (Action.RETRAIN, (FALL, LOW)),
        (Action.ROLLBACK, (SUSPECT, SAME)),
        (Action.DATA_FIX, (DAMAGED, AGREEMENT)),
        (Action.TUNE, (MODE, FALL)),
        (Action.TUNE, (SLOW, SLOWER)),
        (Action.NOISE, ()),
        (Action.MONITOR, ()),
        (Action.HANDOFF, ()),
    ],
)
def test_an_action_is_carried_by_what_its_row_of_the_table_asks_for(action: Action, claims: tuple[Claim, ...]) -> None:
    results = _only(action)
    assert sufficient(check(_diagnosis(action, *claims), results), results)


@pytest.mark.parametrize(
    ("action", "claims", "reason"),
    [
        (Action.RETRAIN, (FALL,), "needs 2 supported claims and has 1"),
        (Action.RETRAIN, (FALL, FALL), "has 1"),
        (Action.RETRAIN, (LOW, _claim(DRIFT, "slices.1.after", "lt", 0.5)), "from signal_snapshot"),
        (Action.RETRAIN, (FALL, DAMAGED), "from drift_report"),
        (Action.RETRAIN, (_claim(SNAPSHOT, "readings.recall_at_20.relative_delta", "gt", 0), LOW), "signal_snapshot"),
        (Action.RETRAIN, (_claim(SNAPSHOT, "readings.ndcg_at_10.relative_delta", "gt", -1), LOW), "signal_snapshot"),
        (Action.ROLLBACK, (FALL, LOW), "from deployment_history"),
        (Action.DATA_FIX, (FALL, LOW), "from data_quality_report"),
        (Action.TUNE, (FALL, LOW), "from runtime_state or signal_snapshot"),
        (Action.RETRAIN, (FALL, _claim(DRIFT, "coverage", "gt", 0.9)), "needs 2"),
    ],
)
def test_an_action_without_its_proof_is_not_carried(action: Action, claims: tuple[Claim, ...], reason: str) -> None:
    enough = sufficient(check(_diagnosis(action, *claims), RESULTS), RESULTS)
    assert not enough
    assert reason in enough.reason


@pytest.mark.parametrize(
    ("slots", "field"),
    [
        ({"suspect_digest": f"sha256:{'c' * 64}"}, "suspect_digest"),
        ({"suspect_digest": DIGEST, "restore_revision": "9" * 40}, "restore_revision"),
    ],
)
def test_a_digest_or_revision_that_no_tool_named_carries_no_rollback(slots: dict[str, str], field: str) -> None:
    checked = check(_diagnosis(Action.ROLLBACK, SUSPECT, SAME, **slots), RESULTS)
    enough = sufficient(checked, RESULTS)
    assert not enough
    assert field in enough.reason
    assert sufficient(checked)


def test_a_digest_and_a_revision_on_record_carry_a_rollback() -> None:
    slots = {"suspect_digest": DIGEST, "restore_revision": "1" * 40}
    results = _only(Action.ROLLBACK)
    assert sufficient(check(_diagnosis(Action.ROLLBACK, SUSPECT, SAME, **slots), results), results)


def test_every_action_that_changes_something_has_a_row() -> None:
    harmless = {Action.NOISE, Action.MONITOR, Action.HANDOFF}
    assert set(REQUIREMENTS) == set(Action) - harmless


def test_the_tool_is_read_from_the_place_of_the_call() -> None:
    assert tool_of(SNAPSHOT) == "signal_snapshot"
    assert tool_of("signal_snapshot") == ""


_JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=8,
)


@given(
    result=st.dictionaries(st.sampled_from("abc"), _JSON, max_size=3),
    path=st.lists(st.sampled_from(["a", "b", "c", "0", "1", "-1", ""]), min_size=1, max_size=4).map(".".join),
    comparison=st.sampled_from(list(Comparison)),
    value=st.floats() | st.booleans() | st.text(max_size=5),
)
def test_no_claim_ever_breaks_the_checker_and_none_about_nothing_holds(
    result: dict[str, Any], path: str, comparison: Comparison, value: float | str | bool
) -> None:
    if not path:
        return
    claim = Claim(statement="s", call=SNAPSHOT, path=path, comparison=comparison, value=value)
    checked = check(_diagnosis(Action.MONITOR, claim), {SNAPSHOT: result})
    assert len(checked.supported) + checked.unsupported_claims == 1
    for supported in checked.supported:
        assert supported.found is not None
        assert find(result, path) == supported.found
