"""The decision point: default deny, named policies, and nothing but a clean Allow opens the door."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import pytest

from domain.access import ApiAction
from domain.actor import Actor, Role
from domain.decision import Answer, AuthorizationRequest, Decision, Effect
from policies.packaged import packaged_policy_files
from policies.pdp import PolicyDecisionPoint

READS = (
    "metric_query",
    "metric_range",
    "signal_snapshot",
    "anomaly_check",
    "drift_report",
    "attribution",
    "log_search",
    "deployment_history",
    "deployment_diff",
    "data_quality_report",
    "runtime_state",
    "similar_cycles",
    "registry_read",
    "ab_read",
    "augmentation_preview",
    "metric_points",
    "await_live",
    "rollout_status",
    "rehearse_rollback",
    "etl_report",
    "recall_report",
    "satisfaction_report",
    "cost_report",
    "vector_status",
    "query_analytics",
    "rank_eval",
    "feedback_report",
    "retention_report",
    "release_state",
)
SUPERVISOR, ANALYST, DATA, ML, DEVOPS = (
    Role.SUPERVISOR,
    Role.METRICS_ANALYST,
    Role.DATA_ENGINEER,
    Role.ML_ENGINEER,
    Role.DEVOPS_ENGINEER,
)
EVERYONE = frozenset(Role)
TABLE: Mapping[str, tuple[Effect, frozenset[Role]]] = {
    **dict.fromkeys(READS, (Effect.READ, EVERYONE)),
    "sandboxed_test_run": (Effect.READ, frozenset({DATA, ML, DEVOPS})),
    "offline_evaluation": (Effect.WRITE, frozenset({ML})),
    "dataset_build": (Effect.WRITE, frozenset({DATA})),
    "dataset_version": (Effect.WRITE, frozenset({DATA})),
    "quarantine_feedback": (Effect.WRITE, frozenset({DATA})),
    "reindex_vectors": (Effect.WRITE, frozenset({DATA, DEVOPS})),
    "quarantine_vectors": (Effect.WRITE, frozenset({DATA, DEVOPS})),
    "release_vectors": (Effect.WRITE, frozenset({DATA, DEVOPS})),
    "train_model": (Effect.WRITE, frozenset({ML})),
    "register_candidate": (Effect.WRITE, frozenset({ML})),
    "record_pipeline": (Effect.WRITE, frozenset({ML})),
    "describe_model": (Effect.WRITE, frozenset({ML})),
    "retire_models_and_data": (Effect.IRREVERSIBLE, frozenset()),
    "ab_start": (Effect.WRITE, frozenset({DEVOPS})),
    "ab_stop": (Effect.WRITE, frozenset({DEVOPS})),
    "promote": (Effect.IRREVERSIBLE, frozenset({DEVOPS})),
    "apply_tuning": (Effect.WRITE, frozenset({DEVOPS})),
    "roll_back": (Effect.IRREVERSIBLE, frozenset({DEVOPS})),
    "tombstone": (Effect.WRITE, frozenset({DEVOPS})),
    "mark_gold": (Effect.WRITE, frozenset({DEVOPS})),
    "restore_values": (Effect.IRREVERSIBLE, frozenset()),
    "set_alias": (Effect.WRITE, frozenset({ML, DEVOPS})),
    "notify": (Effect.WRITE, EVERYONE),
    "silence_alerts": (Effect.WRITE, frozenset({DEVOPS})),
    "lift_silence": (Effect.WRITE, frozenset({DEVOPS})),
    "annotate": (Effect.WRITE, frozenset({DEVOPS})),
    "sync_live": (Effect.WRITE, frozenset({DEVOPS})),
    "withdraw_change": (Effect.WRITE, frozenset({DEVOPS})),
    "point_dataset": (Effect.WRITE, frozenset({DEVOPS})),
    "restore_flags": (Effect.WRITE, frozenset({DEVOPS})),
    "record_outcome": (Effect.WRITE, frozenset({SUPERVISOR})),
}
GOOD: Mapping[str, bool | int | str] = {
    "kill_switch": False,
    "self_improvement_enabled": True,
    "auto_promote": True,
    "auto_rollback": True,
    "ab_testing": True,
    "cost_optimization": True,
    "approved": False,
    "approval_needed": False,
    "stage": "promote",
    "cycles_today": 1,
    "max_cycles_per_day": 6,
    "budget_left_cents": 500,
    "hour": 3,
    "gates_passed": True,
    "watch_silences": True,
    "autonomy": "act",
    "tombstoned": False,
    "verdict_evaluate": "pass",
    "verdict_ab": "pass",
    "calls": 10,
    "window_open": True,
    "cooling_down": False,
    "models_today": 0,
    "max_models_per_day": 3,
    "models_at_once": 0,
    "max_models_at_once": 1,
    "share_bp": 2000,
    "max_share_bp": 5000,
}
PDP = PolicyDecisionPoint.from_files(packaged_policy_files())


def ask(
    tool: str,
    role: Role,
    *,
    environment: str = "dev",
    effect: Effect | None = None,
    via: str = "stage",
    person: str | None = None,
    **context: Any,
) -> Decision:
    return PDP.decide(
        AuthorizationRequest(
            actor=Actor(role=role, via=via, person=person),
            tool=tool,
            effect=effect or TABLE.get(tool, (Effect.READ, EVERYONE))[0],
            target="search",
            environment=environment,
            context={**GOOD, **context},
        )
    )


def allowed(**context: Any) -> set[tuple[str, Role]]:
    """Return every (tool, role) that may act when all is well but for `context`."""
    return {(tool, role) for tool in TABLE for role in Role if ask(tool, role, **context).allowed}


SAFE = {
    ("roll_back", DEVOPS),
    ("lift_silence", DEVOPS),
    ("annotate", DEVOPS),
    ("sync_live", DEVOPS),
    ("withdraw_change", DEVOPS),
    ("point_dataset", DEVOPS),
    ("restore_flags", DEVOPS),
    ("ab_stop", DEVOPS),
    ("tombstone", DEVOPS),
    ("record_outcome", SUPERVISOR),
    *{("notify", role) for role in Role},
}
CLOSING = {
    *("roll_back", "notify", "ab_stop", "tombstone", "record_outcome"),
    *("lift_silence", "annotate", "sync_live", "withdraw_change"),
    *("point_dataset", "restore_flags"),
}
EVERYTHING = {(tool, role) for tool, (_, roles) in TABLE.items() for role in roles}


def test_the_table_covers_every_action_that_can_be_asked_for() -> None:
    text = re.sub(r"//.*", "", packaged_policy_files()["evercrew.cedarschema"].decode())
    declared = re.findall(r"action\s+([\w,\s]+?)\s+in\s+\[[\w,\s]+\]\s+appliesTo", text)
    names = {name.strip() for names in declared for name in names.split(",")}
    asked_of_the_service = {action.policy_action for action in ApiAction}
    assert names == set(TABLE) | asked_of_the_service
    assert not set(TABLE) & asked_of_the_service


@pytest.mark.parametrize("via", ["agent", "stage"])
@pytest.mark.parametrize("environment", ["dev", "staging", "production"])
def test_each_role_may_use_its_own_tools_and_no_other(via: str, environment: str) -> None:
    for tool, (_, roles) in TABLE.items():
        for role in Role:
            decision = ask(tool, role, via=via, environment=environment)
            # An agent proposes: whatever its role, it changes nothing by itself.
            may = role in roles and (via == "stage" or TABLE[tool][0] is Effect.READ)
            assert decision.allowed == may, (tool, role, decision)
            assert decision.policy_hash == PDP.policy_hash


def test_a_person_acts_with_the_rights_of_the_role() -> None:
    assert ask("promote", DEVOPS, person="ann@example.org").allowed
    assert not ask("promote", ML, person="ann@example.org").allowed


def test_values_are_restored_by_a_person_in_the_role_and_by_nobody_else() -> None:
    for via in ("agent", "stage"):
        assert not ask("restore_values", DEVOPS, via=via).allowed
    assert not ask("restore_values", ML, person="ann@example.org").allowed
    for context in ({}, {"kill_switch": True}, {"self_improvement_enabled": False}, {"cycles_today": 99}):
        assert ask("restore_values", DEVOPS, person="ann@example.org", **dict[str, Any](context)).allowed
    for tool in ("restore_values", "mark_gold"):
        assert not ask(tool, DEVOPS, person="ann@example.org", tombstoned=True, approved=True).allowed


def test_what_is_old_is_deleted_by_the_clock_or_a_person_and_by_nobody_else() -> None:
    by_clock: dict[str, Any] = {"stage": "retention", "via": "stage", "needed": False}
    by_person: dict[str, Any] = {"person": "ann@example.org", "needed": False}
    assert ask("retire_models_and_data", DEVOPS, **by_clock).allowed
    assert ask("retire_models_and_data", DEVOPS, **by_person).allowed
    for stage in ("train", "promote", "learn"):
        assert not ask("retire_models_and_data", DEVOPS, **{**by_clock, "stage": stage}).allowed
    assert not ask("retire_models_and_data", DEVOPS, **{**by_clock, "via": "agent"}).allowed
    for role in (SUPERVISOR, ANALYST, DATA, ML):
        assert not ask("retire_models_and_data", role, **by_clock).allowed
        assert not ask("retire_models_and_data", role, **by_person).allowed


@pytest.mark.parametrize("asked", [{"stage": "retention", "via": "stage"}, {"person": "ann@example.org"}])
def test_what_is_needed_is_never_deleted_and_no_approval_changes_that(asked: dict[str, Any]) -> None:
    for facts in ({"needed": True}, {}, {"needed": False, "kill_switch": True}):
        for approved in (False, True):
            context = {**asked, **dict[str, Any](facts), "approved": approved}
            assert ask("retire_models_and_data", DEVOPS, **context).answer is Answer.DENY
    assert ask("retire_models_and_data", DEVOPS, **asked).policies == ("forbid-retire-needed",)


def test_the_analyst_holds_no_write_but_a_message() -> None:
    writes = {tool for tool, role in allowed() if role is ANALYST and TABLE[tool][0] is not Effect.READ}
    assert writes == {"notify"}


def test_the_kill_switch_lets_through_reads_rollbacks_and_messages_only() -> None:
    effects = {pair for pair in allowed(kill_switch=True) if TABLE[pair[0]][0] is not Effect.READ}
    assert effects == SAFE
    decision = ask("promote", DEVOPS, kill_switch=True)
    assert decision.policies == ("forbid-kill-switch",)
    assert "kill switch" in decision.reason


def test_an_approval_does_not_open_the_kill_switch() -> None:
    effects = {pair for pair in allowed(kill_switch=True, approved=True) if TABLE[pair[0]][0] is not Effect.READ}
    assert effects == SAFE


def test_without_self_improvement_what_was_begun_can_be_ended_and_nothing_new_begins() -> None:
    effects = {tool for tool, _ in allowed(self_improvement_enabled=False) if TABLE[tool][0] is not Effect.READ}
    assert effects == CLOSING


def test_beyond_the_daily_limit_nothing_new_begins() -> None:
    assert allowed(cycles_today=6, max_cycles_per_day=6) == EVERYTHING
    effects = {tool for tool, _ in allowed(cycles_today=7) if TABLE[tool][0] is not Effect.READ}
    assert effects == CLOSING


def test_without_budget_nothing_that_costs_begins() -> None:
    refused = EVERYTHING - allowed(budget_left_cents=0)
    assert {tool for tool, _ in refused} == {"dataset_build", "train_model", "offline_evaluation", "ab_start"}


def test_a_runaway_cycle_can_only_close() -> None:
    assert {tool for tool, _ in allowed(calls=1001)} == CLOSING


@pytest.mark.parametrize(
    ("context", "policy"),
    [
        ({"gates_passed": False}, "forbid-promote-ungated"),
        ({"verdict_evaluate": "insufficient"}, "forbid-promote-ungated"),
        ({"verdict_ab": "error"}, "forbid-promote-ungated"),
        ({"verdict_ab": "PASS"}, "forbid-promote-ungated"),
        ({"tombstoned": True}, "forbid-promote-tombstoned"),
        ({"stage": "train"}, "forbid-promote-outside-its-stage"),
        ({"self_improvement_enabled": False}, "forbid-self-improvement-off"),
    ],
)
def test_nothing_ungated_is_promoted_even_with_an_approval(context: dict[str, Any], policy: str) -> None:
    for approved in (False, True):
        decision = ask("promote", DEVOPS, **{**context, "approved": approved})
        assert decision.answer is Answer.DENY
        assert decision.policies == (policy,)


@pytest.mark.parametrize(
    ("tool", "context"),
    [
        ("promote", {"auto_promote": False}),
        ("roll_back", {"auto_rollback": False}),
        ("roll_back", {"auto_rollback": False, "kill_switch": True}),
        ("ab_start", {"ab_testing": False}),
        ("silence_alerts", {"watch_silences": False}),
        ("apply_tuning", {"cost_optimization": False, "signal": "budget_share"}),
        ("apply_tuning", {"cost_optimization": False, "signal": "cost_per_1k_requests"}),
        ("apply_tuning", {"cost_optimization": False}),
        ("apply_tuning", {"approval_needed": True, "signal": "budget_share"}),
    ],
)
def test_what_only_lacks_an_approval_is_escalated_and_then_allowed(tool: str, context: dict[str, Any]) -> None:
    first = ask(tool, DEVOPS, **context)
    assert first.answer is Answer.ESCALATE
    assert first.policies
    assert "approve" in first.reason
    assert ask(tool, DEVOPS, **{**context, "approved": True}).allowed


def test_tuning_for_latency_needs_no_cost_flag() -> None:
    assert ask("apply_tuning", DEVOPS, cost_optimization=False, signal="latency_p95_ms").allowed


@pytest.mark.parametrize("stage", ["observe", "train", "ab", "learn"])
def test_alerts_are_silenced_around_a_change_of_ours_only(stage: str) -> None:
    assert ask("silence_alerts", DEVOPS, stage="watch").allowed
    assert ask("silence_alerts", DEVOPS, stage=stage).answer is Answer.DENY
    assert ask("silence_alerts", DEVOPS, stage=stage, approved=True).answer is Answer.DENY


def test_a_role_without_the_tool_is_denied_not_escalated() -> None:
    decision = ask("promote", ML, auto_promote=False)
    assert decision.answer is Answer.DENY
    assert "no policy permits promote" in decision.reason


@pytest.mark.parametrize("claimed", list(Effect))
def test_a_call_that_claims_another_effect_is_denied(claimed: Effect) -> None:
    for tool, (effect, roles) in TABLE.items():
        person = None if roles else "ann@example.org"
        decision = ask(tool, min(roles, default=DEVOPS), effect=claimed, person=person, needed=False)
        assert decision.allowed == (claimed is effect), tool


def test_an_unknown_tool_is_denied_with_the_reason() -> None:
    decision = ask("drop_table", DEVOPS)
    assert decision.answer is Answer.DENY
    assert "drop_table" in decision.reason


def test_an_unknown_environment_is_denied() -> None:
    assert ask("metric_query", ANALYST, environment="moon").policies == ("forbid-elsewhere",)


@pytest.mark.parametrize("field", sorted(GOOD))
def test_a_missing_context_field_is_denied(field: str) -> None:
    context = {k: v for k, v in GOOD.items() if k != field}
    request = AuthorizationRequest(
        actor=Actor(role=DEVOPS),
        tool="roll_back",
        effect=Effect.IRREVERSIBLE,
        target="search",
        environment="dev",
        context=context,
    )
    decision = PDP.decide(request)
    assert decision.answer is Answer.DENY
    assert field in decision.reason


@pytest.mark.parametrize("field", sorted(GOOD))
def test_a_context_field_of_another_type_is_denied(field: str) -> None:
    wrong = "yes" if isinstance(GOOD[field], (bool, int)) else 1
    assert ask("roll_back", DEVOPS, **dict[str, Any]({field: wrong})).answer is Answer.DENY


def test_a_number_beyond_64_bits_is_denied() -> None:
    decision = ask("metric_query", ANALYST, calls=2**63)
    assert decision.answer is Answer.DENY
    assert "64 bits" in decision.reason


def test_a_context_that_contradicts_the_request_is_denied() -> None:
    request = AuthorizationRequest(
        actor=Actor(role=ANALYST),
        tool="metric_query",
        effect=Effect.READ,
        target="search",
        environment="dev",
        context={**GOOD, "environment": "production"},
    )
    decision = PDP.decide(request)
    assert decision.answer is Answer.DENY
    assert "production" in decision.reason
