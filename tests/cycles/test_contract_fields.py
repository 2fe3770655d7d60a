"""Every field of every row of the contract is read by code that decides: change the file, and the decision changes."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from cycles.context import ContextSource
from cycles.pace import OVERDUE, note_overdue
from cycles.stages import evaluate, looks, observe, watch
from cycles.stages.guards import gated, judge_guards, worse
from domain.actor import Actor, Role
from domain.diagnosis import Action
from domain.measurement import Measurement
from domain.outcome import OutcomeKind
from domain.stage import Stage
from domain.verdict import Verdict
from policies.contract import REMEDIES, Contract, breached, load_contract
from policies.packaged import packaged_contract
from tests.support.office import Rig, office_in_memory
from tests.support.setting import alert_of, profile
from tests.support.story import given
from tools.observe.anomaly import AnomalyResult

FILE: Mapping[str, Any] = yaml.safe_load(packaged_contract())
PACKAGED = load_contract(packaged_contract())
SIGNALS = sorted(FILE["signals"])


def rewritten(signal: str, **fields: Any) -> Contract:
    """Return the contract of the file with fields of a row replaced."""
    signals = {**FILE["signals"], signal: {**FILE["signals"][signal], **fields}}
    return load_contract(yaml.safe_dump({**FILE, "signals": signals}))


def desk_of(rig: Rig, contract: Contract, signal: str, action: Action, stage: Stage, **facts: Any) -> Any:
    """Return the desk of a cycle on this signal in a stage, in an office with this contract."""
    object.__setattr__(rig.office, "contract", contract)
    alert = alert_of(action, rig.clock).model_copy(update={"signal": signal})
    cycle = rig.open(alert).model_copy(update={"stage": stage, "action": action, "facts": facts})
    rig.store.save(cycle)
    return rig.desk(cycle)


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return office_in_memory(tmp_path)


@pytest.mark.parametrize("signal", SIGNALS)
def test_the_threshold_says_what_is_a_breach(signal: str) -> None:
    row = PACKAGED.signal(signal)
    sign = 1 if row.bad_direction == "up" else -1
    limit = row.limits[0]
    relative = limit.kind == "relative_to_baseline"
    beyond = (1 + sign * 1.5 * limit.threshold) if relative else limit.threshold + sign * 0.1 * abs(limit.threshold)
    base = Measurement(value=1.0 if relative else beyond, unit=row.unit, n=9)
    now = Measurement(value=beyond, unit=row.unit, n=9)
    moved = limit.threshold * 2 if relative else limit.threshold + sign * abs(limit.threshold)
    looser = rewritten(signal, limits=[{"kind": limit.kind, "threshold": moved}])
    turned = rewritten(
        signal,
        limits=[{"kind": limit.kind, "threshold": limit.threshold}],
        bad_direction="down" if sign == 1 else "up",
    )
    assert breached(PACKAGED, signal, now, base).verdict is Verdict.FAIL
    assert breached(looser, signal, now, base).verdict is Verdict.PASS
    assert breached(turned, signal, now, base).verdict is Verdict.PASS


@pytest.mark.parametrize("signal", SIGNALS)
def test_the_automatic_action_says_what_may_be_done(signal: str) -> None:
    named = [action for action in REMEDIES if PACKAGED.allows(action, [signal])]
    assert named
    for action in named:
        kept = [word for word in FILE["signals"][signal]["actions"] if word not in REMEDIES[action]]
        assert not rewritten(signal, actions=[*kept, "diagnose"]).allows(action, [signal])
    unnamed = rewritten(signal, actions=["diagnose"])
    assert all(unnamed.allows(action, [signal]) for action in ("rollback", "noise", "monitor", "handoff"))


@pytest.mark.parametrize(("action", "signal"), [(Action.RETRAIN, "ndcg_at_10"), (Action.TUNE, "latency_p95_ms")])
def test_an_action_the_row_does_not_name_is_handed_to_a_person(tmp_path: Path, action: Action, signal: str) -> None:
    story = given(tmp_path, action)
    signals = {**FILE["signals"], **{name: {**FILE["signals"][name], "actions": ["diagnose"]} for name in SIGNALS}}
    object.__setattr__(story.rig.office, "contract", load_contract(yaml.safe_dump({**FILE, "signals": signals})))
    story.runs().expect_end(OutcomeKind.HANDED_OFF).said(f"names no {action.value}", signal).did("notify")


@pytest.mark.parametrize("signal", SIGNALS)
def test_the_gates_of_a_row_judge_a_change_of_settings(rig: Rig, signal: str) -> None:
    other = "no_index_loss" if signal != "recall_at_20" else "no_quality_loss"
    guarded = rewritten(signal, gates=[other])
    level = rewritten(signal, gates=["user_satisfaction" if signal != "user_satisfaction" else "cost_per_1k_requests"])
    for contract in (guarded, level):
        desk = desk_of(rig, contract, signal, Action.TUNE, Stage.WATCH)
        (judged,) = judge_guards(desk, "look")
        assert judged.name == contract.signal(signal).gates[0]
        lost = judged.name == "no_quality_loss"  # this platform has lost quality
        assert judged.verdict is (Verdict.FAIL if lost else Verdict.PASS)
        rig.store.save(desk.cycle.model_copy(update={"stage": Stage.DONE}))
    gates = {
        **FILE["quality_gates"],
        "user_satisfaction": {**FILE["quality_gates"]["user_satisfaction"], "threshold": 4.9},
    }
    row = {**FILE["signals"][signal], "gates": ["user_satisfaction"]}
    dearer = load_contract(
        yaml.safe_dump({**FILE, "quality_gates": gates, "signals": {**FILE["signals"], signal: row}})
    )
    if signal != "user_satisfaction":
        (judged,) = judge_guards(desk_of(rig, dearer, signal, Action.TUNE, Stage.WATCH), "look")
        assert judged.verdict is Verdict.INSUFFICIENT  # a level that is missed, and no loss that could be told


def checked(signal: str, current: float, anomalous: bool | None) -> AnomalyResult:
    return AnomalyResult(
        signal=signal,
        anomalous=anomalous,
        breached=None,
        current=current,
        baseline=1.0,
        relative_delta=current - 1.0,
        z=None,
        onset=None,
        reason="r",
    )


@pytest.mark.parametrize(
    ("gate", "current", "anomalous", "verdict"),
    [
        ("latency_p95_ms", 1.1, False, Verdict.PASS),
        ("latency_p95_ms", 1.4, True, Verdict.FAIL),
        ("latency_p95_ms", 1.4, False, Verdict.PASS),
        ("latency_p95_ms", 1.4, None, Verdict.INSUFFICIENT),
        ("user_satisfaction", 3.9, True, Verdict.FAIL),
        ("user_satisfaction", 3.9, False, Verdict.INSUFFICIENT),
    ],
)
def test_a_gate_a_repair_misses_counts_against_it_beyond_its_noise(
    gate: str, current: float, anomalous: bool | None, verdict: Verdict
) -> None:
    (rule,) = PACKAGED.gate(gate)
    assert gated(rule, checked(rule.signal, current, anomalous)).verdict is verdict


@pytest.mark.parametrize("signal", SIGNALS)
def test_a_gate_of_a_row_that_no_candidate_is_judged_by_stops_the_candidate(rig: Rig, signal: str) -> None:
    model = {"name": "reranker", "version": "1", "digest": f"sha256:{'a' * 64}", "uri": "", "run_id": "r"}
    contract = rewritten(signal, gates=["no_index_loss"])
    desk = desk_of(rig, contract, signal, Action.RETRAIN, Stage.EVALUATE, candidate={"model": model})
    result = evaluate.run(desk)
    assert (result.next, desk.cycle.outcome) == (Stage.LEARN, OutcomeKind.HANDED_OFF)
    assert "no_index_loss" in result.reason


def test_the_thresholds_of_all_quality_gates_judge_a_candidate(tmp_path: Path) -> None:
    hard = {"ndcg_at_10": 0.9, "latency_p95_ms": -0.9, "cost_per_1k_requests": 1e-9, "user_satisfaction": 4.9}
    for name, threshold in hard.items():
        story = given(tmp_path / name, Action.RETRAIN)
        gates = {**FILE["quality_gates"], name: {**FILE["quality_gates"][name], "threshold": threshold}}
        object.__setattr__(
            story.rig.office, "contract", load_contract(yaml.safe_dump({**FILE, "quality_gates": gates}))
        )
        story.runs().expect_end(OutcomeKind.NOT_PROMOTED)
        assert "promote" not in story.effects, name


def test_a_level_beside_the_relative_rule_is_judged_too(tmp_path: Path) -> None:
    story = given(tmp_path, Action.RETRAIN)
    gates = {**FILE["quality_gates"], "ndcg_at_10": {**FILE["quality_gates"]["ndcg_at_10"], "min_level": 0.99}}
    object.__setattr__(story.rig.office, "contract", load_contract(yaml.safe_dump({**FILE, "quality_gates": gates})))
    story.runs().expect_end(OutcomeKind.NOT_PROMOTED).said("ndcg_at_10_level")


@pytest.mark.parametrize("signal", SIGNALS)
def test_the_rollback_limit_of_a_row_takes_a_change_of_settings_back(rig: Rig, signal: str) -> None:
    row = PACKAGED.signal(signal)
    sign = 1 if row.bad_direction == "up" else -1
    limit = 10.0
    contract = rewritten(signal, rollback={"limits": [{"kind": "absolute", "threshold": limit}]})
    facts = {"snapshot": {"readings": {signal: {"current": limit}}, "breached": [signal]}}
    desk = desk_of(rig, contract, signal, Action.TUNE, Stage.WATCH, **facts)
    check = AnomalyResult(
        signal=signal,
        anomalous=True,
        breached=True,
        current=limit * (1 + 0.5 * sign),
        baseline=limit,
        relative_delta=0.5 * sign,
        z=9.0 * sign,
        onset=None,
        reason="r",
    )
    assert worse(desk, check)
    further = rewritten(signal, rollback={"limits": [{"kind": "absolute", "threshold": limit * (1 + 0.9 * sign)}]})
    rig.store.save(desk.cycle.model_copy(update={"stage": Stage.DONE}))
    assert not worse(desk_of(rig, further, signal, Action.TUNE, Stage.WATCH, **facts), check)


@pytest.mark.parametrize(
    ("signal", "threshold"), [("recall_at_20", 0.99), ("user_satisfaction", 4.9), ("cost_per_1k_requests", 0.01)]
)
def test_the_rollback_limit_of_a_row_takes_a_promoted_model_back(rig: Rig, signal: str, threshold: float) -> None:
    for limits, verdict in (([{"kind": "absolute", "threshold": threshold}], Verdict.FAIL), ([], None)):
        contract = rewritten(signal, rollback={"limits": limits})
        desk = desk_of(rig, contract, signal, Action.RETRAIN, Stage.WATCH)
        judged = watch._own_limits(desk, rig.clock.now(), 2)
        assert [j.verdict for j in judged] == ([verdict] if verdict else [])
        rig.store.save(desk.cycle.model_copy(update={"stage": Stage.DONE}))


def test_the_row_of_the_quality_says_by_which_test_a_promoted_model_is_taken_back(rig: Rig) -> None:
    before = [Measurement(value=0.6 + 0.001 * (n % 3), unit="score", n=500, stderr=0.001) for n in range(12)]
    after = [Measurement(value=0.2, unit="score", n=500, stderr=0.001) for _ in range(6)]
    for contract, verdict in (
        (PACKAGED, Verdict.FAIL),
        (rewritten("ndcg_at_10", rollback={"test": "none"}), Verdict.PASS),
    ):
        desk = desk_of(rig, contract, "ndcg_at_10", Action.RETRAIN, Stage.WATCH)
        assert looks.judge_promotion(desk, before, after).verdict is verdict
        rig.store.save(desk.cycle.model_copy(update={"stage": Stage.DONE}))


@pytest.mark.parametrize("signal", SIGNALS)
def test_a_row_that_needs_an_approval_asks_people(rig: Rig, signal: str) -> None:
    person = profile("staging")
    for needed in (True, False):
        contract = rewritten(signal, needs_approval=needed)
        desk = desk_of(rig, contract, signal, Action.TUNE, Stage.PROMOTE)
        source = ContextSource(rig.store, rig.clock, person, contract)
        spec = rig.gate.registry.get("apply_tuning").spec
        told = source(desk.scope, spec, {}, Actor(role=Role.DEVOPS_ENGINEER))
        assert told["approval_needed"] is needed
        rig.store.save(desk.cycle.model_copy(update={"stage": Stage.DONE}))


@pytest.mark.parametrize("signal", SIGNALS)
def test_the_reaction_time_of_a_row_bounds_the_first_wait_and_names_who_is_late(rig: Rig, signal: str) -> None:
    for allowed, late in (("6s", True), ("6h", False)):
        contract = rewritten(signal, reaction=allowed)
        desk = desk_of(rig, contract, signal, Action.TUNE, Stage.OBSERVE)
        waits = observe.run(desk).wait
        assert waits <= (timedelta(seconds=2) if late else rig.profile.measure.confirm)
        rig.clock.sleep(timedelta(seconds=7))
        note_overdue(desk)
        noted = [r for r in rig.audit.records(desk.cycle.id) if r.entry.status == OVERDUE]
        assert bool(noted) is late
        rig.store.save(desk.cycle.model_copy(update={"stage": Stage.DONE}))
