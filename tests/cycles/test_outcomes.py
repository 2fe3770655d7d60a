"""What a cycle may call a success: it rests on a measurement of the right thing, and on something that was done."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from cycles.stages.guards import well
from cycles.verify_outcome import check_outcome
from domain.actor import Actor, Role
from domain.diagnosis import Action
from domain.outcome import OutcomeKind
from domain.stage import Stage
from evals.simulated import Fault
from policies.contract import load_contract
from policies.packaged import packaged_contract
from tests.cycles.test_pace import after, limited
from tests.support.meddling import when_stage
from tests.support.office import Rig, office_in_memory
from tests.support.story import Story, given, opened
from tools.model.evaluate import Evaluated
from tools.observe.anomaly import MIN_SAMPLES, AnomalyArgs, AnomalyCheck, AnomalyResult
from tools.tool import Call

# -- well ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Rig:
    return office_in_memory(tmp_path_factory.mktemp("well"), Action.TUNE)


PLAIN = load_contract(packaged_contract())


def seen(signal: str, current: float | None, breached: bool | None, anomalous: bool | None) -> AnomalyResult:
    return AnomalyResult(
        signal=signal,
        anomalous=anomalous,
        breached=breached,
        current=current,
        baseline=1.0,
        relative_delta=None,
        z=None,
        onset=None,
        reason="",
    )


@pytest.mark.parametrize(
    ("signal", "current", "breached", "anomalous", "expected"),
    [
        # A row with both kinds of limits: noise excuses the share, and never the level.
        ("latency_p95_ms", 700.0, True, False, True),
        ("latency_p95_ms", 801.0, True, False, False),
        ("latency_p95_ms", 801.0, None, False, False),
        ("latency_p95_ms", None, None, False, False),
        ("latency_p95_ms", float("nan"), None, False, False),
        ("cost_per_1k_requests", 0.4, True, False, True),
        ("cost_per_1k_requests", 0.51, True, False, False),
        ("ndcg_at_10", 0.5, True, False, True),
        ("ndcg_at_10", 0.5, True, None, False),
        ("ndcg_at_10", 0.5, True, True, False),
        ("ndcg_at_10", 0.5, False, True, True),
        # With levels alone, what the contract could not judge is not well, however calm it is.
        ("user_satisfaction", 4.4, None, False, False),
        ("user_satisfaction", 4.4, False, None, True),
        ("etl_backlog_s", 70.0, True, False, False),
    ],
)
def test_noise_excuses_no_level(
    rig: Rig, signal: str, current: float | None, breached: bool | None, anomalous: bool | None, expected: bool
) -> None:
    desk = rig.desk(opened(rig, Action.TUNE, Stage.WATCH))
    rig.store.save(desk.cycle.model_copy(update={"stage": Stage.DONE}))
    desk.rules = PLAIN
    assert well(desk, seen(signal, current, breached, anomalous)) is expected


@pytest.mark.parametrize(("sessions", "breached"), [(MIN_SAMPLES - 1, None), (MIN_SAMPLES, False)])
def test_a_mean_of_a_few_sessions_is_no_word_that_the_quality_is_well(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sessions: int, breached: bool | None
) -> None:
    rig = office_in_memory(tmp_path, Action.NOISE)
    rig.world.fault = Fault.NONE
    clock: Any = rig.clock
    clock.advance(timedelta(minutes=1))
    monkeypatch.setattr("evals.simulated.SESSIONS_PER_S", sessions / rig.profile.measure.current.total_seconds())
    tool = rig.gate.registry.get("anomaly_check")
    assert isinstance(tool, AnomalyCheck)
    desk = rig.desk(opened(rig, Action.NOISE, Stage.DIAGNOSE))
    call = Call(desk.scope, Actor(role=Role.METRICS_ANALYST), "k", "p")
    assert tool.run(AnomalyArgs(signal="ndcg_at_10"), call).breached is breached


# -- what was evaluated, and what was done ---------------------------------------------------------------


@pytest.mark.parametrize("side", ["baseline", "candidate"])
def test_scores_of_another_model_are_no_scores_of_the_candidate(tmp_path: Path, side: str) -> None:
    story = given(tmp_path, Action.RETRAIN)
    tool: Any = story.rig.gate.registry.get("offline_evaluation")
    honest = tool.run

    def lying(args: Any, call: Any) -> Evaluated:
        told: Evaluated = honest(args, call)
        other = getattr(told, side).model_copy(update={"digest": f"sha256:{'e' * 64}"})
        return told.model_copy(update={side: other})

    tool.run = lying
    story.runs().expect_end(OutcomeKind.HANDED_OFF).said(f"the {side} that was evaluated is sha256:eee")
    assert "ab_start" not in story.effects


def test_what_healed_by_itself_is_not_called_repaired(tmp_path: Path) -> None:
    story = given(tmp_path, Action.DATA_FIX)
    platform: Any = story.rig.ports.platform
    quarantine = platform.quarantine

    def idle(**asked: Any) -> int:
        quarantine(**asked)
        return 0

    platform.quarantine = idle
    story.runs().expect_end(OutcomeKind.UNVERIFIED).said("is back at", "no judgement was set aside").is_proven()


def test_after_a_cool_down_all_that_was_off_has_to_be_well(tmp_path: Path) -> None:
    story = given(tmp_path, Action.RETRAIN, of=limited(cool_down="5m"))
    after(story.rig, OutcomeKind.IMPROVED)

    def heal_one() -> None:
        [cycle] = story.rig.store.cycles(open_only=True)
        snapshot = cycle.facts["snapshot"]
        snapshot = {**snapshot, "breached": [*snapshot["breached"], "etl_backlog_s"]}
        story.rig.store.save(cycle.with_fact("snapshot", snapshot))
        story.rig.world.skills = {}
        story.rig.world.candidate = 0.6

    when_stage(story.rig, "plan", heal_one, "wait")
    story.runs()
    assert story.cycle.outcome is not OutcomeKind.LEFT_ALONE
    assert "after the cool-down" not in story.cycle.reason


# -- the proof of an outcome -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> dict[Action, Story]:
    actions = (Action.RETRAIN, Action.ROLLBACK, Action.DATA_FIX, Action.TUNE, Action.NOISE)
    return {action: given(tmp_path_factory.mktemp(action.value), action).runs() for action in actions}


@pytest.mark.parametrize(
    ("action", "said"),
    [
        (Action.RETRAIN, "improved, promote (record "),
        (Action.ROLLBACK, "restored, roll_back (record "),
        (Action.DATA_FIX, "repaired, quarantine_feedback (record "),
        (Action.TUNE, "tuned, apply_tuning (record "),
        (Action.NOISE, "left_alone"),
    ],
)
def test_a_success_names_the_effect_and_the_watch_it_rests_on(
    ended: dict[Action, Story], action: Action, said: str
) -> None:
    told = check_outcome(ended[action].cycle, ended[action].rig.evidence())
    assert told.startswith(said)
    assert ("looks that passed" in told) == (action is not Action.NOISE)


@pytest.mark.parametrize("action", [Action.RETRAIN, Action.ROLLBACK, Action.DATA_FIX, Action.TUNE])
@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"verdict": "insufficient"}, "watch.json ends with"),
        ({"verdict": "error"}, "watch.json ends with"),
        ({"looks": []}, "no look was made"),
    ],
)
def test_a_success_whose_watch_did_not_pass_is_named(
    ended: dict[Action, Story], action: Action, changes: dict[str, Any], named: str
) -> None:
    story = ended[action]
    artifacts = story.rig.office.artifacts
    kept = artifacts.read(story.cycle.id, "watch.json")
    assert kept is not None
    try:
        artifacts.write_text(story.cycle.id, "watch.json", json.dumps({**kept, **changes}))
        with pytest.raises(ValueError, match=named):
            check_outcome(story.cycle, story.rig.evidence())
    finally:
        artifacts.write_text(story.cycle.id, "watch.json", json.dumps(kept))
    assert check_outcome(story.cycle, story.rig.evidence())


def test_a_success_that_nothing_was_done_for_is_named(ended: dict[Action, Story]) -> None:
    told, other = ended[Action.NOISE], ended[Action.RETRAIN]
    claimed = told.cycle.model_copy(update={"outcome": OutcomeKind.IMPROVED})
    with pytest.raises(ValueError, match=r"outcome\.json"):
        check_outcome(claimed, told.rig.evidence())
    less = other.cycle.model_copy(update={"facts": {**other.cycle.facts, "watch": []}})
    with pytest.raises(ValueError, match="looks of the cycle"):
        check_outcome(less, other.rig.evidence())
