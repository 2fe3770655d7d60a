"""A repair must not cost quality or recall, and one that makes its signal worse is taken back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from cycles.desk import CallRefused
from cycles.stages import promote
from cycles.stages.guards import guarded, judge_guards, worse
from domain.diagnosis import Action, Diagnosis, RootCause
from domain.receipt import RecordKind
from domain.stage import Stage
from domain.verdict import Verdict
from policies.contract import load_contract
from policies.packaged import packaged_contract
from policies.profiles import Profile
from tests.support.office import Rig, office_in_memory
from tests.support.setting import alert_of
from tools.ballots import VOTE
from tools.observe.anomaly import AnomalyResult

CONTRACT = load_contract(packaged_contract())
COST = "cost_per_1k_requests"


def found(signal: str, delta: float | None = 0.0, anomalous: bool | None = False, **changes: Any) -> AnomalyResult:
    figures = {"breached": None, "current": 1.0, "baseline": 1.0, "z": None, "onset": None, "reason": "", **changes}
    return AnomalyResult(signal=signal, anomalous=anomalous, relative_delta=delta, **figures)


@pytest.mark.parametrize(
    ("delta", "anomalous", "verdict"),
    [
        (-0.02, True, Verdict.FAIL),
        (-0.02, False, Verdict.PASS),
        (-0.005, True, Verdict.PASS),
        (0.02, False, Verdict.PASS),
        (None, True, Verdict.INSUFFICIENT),
        (-0.02, None, Verdict.INSUFFICIENT),
    ],
)
def test_a_loss_beyond_the_guard_and_its_noise_fails(
    delta: float | None, anomalous: bool | None, verdict: Verdict
) -> None:
    [rule] = CONTRACT.gate("no_quality_loss")
    assert guarded(rule, found("ndcg_at_10", delta, anomalous)).verdict is verdict


def at_promote(rig: Rig, signal: str, **facts: Any) -> Any:
    """A desk at the promote stage of a cycle about `signal`."""
    cycle = rig.open(alert_of(Action.TUNE, rig.clock).model_copy(update={"signal": signal}))
    cycle = cycle.model_copy(update={"stage": Stage.PROMOTE, "action": Action.TUNE, "facts": facts})
    rig.store.save(cycle)
    return rig.desk(cycle)


def test_the_guards_of_the_row_are_judged_and_those_whose_signal_was_off_before_are_not(tmp_path: Path) -> None:
    rig = office_in_memory(tmp_path, Action.TUNE)
    desk = at_promote(rig, "etl_backlog_s")
    assert [rule.name for rule in judge_guards(desk, "look 0")] == ["no_quality_loss"]
    desk.keep("snapshot", {"breached": ["ndcg_at_10"]})
    assert judge_guards(desk, "look 1") == []


@pytest.mark.parametrize(
    ("signal", "was", "is_now", "due"),
    [
        ("etl_backlog_s", 15.0, 30.0, True),
        ("etl_backlog_s", 15.0, 18.0, False),
        ("etl_backlog_s", 29.0, 30.0, False),
        ("user_satisfaction", 3.9, 2.8, True),
        ("user_satisfaction", 3.4, 3.3, False),
        ("budget_share", 0.9, 1.3, True),
        ("vector_index_errors", 8.0, 40.0, True),
        ("vector_index_errors", 8.0, 9.0, False),
    ],
)
def test_a_signal_beyond_its_rollback_limit_and_further_off_than_before_is_worse(
    tmp_path: Path, signal: str, was: float, is_now: float, due: bool
) -> None:
    rig = office_in_memory(tmp_path, Action.TUNE)
    desk = at_promote(rig, signal, snapshot={"readings": {signal: {"current": was}}})
    assert bool(worse(desk, found(signal, current=is_now, baseline=0.5))) is due


def tuning(profile: Profile | None, tmp_path: Path) -> Any:
    """A desk about to tune for cost."""
    rig = office_in_memory(tmp_path, Action.TUNE, of=profile)
    diagnosis = Diagnosis(action=Action.TUNE, root_cause=RootCause.COST_TIER, summary="s", tuning={"tier": "standard"})
    return at_promote(rig, COST, diagnosis={"value": diagnosis.model_dump(mode="json")})


def _office_profile(tmp_path: Path, **changes: Any) -> Profile:
    plain = office_in_memory(tmp_path / "plain", Action.TUNE).profile
    return plain.model_copy(update=changes)


def test_in_dev_the_profile_approves_what_the_contract_wants_approved_and_is_named(tmp_path: Path) -> None:
    desk = tuning(None, tmp_path)
    assert promote.run(desk).next is Stage.WATCH
    records = desk.office.audit.records(desk.cycle.id)
    approved = [r.entry for r in records if r.entry.status == VOTE]
    assert [(entry.tool, entry.actor) for entry in approved] == [("apply_tuning", "profile dev")]
    [intent] = [r.entry for r in records if r.entry.kind is RecordKind.INTENT and r.entry.tool == "apply_tuning"]
    assert intent.body["approval"]["by"] == ["profile dev"]


def test_elsewhere_a_person_has_to(tmp_path: Path) -> None:
    desk = tuning(_office_profile(tmp_path, approver="person"), tmp_path)
    with pytest.raises(CallRefused, match="a person has to approve this first"):
        promote.run(desk)
    [request] = desk.office.consent.store.requests()
    assert (request.binding.tool, request.votes) == ("apply_tuning", ())
    assert not desk.did("apply_tuning")


def test_the_profile_stands_for_nobody_where_tuning_for_cost_is_switched_off(tmp_path: Path) -> None:
    plain = office_in_memory(tmp_path / "other", Action.TUNE).profile
    features = plain.features.model_copy(update={"cost_optimization": False})
    desk = tuning(_office_profile(tmp_path, features=features), tmp_path)
    with pytest.raises(CallRefused, match="a person has to approve this first"):
        promote.run(desk)
    assert not desk.did("apply_tuning")
