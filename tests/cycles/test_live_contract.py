"""A contract that changes while a cycle runs: each step is judged by one, and the record says by which."""

from __future__ import annotations

from pathlib import Path

from cycles.context import ContextSource
from cycles.rules import Rulebook
from cycles.shelf import rules_of, tapes_of
from domain.actor import Actor, Role
from domain.diagnosis import Action
from domain.outcome import OutcomeKind
from domain.stage import Stage
from policies.contract import Contract
from tests.support.meddling import when_stage
from tests.support.replays import replayed
from tests.support.setting import alert_of
from tests.support.story import Story, given, opened


def with_gate(contract: Contract, threshold: float) -> Contract:
    """Return the contract with another threshold of nDCG@10."""
    gate = contract.quality_gates["ndcg_at_10"].model_copy(update={"threshold": threshold})
    return contract.model_copy(update={"quality_gates": {**contract.quality_gates, "ndcg_at_10": gate}})


def changing(story: Story, stage: str, threshold: float) -> Story:
    """Let the contract change as soon as a stage has begun."""
    held = [story.rig.office.contract]
    object.__setattr__(story.rig.office, "live_contract", lambda: held[0])
    when_stage(story.rig, stage, lambda: held.append(with_gate(held.pop(), threshold)))
    return story


def gates_of(story: Story) -> list[tuple[str, float]]:
    """Return which threshold each step was judged by, by the record."""
    tapes = tapes_of(story.rig.store, story.cycle.id)
    contracts = [Contract.model_validate_json(rules_of(story.rig.store, tape.rules).contract) for tape in tapes]
    return [(t.stage, c.quality_gates["ndcg_at_10"].threshold) for t, c in zip(tapes, contracts, strict=True)]


def test_a_stricter_gate_counts_from_the_next_step_on(tmp_path: Path) -> None:
    story = changing(given(tmp_path, Action.RETRAIN), "train", 0.9)
    story.runs().expect_end(OutcomeKind.NOT_PROMOTED).said("offline evaluation", "below +90.00%").is_proven()
    assert {gate for stage, gate in gates_of(story) if stage in ("observe", "diagnose", "plan", "augment")} == {0.03}
    assert {gate for stage, gate in gates_of(story) if stage in ("evaluate", "learn")} == {0.9}


def test_a_step_that_has_begun_ends_by_the_contract_it_began_with(tmp_path: Path) -> None:
    rig = given(tmp_path, Action.RETRAIN).rig
    held = [rig.office.contract]
    object.__setattr__(rig.office, "live_contract", lambda: held[0])
    desk = rig.desk(opened(rig, Action.RETRAIN, Stage.EVALUATE))
    held[0] = with_gate(held[0], 0.9)
    assert desk.contract.gate("ndcg_at_10")[0].threshold == 0.03
    assert rig.desk(desk.cycle).contract.gate("ndcg_at_10")[0].threshold == 0.9


def test_a_cycle_whose_contract_changed_replays_to_the_same_step_by_step(tmp_path: Path) -> None:
    story = changing(given(tmp_path, Action.RETRAIN), "train", 0.9).runs()
    assert len({gate for _, gate in gates_of(story)}) == 2
    assert replayed(story.rig, story.cycle).same


def test_overrides_are_checked_against_and_put_on_the_contract_of_now(tmp_path: Path) -> None:
    rig = given(tmp_path, Action.RETRAIN).rig
    held = [rig.office.contract]
    book = rig.office.rulebook
    assert book is not None
    live = Rulebook(book._rules, held[0], rig.audit, rig.clock, environment="dev", live=lambda: held[0])
    held[0] = with_gate(held[0], 0.07)
    assert live.contract().gate("ndcg_at_10")[0].threshold == 0.07


def test_the_door_asks_the_contract_of_now_whether_people_have_to_approve(tmp_path: Path) -> None:
    rig = given(tmp_path, Action.RETRAIN).rig
    held = [rig.office.contract]
    source = ContextSource(rig.store, rig.clock, rig.profile, held[0], live=lambda: held[0])
    desk = rig.desk(rig.open(alert_of(Action.RETRAIN, rig.clock)))
    tool = rig.gate.registry.get("train_model")
    actor = Actor(role=Role.ML_ENGINEER)
    assert source(desk.scope, tool.spec, {}, actor)["approval_needed"] is False
    row = held[0].signals["ndcg_at_10"].model_copy(update={"needs_approval": True})
    held[0] = held[0].model_copy(update={"signals": {**held[0].signals, "ndcg_at_10": row}})
    assert source(desk.scope, tool.spec, {}, actor)["approval_needed"] is True
