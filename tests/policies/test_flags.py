"""Flags become the context of a decision: the environment's own row wins, unknown is off, the kill switch sticks."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from domain.verdict import Verdict
from policies.context import CycleFacts, policy_context
from policies.flags import FEATURES, FeatureFlag, FlagSet


def flag(name: str, enabled: bool, environment: str = "all") -> FeatureFlag:
    return FeatureFlag(name=name, enabled=enabled, environment=environment)


def test_an_unknown_flag_is_off() -> None:
    assert not FlagSet().enabled("auto_promote", "dev")


def test_the_row_of_the_environment_wins_over_the_row_of_all() -> None:
    flags = FlagSet([flag("auto_promote", True), flag("auto_promote", False, "staging")])
    assert flags.enabled("auto_promote", "production")
    assert not flags.enabled("auto_promote", "staging")


def test_a_row_wins_over_the_defaults_of_the_profile() -> None:
    flags = FlagSet([flag("auto_promote", False)], defaults={"auto_promote": True, "ab_testing": True})
    assert not flags.enabled("auto_promote", "dev")
    assert flags.enabled("ab_testing", "dev")


def test_the_kill_switch_of_all_cannot_be_switched_off_in_one_environment() -> None:
    flags = FlagSet([flag("kill_switch", True), flag("kill_switch", False, "production")])
    assert flags.killed("production")
    assert FlagSet([flag("kill_switch", True, "dev")]).killed("dev")
    assert not FlagSet([flag("kill_switch", True, "dev")]).killed("production")
    assert FlagSet([flag("kill_switch", False)], defaults={"kill_switch": True}).killed("dev")


def test_details_are_kept_beside_the_flag() -> None:
    row = FeatureFlag(name="cost_optimization", enabled=True, details={"max_budget_usd": 500})
    found = FlagSet([row]).find("cost_optimization", "dev")
    assert found is not None
    assert found.details["max_budget_usd"] == 500


def facts(**changed: object) -> CycleFacts:
    values = {
        "stage": "promote",
        "cycles_today": 1,
        "max_cycles_per_day": 6,
        "budget_left_cents": 100,
        "hour": 12,
        "calls": 0,
        "tombstoned": False,
        "window_open": True,
        "cooling_down": False,
        "models_today": 0,
        "max_models_per_day": 3,
        "models_at_once": 0,
        "max_models_at_once": 1,
        "share_bp": 0,
        "max_share_bp": 5000,
        **changed,
    }
    return CycleFacts.model_validate(values)


def test_the_context_holds_every_flag_and_fact() -> None:
    context = policy_context(FlagSet([flag("auto_promote", True)]), "dev", facts(signal="ndcg_at_10"))
    assert context["auto_promote"] is True
    assert context["verdict_ab"] == "insufficient"
    assert context["gates_passed"] is False
    assert context["signal"] == "ndcg_at_10"
    assert set(FEATURES) | {"kill_switch"} <= context.keys()
    assert "signal" not in policy_context(FlagSet(), "dev", facts())


def test_the_gates_have_passed_only_when_both_verdicts_are_pass() -> None:
    for evaluate in Verdict:
        for ab in Verdict:
            both = evaluate is Verdict.PASS and ab is Verdict.PASS
            assert facts(verdict_evaluate=evaluate, verdict_ab=ab).gates_passed is both


def test_a_fact_out_of_range_is_refused() -> None:
    with pytest.raises(ValidationError, match="hour"):
        facts(hour=24)
