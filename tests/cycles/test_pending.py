"""A release that waits for a person elsewhere: the merge of a request is waited for, and is one effect."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from domain.diagnosis import Action
from domain.outcome import OutcomeKind
from domain.stage import Stage
from tests.support.meddling import cancel, flag, when_stage
from tests.support.reviews import Reviewed, reviewed
from tests.support.setting import alert_of, profile
from tests.support.story import Story, given


def story_of(folder: Path, action: Action, patience: int) -> tuple[Story, Reviewed]:
    found: list[Reviewed] = []
    of = profile(poll={"approval": "30s", "approval_timeout": "10m", "delivery_timeout": "5s"})
    story = given(folder, action, change=reviewed(patience, found), of=of)
    vcs = found[0]
    story.when(values=vcs.read, head=vcs.head)
    if action is Action.TUNE:
        story.when(overridden_at=vcs.head())
    return story, found[0]


def waits(story: Story, stage: str) -> list[str]:
    """Return why a stage waited, each time it did."""
    return [e.details["reason"] for e in story.rig.events if (e.kind, e.stage, e.what) == ("stage", stage, "wait")]


def statuses(story: Story, tool: str) -> list[str]:
    """Return what the chain has of a tool."""
    entries = [r.entry for r in story.rig.audit.records(story.cycle.id) if r.entry.tool == tool]
    return [f"{e.kind.value} {e.status}".strip() for e in entries]


def test_a_merge_is_waited_for_and_is_one_effect_of_one_request(tmp_path: Path) -> None:
    story, vcs = story_of(tmp_path, Action.TUNE, patience=4)
    begun = story.rig.clock.now()
    story.runs().expect_end(OutcomeKind.TUNED).did("apply_tuning", "notify").is_proven()
    assert list(vcs.asked.values()) == [4]
    assert len(waits(story, "promote")) == 3
    assert all("request 1 is not merged" in reason for reason in waits(story, "promote"))
    assert story.rig.clock.now() - begun >= timedelta(seconds=90)
    assert statuses(story, "apply_tuning") == ["intent", "outcome failed"] * 3 + ["intent", "outcome done"]
    assert story.rig.audit.open_intents(story.cycle.id) == []
    assert story.rig.audit.verify() > 0
    assert story.cycle.facts.get("failures_promote", 0) == 0


def test_every_step_of_a_retrain_waits_for_its_own_request(tmp_path: Path) -> None:
    story, vcs = story_of(tmp_path, Action.RETRAIN, patience=3)
    story.runs().expect_end(OutcomeKind.IMPROVED).is_proven()
    assert set(vcs.asked.values()) == {3}
    assert story.effects.count("ab_start") == story.effects.count("promote") == 1
    assert len(vcs.asked) == len(vcs.history()) - 1


def test_what_nobody_decides_is_handed_over_with_the_reason_and_nothing_is_live(tmp_path: Path) -> None:
    story, vcs = story_of(tmp_path, Action.TUNE, patience=10**6)
    before, begun = vcs.head(), story.rig.clock.now()
    story.runs().expect_end(OutcomeKind.HANDED_OFF).did("withdraw_change", "notify").is_proven()
    story.said("nobody decided within 0:10:00", "request 1 is not merged")
    assert vcs.head() == before == story.rig.ports.delivery.live().revision
    assert timedelta(minutes=10) <= story.rig.clock.now() - begun < timedelta(minutes=12)
    assert len(vcs.asked) == 1
    assert "release" not in story.cycle.facts


def test_a_test_nobody_decides_on_is_not_taken_down_for_it_never_began(tmp_path: Path) -> None:
    story, vcs = story_of(tmp_path, Action.RETRAIN, patience=10**6)
    story.runs().expect_end(OutcomeKind.HANDED_OFF).said("nobody decided").is_proven()
    assert len(vcs.asked) == 1
    assert [v.name for v in story.rig.ports.delivery.live().variants] == ["champion"]


def test_it_is_called_off_while_it_waits(tmp_path: Path) -> None:
    story, vcs = story_of(tmp_path, Action.TUNE, patience=10**6)
    when_stage(story.rig, "promote", lambda: cancel(story.rig), "wait")
    story.runs().expect_end(OutcomeKind.CANCELLED, Stage.CANCELLED).did("withdraw_change", "notify")
    assert list(vcs.asked.values()) == [1]
    assert (vcs.open, len(vcs.withdrawn)) == ({}, 1)
    assert "cancelled by a person" in vcs.reasons[0]


def test_what_nobody_decided_is_withdrawn_so_that_nobody_merges_it_unwatched(tmp_path: Path) -> None:
    story, vcs = story_of(tmp_path, Action.RETRAIN, patience=10**6)
    story.runs().expect_end(OutcomeKind.HANDED_OFF).said("ab_start was withdrawn", "request 1 is not merged")
    assert vcs.open == {}
    assert list(vcs.withdrawn.values()) == list(vcs.asked)
    assert "nobody decided" in vcs.reasons[0]


def test_a_tuning_merged_while_it_is_withdrawn_and_nothing_to_revert_is_said_loudly(tmp_path: Path) -> None:
    story, vcs = story_of(tmp_path, Action.TUNE, patience=10**6)
    merged: list[str] = []
    vcs.meanwhile = lambda: merged.append(vcs.merge())
    story.runs().expect_end(OutcomeKind.HANDED_OFF).did("withdraw_change", "apply_tuning", "notify").is_proven()
    story.said(f"ATTENTION: apply_tuning was merged as {merged[0][:12]}", "there is nothing to revert")
    assert vcs.head() == story.rig.ports.delivery.live().revision == merged[0]
    assert story.rig.audit.open_intents(story.cycle.id) == []


def test_a_test_merged_while_it_is_withdrawn_is_taken_down(tmp_path: Path) -> None:
    story, vcs = story_of(tmp_path, Action.RETRAIN, patience=10**6)

    def merge() -> None:
        vcs.merge()
        vcs._patience = 0

    vcs.meanwhile = merge
    story.runs().expect_end(OutcomeKind.HANDED_OFF).said("ATTENTION: ab_start was merged", "is taken down").is_proven()
    assert story.effects[-4:] == ["ab_start", "ab_stop", "describe_model", "notify"]
    assert [v.name for v in story.rig.ports.delivery.live().variants] == ["champion"]


def test_a_promotion_merged_while_it_is_withdrawn_is_reverted_and_its_model_may_be_proposed_again(
    tmp_path: Path,
) -> None:
    story, vcs = story_of(tmp_path, Action.RETRAIN, patience=2)
    when_stage(story.rig, "promote", lambda: setattr(vcs, "_patience", 10**6))

    def merge() -> None:
        vcs.merge()
        vcs._patience = 0

    vcs.meanwhile = merge
    before = story.rig.ports.delivery.live().digest
    story.runs().expect_end(OutcomeKind.ROLLED_BACK).said("ATTENTION: promote was merged").is_proven()
    live = story.rig.ports.delivery.live()
    assert live.digest == before
    assert [v.name for v in live.variants] == ["champion"]
    assert story.rig.store.tombstone(story.cycle.facts["candidate"]["model"]["digest"]) is None


def test_what_cannot_be_withdrawn_is_named_to_whoever_is_told(tmp_path: Path) -> None:
    story, vcs = story_of(tmp_path, Action.TUNE, patience=10**6)
    vcs.away = True
    story.runs().expect_end(OutcomeKind.HANDED_OFF)
    story.said("ATTENTION: the request of apply_tuning could not be withdrawn", "request 1 is not merged")
    assert len(vcs.open) == 1


def test_the_kill_switch_lets_a_withdrawal_through(tmp_path: Path) -> None:
    story, vcs = story_of(tmp_path, Action.TUNE, patience=10**6)
    when_stage(story.rig, "promote", lambda: flag(story.rig, "kill_switch", True), "wait")
    story.runs().expect_end(OutcomeKind.STOPPED, Stage.STOPPED).did("withdraw_change", "notify")
    assert vcs.open == {}


def test_a_crash_after_the_withdrawal_proposes_nothing_anew(tmp_path: Path) -> None:
    story, vcs = story_of(tmp_path, Action.TUNE, patience=10**6)
    died: list[bool] = []

    class Died(BaseException):
        """The process ends."""

    def move(*args: object) -> None:
        if vcs.withdrawn and not died:
            died.append(True)
            raise Died
        real(*args)  # type: ignore[arg-type]

    real = story.rig.engine._move
    object.__setattr__(story.rig.engine, "_move", move)
    cycle = story.rig.open(alert_of(Action.TUNE, story.rig.clock))
    told, asked = {"ended": False}, 0
    while not told["ended"]:
        try:
            told = story.rig.engine.advance(cycle.id)
            story.rig.clock.sleep(timedelta(seconds=told["wait_s"]))
        except Died:
            asked = vcs.asked.total()
    assert died == [True]
    assert vcs.asked.total() == asked
    assert vcs.open == {}
