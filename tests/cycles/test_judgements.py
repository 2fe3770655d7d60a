"""What becomes of judgements: those that cannot be had, that do not hold, that are stopped or oddly worded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from cycles.stages import plan
from domain.brief import Answered, Brief
from domain.diagnosis import Action, Claim, Comparison, Diagnosis, RootCause
from domain.errors import (
    BudgetExhausted,
    ModelAnswerInvalid,
)
from domain.outcome import OutcomeKind
from domain.stage import Stage
from tests.support.meddling import notes
from tests.support.story import Story, given, opened

# -- judgements ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("problem", [ModelAnswerInvalid("not a diagnosis"), BudgetExhausted("eight calls")])
@pytest.mark.parametrize("question", ["diagnose", "plan_augmentation", "plan_training", "propose_promotion"])
def test_an_answer_that_cannot_be_had_is_handed_over(tmp_path: Path, question: str, problem: Exception) -> None:
    def fail(brief: Brief) -> Answered[Any]:
        raise problem

    story = given(tmp_path, Action.RETRAIN, say={question: fail}).runs()
    story.expect_end(OutcomeKind.HANDED_OFF).said(str(problem))
    assert story.effects.count("promote") == 0
    assert [v.name for v in story.rig.ports.delivery.live().variants] == ["champion"]


@pytest.mark.parametrize(
    ("action", "question", "outcome"),
    [
        (Action.RETRAIN, "diagnose", OutcomeKind.HANDED_OFF),
        (Action.RETRAIN, "plan_augmentation", OutcomeKind.STOPPED),
        (Action.RETRAIN, "plan_training", OutcomeKind.STOPPED),
        (Action.RETRAIN, "propose_promotion", OutcomeKind.HANDED_OFF),
        (Action.ROLLBACK, "propose_promotion", OutcomeKind.STOPPED),
        (Action.TUNE, "propose_promotion", OutcomeKind.STOPPED),
    ],
)
def test_what_the_supervisor_stops_is_not_done(
    tmp_path: Path, action: Action, question: str, outcome: OutcomeKind
) -> None:
    story = given(tmp_path, action)
    judges: Any = story.rig.judges
    make = getattr(judges, question)

    def stopped(brief: Brief) -> Answered[Any]:
        judges._say.clear()
        answer: Answered[Any] = make(brief)
        return answer.model_copy(update={"stopped": "it makes no sense"})

    judges._say[question] = stopped
    story.runs().said("it makes no sense")
    assert story.cycle.outcome is outcome
    assert story.cycle.stage is (Stage.STOPPED if outcome is OutcomeKind.STOPPED else Stage.DONE)
    assert not {"promote", "roll_back", "apply_tuning"} & set(story.effects)


def test_claims_that_do_not_hold_are_dropped_counted_and_carry_nothing(tmp_path: Path) -> None:
    def boast(brief: Brief) -> Answered[Any]:
        claim = Claim(
            statement="s", call="diagnose/drift_report/0000000000", path="psi", comparison=Comparison.ABOVE, value=1.0
        )
        diagnosis = Diagnosis(
            action=Action.RETRAIN, root_cause=RootCause.CORPUS_SHIFT, summary="trust me", claims=(claim, claim)
        )
        return Answered[Any](value=diagnosis, fallbacks=("the endpoint hung",))

    story = given(tmp_path, Action.RETRAIN, say={"diagnose": boast}).runs().expect_end(OutcomeKind.HANDED_OFF)
    story.said("needs 2 supported claims")
    report = story.rig.office.artifacts.read(story.cycle.id, "diagnostic_report.json")
    assert report is not None
    assert (report["unsupported_claims"], report["action"]) == (2, "handoff")
    assert report["downgraded"]
    assert "the playbook stepped in: the endpoint hung" in notes(story)


def reworded(story: Story, **changes: Any) -> Story:
    """Let the diagnosis of the script be worded otherwise."""
    judges: Any = story.rig.judges
    make = judges._diagnosis
    judges._diagnosis = lambda brief: make(brief).model_copy(update=changes)
    return story


@pytest.mark.parametrize("since", ["yesterday", "", "2026-01-01T00:10:00", "2026-01-01T00:10:00+00:00", None])
def test_whatever_a_model_calls_the_onset_the_damage_is_set_aside(tmp_path: Path, since: str | None) -> None:
    story = reworded(given(tmp_path, Action.DATA_FIX), since=since).runs().expect_end(OutcomeKind.REPAIRED)
    assert story.cycle.facts["quarantined"] == 240


@pytest.mark.parametrize("tuning", [{}, {"turbo": 1}, {"mode": "not a mode!"}, {"index_generation": 0}])
def test_settings_nobody_knows_are_refused_and_handed_over(tmp_path: Path, tuning: dict[str, Any]) -> None:
    story = reworded(given(tmp_path, Action.TUNE), tuning=tuning).runs().expect_end(OutcomeKind.HANDED_OFF)
    story.did("notify")


def test_a_model_that_cannot_be_brief_is_cut_short(tmp_path: Path) -> None:
    story = reworded(given(tmp_path, Action.NOISE), summary="noise " * 2000).runs()
    story.expect_end(OutcomeKind.LEFT_ALONE).did("notify")


@pytest.mark.parametrize(
    "said", [{"digest": "latest"}, {"metrics": {"ndcg": "high"}}, {"examples": None}, {"metrics": 3}]
)
def test_a_job_that_garbles_its_result_is_not_believed(tmp_path: Path, said: dict[str, Any]) -> None:
    story = given(tmp_path, Action.RETRAIN)
    training: Any = story.rig.ports.training
    training._entries = {n: lambda s, out, e=e: {**e(s, out), **said} for n, e in training._entries.items()}
    story.runs().expect_end(OutcomeKind.HANDED_OFF).said("train failed")
    assert story.effects == ["dataset_version", "notify"]


def test_a_suspect_that_no_tool_named_is_not_reverted(tmp_path: Path) -> None:
    rig = given(tmp_path, Action.ROLLBACK).rig
    diagnosis = Diagnosis(action=Action.ROLLBACK, root_cause=RootCause.BAD_RELEASE, summary="s", suspect_digest="x")
    facts = [("diagnosis", Answered[Any](value=diagnosis).model_dump(mode="json"))]
    cycle = opened(rig, Action.ROLLBACK, Stage.ROLL_BACK, facts)
    rig.engine.advance(cycle.id)
    assert rig.now(cycle.id).outcome is OutcomeKind.HANDED_OFF
    assert "not on record" in rig.now(cycle.id).reason


@pytest.mark.parametrize("action", [Action.NOISE, None])
def test_an_action_without_a_plan_is_handed_over(tmp_path: Path, action: Action | None) -> None:
    rig = given(tmp_path, Action.NOISE).rig
    desk = rig.desk(opened(rig, Action.NOISE, Stage.PLAN).model_copy(update={"action": action}))
    assert plan.run(desk).next is Stage.LEARN
    assert desk.cycle.outcome is OutcomeKind.HANDED_OFF
