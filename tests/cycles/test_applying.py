"""A delivery that has to be told: when it is, what waiting mends, and what takes the release back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from adapters.delivery.base import NotLive, OperationFailed, RolloutStatus
from domain.diagnosis import Action
from domain.errors import ConflictError, DependencyUnavailable, EvercrewError
from domain.outcome import OutcomeKind
from tests.support.cluster import MemoryRollout, SyncedDelivery
from tests.support.flaky import Flaky, always, first
from tests.support.meddling import failing, notes, when_stage
from tests.support.story import Story, given

AWAY = DependencyUnavailable("argocd", "is away")
BUSY = ConflictError("argocd: another operation of 'search' is in progress")
REFUSED = OperationFailed("argocd", "the window is closed", "See its sync windows")
# A retrain tells the delivery once for its test and once for its promotion, when nothing fails.
PROMOTION = 2


def told(story: Story) -> list[str]:
    """Return what was asked for, in order."""
    delivery = story.rig.ports.delivery
    found = getattr(delivery, "asked", {})
    return list(found.values())


def test_where_it_can_be_told_every_release_is_told_once_and_then_waited_for(tmp_path: Path) -> None:
    story = given(tmp_path, Action.RETRAIN, cluster=True).runs().expect_end(OutcomeKind.IMPROVED).is_proven()
    assert isinstance(story.rig.ports.delivery, SyncedDelivery)
    assert told(story) == [story.cycle.facts["ab"]["revision"], story.cycle.facts["release"]["revision"]]
    assert [e for e in story.effects if e == "sync_live"] == ["sync_live"] * 2


def test_where_it_cannot_be_told_nobody_tries(tmp_path: Path) -> None:
    story = given(tmp_path, Action.TUNE).runs().expect_end(OutcomeKind.TUNED)
    assert "sync_live" not in story.rig.gate.registry
    assert "sync_live" not in story.effects


def test_a_roll_back_and_the_end_of_a_test_are_told_too(tmp_path: Path) -> None:
    story = given(tmp_path / "worse", Action.RETRAIN, cluster=True).when(after_promotion=0.3).runs()
    story.expect_end(OutcomeKind.ROLLED_BACK)
    assert told(story)[-2:] == [story.cycle.facts["reverted"]["revision"], story.rig.ports.vcs.head()]
    story = given(tmp_path / "lost", Action.RETRAIN, cluster=True).when(candidate=0.4).runs()
    story.expect_end(OutcomeKind.NOT_PROMOTED)
    assert told(story)[-1] == story.rig.ports.vcs.head()


def test_a_test_that_is_taken_down_at_the_end_is_told(tmp_path: Path) -> None:
    story = given(tmp_path, Action.RETRAIN, cluster=True)
    reader: Any = story.rig.gate.registry.get("ab_read")
    reader._metrics = Flaky(story.rig.ports.metrics, {"read": always(AWAY)})
    story.runs().expect_end(OutcomeKind.HANDED_OFF)
    assert story.effects[-4:] == ["ab_stop", "sync_live", "describe_model", "notify"]
    assert told(story)[-1] == story.rig.ports.vcs.head()


def test_what_is_being_applied_just_now_is_waited_for(tmp_path: Path) -> None:
    change = failing("delivery", sync=first(9, BUSY))
    story = given(tmp_path, Action.RETRAIN, cluster=True, change=change).runs().expect_end(OutcomeKind.IMPROVED)
    assert len(told(story)) == 2
    assert "attempt" not in notes(story)
    story.is_proven()


@pytest.mark.parametrize(("error", "word"), [(BUSY, "in progress"), (REFUSED, "window is closed"), (AWAY, "is away")])
def test_a_promotion_that_is_never_applied_is_taken_back(tmp_path: Path, error: EvercrewError, word: str) -> None:
    on_the_way_back: list[bool] = []

    def plan(call: int) -> EvercrewError | None:
        return error if call >= PROMOTION and not on_the_way_back else None

    story = given(tmp_path, Action.RETRAIN, cluster=True, change=failing("delivery", sync=plan))
    when_stage(story.rig, "roll_back", lambda: on_the_way_back.append(True))
    story.runs().expect_end(OutcomeKind.ROLLED_BACK).said(word)
    undone = ["promote", "roll_back", "sync_live", "ab_stop", "sync_live"]
    assert story.effects[-7:] == [*undone, "describe_model", "notify"]


def test_a_moment_s_trouble_is_tried_again(tmp_path: Path) -> None:
    change = failing("delivery", sync=first(2, AWAY))
    story = given(tmp_path, Action.RETRAIN, cluster=True, change=change).runs().expect_end(OutcomeKind.IMPROVED)
    assert "ab failed, attempt 2 of 3" in notes(story)


def test_what_the_rollout_says_of_a_release_that_did_not_come_live_is_kept(tmp_path: Path) -> None:
    lost = NotLive("argocd", "the platform serves another", "Look at it")
    change = failing("delivery", wait_until=lambda call: lost if call == PROMOTION else None)
    story = given(tmp_path, Action.RETRAIN, cluster=True, change=change)
    rollout = story.rig.ports.rollout
    assert isinstance(rollout, MemoryRollout)
    rollout.given = RolloutStatus(phase="Degraded", aborted=True, message="ndcg below its limit")
    story.runs().expect_end(OutcomeKind.ROLLED_BACK).is_proven()
    assert story.cycle.facts["rollout"]["failure"] == "aborted: ndcg below its limit"


def test_a_rollout_that_cannot_be_asked_changes_no_end(tmp_path: Path) -> None:
    lost = NotLive("argocd", "the platform serves another", "Look at it")
    plan = failing("delivery", wait_until=lambda call: lost if call == PROMOTION else None)
    away = failing("rollout", status=always(AWAY))
    story = given(tmp_path, Action.RETRAIN, cluster=True, change=lambda ports: away(plan(ports))).runs()
    story.expect_end(OutcomeKind.ROLLED_BACK).is_proven()
    assert "rollout" not in story.cycle.facts


def test_a_tuning_that_changed_nothing_in_git_is_not_reverted_but_handed_over_at_once(tmp_path: Path) -> None:
    change = failing("delivery", wait_until=first(1, NotLive("argocd", "the platform serves another", "Look at it")))
    story = given(tmp_path, Action.TUNE, change=change).runs()
    story.expect_end(OutcomeKind.HANDED_OFF).said("serves another", "changed nothing: there is nothing to revert")
    assert story.effects == ["apply_tuning", "notify"]
    assert "roll_back failed" not in notes(story)
    story.is_proven()
