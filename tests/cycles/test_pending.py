"""A release that waits for a person elsewhere: the merge of a request is waited for, and is one effect."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from adapters.vcs.base import EFFECT_COMMIT, ApprovalPending, VcsPort
from adapters.vcs.memory import MemoryVcs
from domain.clock import Clock
from domain.diagnosis import Action
from domain.outcome import OutcomeKind
from domain.permit import Permit, PermitVerifier
from domain.stage import Stage
from service.toolbox import Ports
from tests.support.meddling import cancel, when_stage
from tests.support.office import profile
from tests.support.story import Story, given


class Reviewed(MemoryVcs):
    """Values behind a review: a commit is proposed under its key, and merged when it was asked for `patience` times.

    `asked` counts the calls by key: as many keys as requests.
    """

    def __init__(self, *, text: str, permits: PermitVerifier, clock: Clock, patience: int) -> None:
        super().__init__(text=text, permits=permits, clock=clock)
        self._verifier = permits
        self._patience = patience
        self.asked: Counter[str] = Counter()

    def commit(
        self, *, text: str, message: str, expected_head: str, cycle_id: str, key: str, permit: Permit | None
    ) -> str:
        """See `VcsPort.commit`."""
        self.asked[key] += 1
        if self.asked[key] < self._patience:
            self._verifier.spend(permit, effect=EFFECT_COMMIT, key=key)
            raise ApprovalPending("forge", "request 1 is not merged", "Merge or close it")
        return super().commit(
            text=text, message=message, expected_head=expected_head, cycle_id=cycle_id, key=key, permit=permit
        )


def reviewed(patience: int, found: list[Reviewed]) -> Callable[[Ports], Ports]:
    """Return the change that puts a review before every commit."""

    def change(ports: Ports) -> Ports:
        vcs = ports.vcs
        assert isinstance(vcs, MemoryVcs)
        found.append(Reviewed(text=vcs.read(), permits=vcs._permits, clock=vcs._clock, patience=patience))
        return replace(ports, vcs=found[0])

    return change


def story_of(folder: Path, action: Action, patience: int) -> tuple[Story, Reviewed]:
    found: list[Reviewed] = []
    of = profile(poll={"approval": "30s", "approval_timeout": "10m", "delivery_timeout": "5s"})
    story = given(folder, action, change=reviewed(patience, found), of=of)
    vcs: VcsPort = found[0]
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
    story.runs().expect_end(OutcomeKind.HANDED_OFF).did("notify").is_proven()
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
    story.runs().expect_end(OutcomeKind.CANCELLED, Stage.CANCELLED).did("notify")
    assert list(vcs.asked.values()) == [1]
