"""What the engine does when something fails, is refused, waits for a person or is called off."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from adapters.audit.memory import MemoryAudit
from cycles.engine import STAGES
from domain.approval import VoteAnswer
from domain.brief import Answered, Brief
from domain.clock import FrozenClock
from domain.diagnosis import Action
from domain.errors import (
    AuditUnavailable,
    DependencyUnavailable,
    IllegalTransition,
    InvalidInput,
    OutcomeUnknown,
)
from domain.outcome import OutcomeKind
from domain.plan import PromotionProposal
from domain.receipt import AuditEntry, AuditRecord, RecordKind
from domain.stage import Stage, StageResult
from tests.support.flaky import Flaky, always, first
from tests.support.meddling import AWAY, cancel, failing, flag, notes, when_stage
from tests.support.setting import alert_of, profile
from tests.support.story import given

# -- retries ---------------------------------------------------------------------------------------------


def test_a_dependency_that_fails_twice_is_tried_again_a_little_later_each_time(tmp_path: Path) -> None:
    story = given(tmp_path, Action.NOISE, change=failing("platform", live=always(AWAY), judgements=always(AWAY)))
    assert story.runs().cycle.outcome is OutcomeKind.LEFT_ALONE
    clock = FrozenClock()
    story = given(tmp_path, Action.RETRAIN, clock=clock, change=failing("evaluation", evaluate=first(2, AWAY)))
    story.runs().expect_end(OutcomeKind.IMPROVED).is_proven()
    assert "evaluate failed, attempt 1 of 3" in notes(story)
    assert "evaluate failed, attempt 2 of 3" in notes(story)


def test_after_the_third_failure_a_person_is_told(tmp_path: Path) -> None:
    story = given(tmp_path, Action.RETRAIN, change=failing("evaluation", evaluate=always(AWAY))).runs()
    story.expect_end(OutcomeKind.HANDED_OFF).said("evaluate failed 3 times", "is away").is_proven()
    assert story.effects[-1] == "notify"


def test_failures_that_do_not_come_in_a_row_do_not_add_up(tmp_path: Path) -> None:
    story = given(tmp_path, Action.RETRAIN, of=profile(ab={"window": "60s"})).when(arms=(60, 15))
    metrics = story.rig.ports.metrics
    reader: Any = story.rig.gate.registry.get("ab_read")
    reader._metrics = Flaky(metrics, {"read": _once_a_look})
    story.runs().expect_end(OutcomeKind.NOT_PROMOTED).said("insufficient")
    assert notes(story).count("ab failed, attempt 1 of 3") > 3


def _once_a_look(number: int) -> Exception | None:
    return AWAY if number % 15 == 1 else None


def test_an_outcome_nobody_knows_is_asked_for_as_long_as_a_person_is_given(tmp_path: Path) -> None:
    lost = always(OutcomeUnknown("the wire was cut"))
    story = given(tmp_path, Action.TUNE, change=failing("vcs", commit=lost)).runs()
    story.expect_end(OutcomeKind.HANDED_OFF).said("promote failed", "the wire was cut")
    assert story.rig.clock.now() - story.cycle.opened_at > story.rig.profile.poll.approval_timeout


def test_a_defect_fails_the_workflow_and_resuming_goes_on_from_there(tmp_path: Path) -> None:
    broken: list[bool] = [True]

    def defect(brief: Brief) -> Answered[Any]:
        if broken:
            raise ZeroDivisionError("a defect")
        return Answered[Any](value=_proposal(brief))

    story = given(tmp_path, Action.TUNE, say={"propose_promotion": defect})
    with pytest.raises(DependencyUnavailable, match="ZeroDivisionError"):
        story.runs()
    rig = story.rig
    [cycle] = rig.store.cycles()
    assert cycle.stage is Stage.PLAN
    broken.clear()
    rig.engine.resume(cycle.id)
    assert rig.engine.wait(cycle.id).outcome is OutcomeKind.TUNED
    assert rig.engine.advance(cycle.id) == {"stage": "done", "ended": True, "wait_s": 0.0}


def test_a_workflow_that_failed_is_tried_again_at_the_next_launch(tmp_path: Path) -> None:
    broken: list[bool] = [True]

    def defect(brief: Brief) -> Answered[Any]:
        if broken:
            raise ZeroDivisionError("a defect")
        return Answered[Any](value=_proposal(brief))

    story = given(tmp_path, Action.TUNE, say={"propose_promotion": defect})
    with pytest.raises(DependencyUnavailable, match="ZeroDivisionError"):
        story.runs()
    rig = story.rig
    [cycle] = rig.store.cycles()
    broken.clear()
    rig.workflow.close()
    rig.engine.launch()
    assert rig.engine.wait(cycle.id).outcome is OutcomeKind.TUNED


def _proposal(brief: Brief) -> PromotionProposal:
    return PromotionProposal(proceed=True, change="c", rollback_plan="r", rationale="x")


def test_a_cycle_that_is_not_there_is_an_input_error(tmp_path: Path) -> None:
    rig = given(tmp_path, Action.NOISE).rig
    with pytest.raises(InvalidInput, match="si_2026_01_01_009"):
        rig.engine.advance("si_2026_01_01_009")


def test_a_stage_that_wants_a_step_the_table_has_not_is_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig = given(tmp_path, Action.NOISE).rig
    cycle = rig.open(alert_of(Action.NOISE, rig.clock))
    monkeypatch.setitem(STAGES, Stage.OBSERVE, lambda desk: StageResult(next=Stage.PROMOTE, reason="a short cut"))
    with pytest.raises(IllegalTransition, match="observe -> promote"):
        rig.engine.advance(cycle.id)
    assert rig.now(cycle.id).stage is Stage.OBSERVE


def test_a_cycle_without_an_end_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cycles.engine.MOST_STEPS", 2)
    given(tmp_path, Action.NOISE).runs().expect_end(OutcomeKind.HANDED_OFF).said("2 steps were made without an end")


def test_one_that_does_not_even_come_to_that_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cycles.engine.MOST_STEPS", 1)
    story = given(tmp_path, Action.NOISE)
    with pytest.raises(DependencyUnavailable, match="BudgetExhausted"):
        story.runs()


# -- refusals --------------------------------------------------------------------------------------------


def test_the_kill_switch_thrown_in_mid_cycle_refuses_the_next_effect(tmp_path: Path) -> None:
    story = given(tmp_path, Action.RETRAIN)
    live = story.rig.ports.vcs.head()
    when_stage(story.rig, "evaluate", lambda: flag(story.rig, "kill_switch", True))
    story.runs().expect_end(OutcomeKind.STOPPED, Stage.STOPPED).said("kill switch").is_proven()
    story.did("dataset_version", "train_model", "register_candidate", "record_pipeline", "notify")
    assert story.rig.ports.vcs.head() == live


def test_the_kill_switch_lets_a_worse_model_be_taken_back(tmp_path: Path) -> None:
    story = given(tmp_path, Action.RETRAIN).when(after_promotion=0.3)
    when_stage(story.rig, "watch", lambda: flag(story.rig, "kill_switch", True))
    story.runs().expect_end(OutcomeKind.ROLLED_BACK)
    assert story.effects.index("roll_back") < story.effects.index("ab_stop") < story.effects.index("notify")


def test_a_switched_off_self_improvement_changes_nothing(tmp_path: Path) -> None:
    story = given(tmp_path, Action.RETRAIN).before(lambda rig: flag(rig, "self_improvement_enabled", False)).runs()
    story.expect_end(OutcomeKind.HANDED_OFF).said("dataset_version was refused").did("notify")


def test_a_rollback_that_is_not_automatic_is_handed_over(tmp_path: Path) -> None:
    story = given(tmp_path, Action.ROLLBACK).before(lambda rig: flag(rig, "auto_rollback", False)).runs()
    story.expect_end(OutcomeKind.HANDED_OFF).said("nobody approved roll_back").did("notify", "notify")


def test_a_test_that_is_not_switched_on_is_handed_over(tmp_path: Path) -> None:
    story = given(tmp_path, Action.RETRAIN).before(lambda rig: flag(rig, "ab_testing", False)).runs()
    story.expect_end(OutcomeKind.HANDED_OFF).said("nobody approved ab_start")


# -- approval --------------------------------------------------------------------------------------------


def test_a_promotion_that_needs_a_person_waits_for_one(tmp_path: Path) -> None:
    story = given(tmp_path, Action.RETRAIN).before(lambda rig: flag(rig, "auto_promote", False))
    rig = story.rig

    def approve() -> None:
        [request] = rig.office.consent.store.requests(waiting_at=rig.clock.now())
        rig.office.consent.ballots.vote(request.id, "Ann", VoteAnswer.APPROVE, account="ann")

    when_stage(rig, "promote", approve, what="wait")
    story.runs().expect_end(OutcomeKind.IMPROVED).is_proven()
    assert story.effects.count("notify") == 2
    outcome = rig.office.artifacts.read(story.cycle.id, "outcome.json")
    assert outcome is not None
    assert outcome["approver"] == "Ann"


def test_a_promotion_nobody_approves_is_withdrawn_and_its_test_taken_down(tmp_path: Path) -> None:
    story = given(tmp_path, Action.RETRAIN).before(lambda rig: flag(rig, "auto_promote", False)).runs()
    story.expect_end(OutcomeKind.HANDED_OFF).said("nobody approved")
    assert story.effects[-4:] == ["notify", "ab_stop", "describe_model", "notify"]
    assert [v.name for v in story.rig.ports.delivery.live().variants] == ["champion"]


# -- called off ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stage", ["observe", "diagnose", "train"])
def test_a_cycle_called_off_ends_at_its_next_step(tmp_path: Path, stage: str) -> None:
    story = given(tmp_path, Action.RETRAIN)
    when_stage(story.rig, stage, lambda: cancel(story.rig), what="wait" if stage == "observe" else "end")
    story.runs().expect_end(OutcomeKind.CANCELLED, Stage.CANCELLED).said("cancelled by a person").is_proven()
    assert "promote" not in story.effects


def test_a_test_that_is_called_off_is_taken_down(tmp_path: Path) -> None:
    story = given(tmp_path, Action.RETRAIN)
    when_stage(story.rig, "ab", lambda: cancel(story.rig), what="wait")
    story.runs().expect_end(OutcomeKind.CANCELLED, Stage.CANCELLED)
    assert story.effects[-4:] == ["ab_start", "ab_stop", "describe_model", "notify"]


@pytest.mark.parametrize(("worth", "outcome"), [(None, OutcomeKind.IMPROVED), (0.3, OutcomeKind.ROLLED_BACK)])
def test_a_model_that_is_live_is_watched_to_the_end_even_when_called_off(
    tmp_path: Path, worth: float | None, outcome: OutcomeKind
) -> None:
    story = given(tmp_path, Action.RETRAIN).when(after_promotion=worth)
    when_stage(story.rig, "watch", lambda: cancel(story.rig))
    story.runs().expect_end(outcome)


class DeafOnce(MemoryAudit):
    """A chain that cannot write the outcome of one tool, once, and tells somebody."""

    def __init__(self, clock: FrozenClock, tool: str) -> None:
        super().__init__(clock)
        self._tool = tool
        self.then: Callable[[], object] = lambda: None

    def append(self, entry: AuditEntry) -> AuditRecord:
        """See `AuditPort.append`."""
        if entry.kind is RecordKind.OUTCOME and entry.tool == self._tool:
            self._tool = ""
            self.then()
            raise AuditUnavailable("the disk is full")
        return super().append(entry)


def test_a_model_that_was_pushed_is_watched_even_when_called_off_before_anybody_knew(tmp_path: Path) -> None:
    clock = FrozenClock()
    audit = DeafOnce(clock, "promote")
    story = given(tmp_path, Action.RETRAIN, clock=clock, audit=audit)
    audit.then = lambda: cancel(story.rig)
    story.runs().expect_end(OutcomeKind.IMPROVED).is_proven()
    assert story.effects.count("promote") == 1


def test_a_test_that_was_started_is_taken_down_even_when_called_off_before_anybody_knew(tmp_path: Path) -> None:
    clock = FrozenClock()
    audit = DeafOnce(clock, "ab_start")
    story = given(tmp_path, Action.RETRAIN, clock=clock, audit=audit)
    audit.then = lambda: cancel(story.rig)
    story.runs().expect_end(OutcomeKind.CANCELLED, Stage.CANCELLED)
    assert story.effects[-4:] == ["ab_start", "ab_stop", "describe_model", "notify"]
