"""Stages that stop by themselves, deliveries that do not arrive, watches that cannot be read, ends that fail."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

from adapters.store.base import Tombstone
from cycles.engine import Engine
from domain.brief import Answered, Brief
from domain.diagnosis import Action
from domain.errors import (
    ConflictError,
    ModelAnswerInvalid,
)
from domain.events import Event
from domain.outcome import OutcomeKind
from domain.stage import Stage
from tests.support.flaky import Flaky, always, every_second, first
from tests.support.meddling import AWAY, failing, notes, when_stage
from tests.support.office import ended
from tests.support.story import given

# -- stages that stop by themselves ----------------------------------------------------------------------


def test_a_model_that_was_rolled_back_before_is_not_proposed_again(tmp_path: Path) -> None:
    rolled_back = given(tmp_path / "a", Action.RETRAIN).when(after_promotion=0.3).runs()
    digest = rolled_back.cycle.facts["candidate"]["model"]["digest"]
    again = given(tmp_path / "b", Action.RETRAIN)
    stone = Tombstone(digest=digest, cycle_id="si_2025_01_01_001", reason="r", at=again.rig.clock.now())
    again.rig.store.entomb(stone)
    again.runs()
    assert again.cycle.outcome in (OutcomeKind.NOT_PROMOTED, OutcomeKind.HANDED_OFF)
    assert "promote" not in again.effects


def test_a_training_that_gives_the_live_model_changes_nothing(tmp_path: Path) -> None:
    story = given(tmp_path, Action.RETRAIN)
    live = story.rig.ports.tracking.by_alias("reranker", "champion")
    assert live is not None
    training: Any = story.rig.ports.training

    def same(spec: Any, out: Path) -> dict[str, Any]:
        return {"digest": live.digest, "metrics": {}, "examples": 1, "bundle": "bundle"}

    training._entries = dict.fromkeys(training._entries, same)
    story.runs().expect_end(OutcomeKind.NOT_PROMOTED).said("the model that is live already")


def test_a_candidate_that_does_not_answer_in_the_sandbox_meets_no_user(tmp_path: Path) -> None:
    story = given(tmp_path, Action.RETRAIN)
    sandbox: Any = story.rig.ports.sandbox
    sandbox._answer = lambda entry, spec: {"queries": 3}
    story.runs().expect_end(OutcomeKind.NOT_PROMOTED).said("3 of 20 test queries")


def test_without_judgements_nothing_is_learnt(tmp_path: Path) -> None:
    story = given(tmp_path, Action.RETRAIN)
    platform: Any = story.rig.ports.platform
    judges: Any = story.rig.judges
    plan = judges.plan_augmentation

    def emptied(brief: Brief) -> Any:
        platform.all_judgements.clear()
        judges._say.clear()
        return plan(brief)

    judges._say["plan_augmentation"] = emptied
    story.runs().expect_end(OutcomeKind.NOT_PROMOTED).said("no judgement")


def test_too_few_held_out_queries_are_waited_for_and_then_given_up(tmp_path: Path) -> None:
    story = given(tmp_path, Action.RETRAIN)
    evaluation: Any = story.rig.ports.evaluation
    evaluation._rows = evaluation._rows[:10]
    story.runs().expect_end(OutcomeKind.NOT_PROMOTED).said("insufficient").is_proven()
    assert story.effects.count("offline_evaluation") > 2
    kept = story.rig.office.artifacts.read(story.cycle.id, "evaluation.json")
    assert kept is not None
    assert kept["looks"] == story.effects.count("offline_evaluation")


def test_a_candidate_that_is_no_better_offline_goes_no_further(tmp_path: Path) -> None:
    story = given(tmp_path, Action.RETRAIN)
    evaluation: Any = story.rig.ports.evaluation
    rank = evaluation._rank
    evaluation._rank = lambda bundle, query: rank(tmp_path / "good", query)
    story.runs().expect_end(OutcomeKind.NOT_PROMOTED).said("offline evaluation: fail")
    assert "ab_start" not in story.effects


# -- delivery --------------------------------------------------------------------------------------------


def test_a_lost_race_is_run_again(tmp_path: Path) -> None:
    story = given(tmp_path, Action.TUNE, change=failing("vcs", commit=first(2, ConflictError("somebody was faster"))))
    story.runs().expect_end(OutcomeKind.TUNED)
    assert notes(story).count("somebody else pushed first") == 2


def test_a_release_that_never_comes_live_is_taken_back(tmp_path: Path) -> None:
    story = given(tmp_path, Action.RETRAIN)

    def stick() -> None:
        story.rig.world.frozen_at = story.rig.ports.vcs.head()

    def unstick(event: Event) -> None:
        story.rig.events.append(event)
        if (event.stage, event.what) == ("promote", "end"):
            story.rig.world.frozen_at = None
        if (event.stage, event.what) == ("ab", "end"):
            stick()

    object.__setattr__(story.rig.office, "observer", unstick)
    story.runs().expect_end(OutcomeKind.ROLLED_BACK).said("did not come live")
    assert story.effects[-5:] == ["promote", "roll_back", "ab_stop", "describe_model", "notify"]


def test_a_candidate_whose_test_never_comes_live_is_taken_out_again(tmp_path: Path) -> None:
    story = given(tmp_path, Action.RETRAIN)

    def stick() -> None:
        story.rig.world.frozen_at = story.rig.ports.vcs.head()

    when_stage(story.rig, "evaluate", stick, what="end")
    story.runs().expect_end(OutcomeKind.HANDED_OFF).said("ab failed 3 times")
    assert story.effects[-4:] == ["ab_start", "ab_stop", "describe_model", "notify"]


# -- watch -----------------------------------------------------------------------------------------------


def test_a_watch_that_cannot_be_read_takes_the_model_back(tmp_path: Path) -> None:
    story = given(tmp_path, Action.RETRAIN)

    def silence() -> None:
        since = story.rig.clock.now()
        story.rig.world.quiet = lambda at: at >= since

    when_stage(story.rig, "watch", silence)
    story.runs().expect_end(OutcomeKind.ROLLED_BACK).said("could not be read")


def test_a_quiet_moment_in_the_watch_is_made_up_for_by_a_further_look(tmp_path: Path) -> None:
    story = given(tmp_path, Action.RETRAIN)

    def hush() -> None:
        since = story.rig.clock.now() + timedelta(seconds=4)
        story.rig.world.quiet = lambda at: since <= at < since + timedelta(seconds=2)

    when_stage(story.rig, "watch", hush)
    story.runs().expect_end(OutcomeKind.IMPROVED)
    assert len(story.cycle.facts["watch"]) == 7


def test_a_watch_whose_measurements_fail_takes_the_model_back(tmp_path: Path) -> None:
    story = given(tmp_path, Action.RETRAIN)

    def fail() -> None:
        reader: Any = story.rig.gate.registry.get("metric_points")._reader  # type: ignore[attr-defined]
        reader._metrics = Flaky(reader._metrics, {"read": always(AWAY)})

    when_stage(story.rig, "watch", fail)
    story.runs().expect_end(OutcomeKind.ROLLED_BACK).said("watch failed 3 times")


# -- learn -----------------------------------------------------------------------------------------------


def test_what_fails_at_the_end_does_not_change_how_it_ended(tmp_path: Path) -> None:
    def silent(brief: Brief) -> Answered[Any]:
        raise ModelAnswerInvalid("no words")

    change = failing("notify", send=always(AWAY))
    story = given(tmp_path, Action.ROLLBACK, change=change, say={"write_post_mortem": silent}).runs()
    story.expect_end(OutcomeKind.RESTORED).did("roll_back", "set_alias").is_proven()
    assert "no post-mortem: no words" in notes(story)


def test_a_memory_that_cannot_be_written_stops_the_cycle_with_its_outcome_kept(tmp_path: Path) -> None:
    story = given(tmp_path, Action.ROLLBACK, change=failing("retrieval", add=always(AWAY))).runs()
    story.expect_end(OutcomeKind.RESTORED, Stage.STOPPED).said("learn failed 3 times")


def test_a_platform_that_is_away_for_every_second_question_is_lived_with(tmp_path: Path) -> None:
    story = given(tmp_path, Action.ROLLBACK)
    delivery: Any = story.rig.ports.delivery
    delivery._source = Flaky(story.rig.world, {"live": every_second(AWAY)})
    story.runs()
    assert story.cycle.outcome in (OutcomeKind.RESTORED, OutcomeKind.HANDED_OFF)


def test_the_engine_joins_a_cycle_that_runs(tmp_path: Path) -> None:
    story = given(tmp_path, Action.NOISE).runs()
    before = len(story.rig.audit.records())
    story.rig.engine.start(story.cycle.id)
    assert len(story.rig.audit.records()) == before
    assert isinstance(story.rig.engine, Engine)
    assert ended(given(tmp_path / "2", Action.NOISE).rig, Action.NOISE).stage is Stage.DONE
