"""Leaving the platform alone is a claim like any other: it rests on what the platform shows, not on a diagnosis."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from domain.brief import Answered
from domain.diagnosis import Action, Diagnosis, RootCause
from domain.outcome import OutcomeKind
from evals.simulated import Fault
from tests.cycles.test_pace import after, limited
from tests.support.meddling import when_stage
from tests.support.setting import alert_of
from tests.support.story import given
from tools.observe.anomaly import AnomalyCheck, AnomalyResult

DOES_NOTHING = [Action.NOISE, Action.MONITOR]


@pytest.mark.parametrize("action", DOES_NOTHING)
def test_whatever_a_diagnosis_says_what_is_still_breached_is_handed_to_a_person(tmp_path: Path, action: Action) -> None:
    story = given(tmp_path, action).when(fault=Fault.SHIFT).runs().expect_end(OutcomeKind.HANDED_OFF)
    assert not story.cycle.outcome or not story.cycle.outcome.verified
    story.said("a person has to look: ndcg_at_10 is not well").did("notify").is_proven()
    report = story.rig.office.artifacts.read(story.cycle.id, "diagnostic_report.json")
    assert report is not None
    assert "ndcg_at_10 is not well" in report["downgraded"]


@pytest.mark.parametrize("action", DOES_NOTHING)
def test_what_nobody_can_measure_is_not_left_alone(tmp_path: Path, action: Action) -> None:
    said = Diagnosis(action=action, root_cause=RootCause.NOISE, summary="all is well", claims=())
    story = given(tmp_path, action, say={"diagnose": lambda _: Answered[Any](value=said, models=("script",))})
    story.when(quiet=lambda at: at > story.rig.world.alert_at)
    story.runs().expect_end(OutcomeKind.HANDED_OFF).said("all is well; a person has to look: ndcg_at_10 is not well")


def test_an_alert_about_a_signal_that_is_not_measured_here_is_not_left_alone(tmp_path: Path) -> None:
    story = given(tmp_path, Action.NOISE)
    alert = alert_of(Action.NOISE, story.rig.clock).model_copy(update={"signal": "etl_backlog_s"})
    cycle = story.rig.open(alert)
    story.rig.engine.launch()
    story.rig.engine.start(cycle.id)
    done = story.rig.engine.wait(cycle.id)
    assert done.outcome is OutcomeKind.HANDED_OFF
    assert "etl_backlog_s is not measured here" in done.reason


@pytest.mark.parametrize(
    ("signal", "changed", "outcome"),
    [
        ("ndcg_at_10", {"breached": True, "anomalous": False}, OutcomeKind.LEFT_ALONE),
        ("ndcg_at_10", {"breached": True, "anomalous": None}, OutcomeKind.HANDED_OFF),
        ("ndcg_at_10", {"breached": None, "anomalous": None}, OutcomeKind.HANDED_OFF),
        ("ndcg_at_10", {"breached": None, "anomalous": False}, OutcomeKind.LEFT_ALONE),
        ("ndcg_at_10", {"breached": False, "anomalous": True}, OutcomeKind.LEFT_ALONE),
        ("user_satisfaction", {"breached": True, "anomalous": False}, OutcomeKind.HANDED_OFF),
    ],
)
def test_noise_excuses_a_share_of_the_baseline_and_no_absolute_limit(
    tmp_path: Path, signal: str, changed: dict[str, Any], outcome: OutcomeKind
) -> None:
    story = given(tmp_path, Action.NOISE)
    tool = story.rig.gate.registry.get("anomaly_check")
    assert isinstance(tool, AnomalyCheck)
    answer = AnomalyResult(
        signal=signal,
        current=0.5,
        baseline=0.6,
        relative_delta=-0.1,
        z=None,
        onset=None,
        reason="as it is set",
        **changed,
    )
    object.__setattr__(tool, "run", lambda args, call: answer)
    story.runs().expect_end(outcome)


def test_after_a_cool_down_what_cannot_be_measured_is_not_taken_for_healed(tmp_path: Path) -> None:
    story = given(tmp_path, Action.RETRAIN, of=limited(cool_down="5m"))
    after(story.rig, OutcomeKind.IMPROVED)

    def silence() -> None:
        began = story.rig.clock.now()
        story.rig.world.quiet = lambda at: at > began + timedelta(minutes=4)

    when_stage(story.rig, "plan", silence, "wait")
    story.runs()
    assert story.cycle.outcome is not OutcomeKind.LEFT_ALONE
    assert "within its limits again" not in story.cycle.reason
