"""A candidate leaves behind how it was made and what is known of it, and neither decides how its cycle ends."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from domain.brief import Answered, Brief
from domain.diagnosis import Action
from domain.errors import DependencyUnavailable, EvercrewError
from domain.outcome import OutcomeKind
from domain.plan import TrainingPlan
from service.toolbox import Ports
from tests.support.flaky import Flaky, always
from tests.support.meddling import flag, when_stage
from tests.support.setting import MODEL
from tests.support.story import Story, given

DOWN = DependencyUnavailable("the store", "does not answer")


def card(story: Story) -> str:
    """Return the card of the cycle's candidate."""
    return story.rig.ports.tracking.card(MODEL, str(story.cycle.facts["candidate"]["model"]["version"]))


def failing(port: str, method: str, problem: EvercrewError) -> Callable[[Ports], Ports]:
    """Return what lets one method of a port fail always."""

    def change(ports: Ports) -> Ports:
        return replace(ports, **{port: Flaky(getattr(ports, port), {method: always(problem)})})

    return change


def noted(story: Story, word: str) -> bool:
    """Whether whoever looks on was told."""
    return any(word in event.what for event in story.rig.events if event.kind == "note")


def test_the_card_of_a_promoted_model_says_what_it_is_how_good_and_where_from(tmp_path: Path) -> None:
    story = given(tmp_path, Action.RETRAIN).runs().expect_end(OutcomeKind.IMPROVED)
    text, facts = card(story), story.cycle.facts
    for word in ("The cycle ended as improved", "ndcg_at_10 relative gain, held-out", "relative gain, users"):
        assert word in text, word
    for named in (
        story.cycle.id,
        story.cycle.alert.fingerprint,
        facts["dataset"]["ref"]["md5"],
        facts["dataset"]["ref"]["revision"],
        facts["trained"]["digest"],
        facts["release"]["revision"],
        facts["pipeline"]["key"],
        facts["gold"],
        "c0de",
    ):
        assert f"`{named}`" in text, named
    rows = [line for line in text.splitlines() if "relative gain" in line]
    assert len(rows) == 2
    assert all(" to " in row for row in rows)
    gates = text.split("## Gates")[1].split("## Limits")[0]
    written = [story.rig.office.artifacts.read(story.cycle.id, f) for f in ("evaluation.json", "ab_test_results.json")]
    assert gates.count("**pass**") == sum(len((artifact or {})["gates"]) for artifact in written)
    assert "It was not promoted" not in text


@pytest.mark.parametrize(
    ("world", "outcome", "said"),
    [
        ({"after_promotion": 0.30}, OutcomeKind.ROLLED_BACK, "taken back; it must not be served again"),
        ({"candidate": 0.4}, OutcomeKind.NOT_PROMOTED, "It was not promoted"),
    ],
)
def test_the_card_of_a_model_that_was_not_kept_says_so(
    tmp_path: Path, world: dict[str, float], outcome: OutcomeKind, said: str
) -> None:
    story = given(tmp_path, Action.RETRAIN).when(**world).runs().expect_end(outcome)
    assert said in card(story)
    story.is_proven()


@pytest.mark.parametrize(
    ("port", "method", "tool"), [("tracking", "describe", "describe_model"), ("datasets", "record", "record_pipeline")]
)
def test_a_cycle_ends_the_same_when_it_cannot_say_how_its_model_was_made(
    tmp_path: Path, port: str, method: str, tool: str
) -> None:
    story = given(tmp_path, Action.RETRAIN, change=failing(port, method, DOWN)).runs()
    story.expect_end(OutcomeKind.IMPROVED).is_proven()
    assert tool not in story.effects
    assert noted(story, tool)
    assert story.rig.audit.open_intents(story.cycle.id) == []
    live = story.rig.ports.delivery.live()
    assert live.digest == story.cycle.facts["candidate"]["model"]["digest"]


def test_a_card_that_is_refused_changes_nothing(tmp_path: Path) -> None:
    story = given(tmp_path, Action.RETRAIN).when(candidate=0.4)
    when_stage(story.rig, "learn", lambda: flag(story.rig, "kill_switch", True))
    story.runs().expect_end(OutcomeKind.NOT_PROMOTED).is_proven()
    assert "describe_model" not in story.effects
    assert noted(story, "describe_model was refused")


def test_a_pipeline_is_recorded_only_of_what_can_be_trained_the_same_again(tmp_path: Path) -> None:
    def by_h2o(brief: Brief) -> Answered[TrainingPlan]:
        return Answered[TrainingPlan](value=TrainingPlan(learner="h2o", rationale="another learner"))

    story = given(tmp_path, Action.RETRAIN, say={"plan_training": by_h2o}).runs().expect_end(OutcomeKind.IMPROVED)
    assert "record_pipeline" not in story.effects
    assert noted(story, "no pipeline is recorded: h2o")
    assert "pipeline" not in story.cycle.facts
