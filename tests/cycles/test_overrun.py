"""A cycle that never comes to an end by itself is ended in an orderly way; one whose record is damaged, too."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import pytest

from cycles import engine
from cycles.engine import OVERRUN
from domain.diagnosis import Action
from domain.events import Event
from domain.outcome import OutcomeKind
from domain.stage import Stage
from policies.limits import ChangeWindows
from policies.profiles import Profile
from tests.support.meddling import flag, when_stage
from tests.support.replays import replayed
from tests.support.reviews import Reviewed, reviewed
from tests.support.setting import profile
from tests.support.story import Story, given

FEW = 12


@pytest.fixture
def few_steps(monkeypatch: pytest.MonkeyPatch) -> int:
    """Make a dozen steps the most there may be."""
    monkeypatch.setattr(engine, "MOST_STEPS", FEW)
    return FEW


def undecided(folder: Path) -> Story:
    """Return a story whose test of users is looked at far more often than there may be steps."""
    return given(folder, Action.RETRAIN, of=profile(ab={"window": "400s", "poll": "2s"})).when(arms=(60, 15))


def test_a_test_that_is_looked_at_without_end_is_taken_down_and_handed_over(tmp_path: Path, few_steps: int) -> None:
    story = undecided(tmp_path).runs().expect_end(OutcomeKind.HANDED_OFF)
    story.said(f"{few_steps} steps were made without an end").is_proven()
    assert story.effects.index("ab_start") < story.effects.index("ab_stop")
    assert [v.name for v in story.rig.ports.delivery.live().variants] == ["champion"]
    assert story.rig.workflow.status(story.cycle.id) == "done"


def test_a_release_that_is_watched_without_end_is_taken_back(tmp_path: Path, few_steps: int) -> None:
    story = given(tmp_path, Action.RETRAIN, of=profile(watch={"window": "120s", "checks": 60}))
    story.runs().expect_end(OutcomeKind.ROLLED_BACK).said("steps were made without an end").is_proven()
    assert story.effects.index("promote") < story.effects.index("roll_back")


def test_what_waits_for_a_merge_is_bounded_by_its_time_and_not_by_its_looks(tmp_path: Path, few_steps: int) -> None:
    found: list[Reviewed] = []
    of = profile(poll={"approval": "30s", "approval_timeout": "1d", "delivery_timeout": "5s"})
    story = given(tmp_path, Action.TUNE, change=reviewed(3 * few_steps, found), of=of)
    vcs = found[0]
    story.when(values=vcs.read, head=vcs.head, overridden_at=vcs.head())
    story.runs().expect_end(OutcomeKind.TUNED).is_proven()
    assert OVERRUN not in story.cycle.facts


def test_what_waits_for_a_window_is_bounded_by_its_patience_and_not_by_its_looks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    most = 45
    monkeypatch.setattr(engine, "MOST_STEPS", most)
    windows = {"closed": [{"days": ["thu"], "end": "23:00"}], "patience": "2d"}
    of = profile().model_copy(update={"windows": ChangeWindows.model_validate(windows)})
    story = given(tmp_path, Action.RETRAIN, of=of).runs()
    looks = [e for e in story.rig.events if (e.stage, e.what) == ("promote", "wait")]
    assert len(looks) > most
    assert OVERRUN not in story.cycle.facts
    story.expect_end(OutcomeKind.IMPROVED).is_proven()


def test_a_held_cycle_waits_for_the_switch_however_long_that_is(tmp_path: Path, few_steps: int) -> None:
    story = given(tmp_path, Action.RETRAIN, of=holding())
    when_stage(story.rig, "watch", lambda: flag(story.rig, "kill_switch", True))
    tell, held = story.rig.office.observer, list[datetime]()

    def note(event: Event) -> None:
        tell(event)
        if (event.stage, event.what) == ("watch", "wait"):
            held.append(story.rig.clock.now())
            if held[-1] - held[0] > timedelta(days=2):
                flag(story.rig, "kill_switch", False)

    object.__setattr__(story.rig.office, "observer", note)
    story.runs()
    assert story.cycle.outcome is not OutcomeKind.HANDED_OFF
    assert OVERRUN not in story.cycle.facts
    assert story.rig.clock.now() - held[0] > timedelta(days=2)


def test_a_cycle_that_was_ended_for_its_steps_replays_to_the_same(tmp_path: Path, few_steps: int) -> None:
    story = undecided(tmp_path).runs()
    assert replayed(story.rig, story.cycle).same


@pytest.mark.parametrize("damage", ["not: [yaml", "just text"])
def test_an_artifact_that_was_damaged_meanwhile_ends_the_cycle_and_tells_a_person(tmp_path: Path, damage: str) -> None:
    story = given(tmp_path, Action.RETRAIN)

    def spoil() -> None:
        [cycle] = story.rig.store.cycles()
        path = story.rig.office.artifacts.folder(cycle.id) / "dataset_manifest.yaml"
        path.write_text(damage, encoding="utf-8")

    when_stage(story.rig, "train", spoil)
    story.runs().expect_end(OutcomeKind.HANDED_OFF).said("train: dataset_manifest.yaml", "cannot be read any more")
    assert story.effects[-1] == "notify"
    assert story.cycle.stage is Stage.DONE


def holding() -> Profile:
    """Return a profile that holds what is live when the kill switch is thrown."""
    return profile().model_copy(update={"on_kill": "hold"})
