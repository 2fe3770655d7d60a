"""What the engine does when something fails, is refused, is called off, or nobody answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from adapters.audit.memory import MemoryAudit
from adapters.store.base import FlagRow, Recording, Tombstone
from cycles.context import APPROVAL
from cycles.engine import STAGES, Engine
from cycles.stages import plan
from domain.brief import Answered, Brief
from domain.clock import FrozenClock
from domain.diagnosis import Action, Claim, Comparison, Diagnosis, RootCause
from domain.errors import (
    AuditUnavailable,
    BudgetExhausted,
    ConflictError,
    DependencyUnavailable,
    IllegalTransition,
    InvalidInput,
    ModelAnswerInvalid,
    OutcomeUnknown,
)
from domain.events import Event
from domain.outcome import OutcomeKind
from domain.plan import PromotionProposal
from domain.receipt import AuditEntry, AuditRecord, RecordKind
from domain.stage import Stage, StageResult
from service.toolbox import Ports
from tests.support.flaky import Flaky, Plan, always, every_second, first
from tests.support.office import Rig, alert_of, ended, profile
from tests.support.story import Story, given, opened

AWAY = DependencyUnavailable("it", "is away")
Change = Callable[[Ports], Ports]


def failing(port: str, **plans: Plan) -> Change:
    """Return the change that puts a flaky port in front of one."""
    return lambda ports: replace(ports, **{port: Flaky(getattr(ports, port), plans)})


def when_stage(rig: Rig, stage: str, act: Callable[[], object], what: str = "begin") -> None:
    """Do something once, as soon as a stage begins (or ends)."""
    done: list[bool] = []

    def note(event: Event) -> None:
        rig.events.append(event)
        if (event.kind, event.stage, event.what) == ("stage", stage, what) and not done:
            done.append(True)
            act()

    object.__setattr__(rig.office, "observer", note)


def flag(rig: Rig, name: str, enabled: bool) -> None:
    rig.store.set_flag(FlagRow(name=name, enabled=enabled), by="a person", at=rig.clock.now())


def notes(story: Story) -> str:
    return "\n".join(e.what for e in story.rig.events if e.kind == "note")


# -- retries ----------------------------------------------------------------------------------------------------------


def test_a_dependency_that_fails_twice_is_tried_again_a_little_later_each_time(tmp_path: Path) -> None:
    story = given(tmp_path, Action.NOISE, change=failing("platform", live=always(AWAY), judgements=always(AWAY)))
    assert story.runs().cycle.outcome is OutcomeKind.LEFT_ALONE
    clock = FrozenClock()
    story = given(tmp_path, Action.RETRAIN, clock=clock, change=failing("evaluation", evaluate=first(2, AWAY)))
    story.runs().ends_as(OutcomeKind.IMPROVED).is_proven()
    assert "evaluate failed, attempt 1 of 3" in notes(story)
    assert "evaluate failed, attempt 2 of 3" in notes(story)


def test_after_the_third_failure_a_person_is_told(tmp_path: Path) -> None:
    story = given(tmp_path, Action.RETRAIN, change=failing("evaluation", evaluate=always(AWAY))).runs()
    story.ends_as(OutcomeKind.HANDED_OFF).said("evaluate failed 3 times", "is away").is_proven()
    assert story.effects[-1] == "notify"


def test_failures_that_do_not_come_in_a_row_do_not_add_up(tmp_path: Path) -> None:
    story = given(tmp_path, Action.RETRAIN, of=profile(ab={"window": "60s"})).when(arms=(60, 15))
    metrics = story.rig.ports.metrics
    reader: Any = story.rig.gate.registry.get("ab_read")
    reader._metrics = Flaky(metrics, {"read": _once_a_look})
    story.runs().ends_as(OutcomeKind.NOT_PROMOTED).said("insufficient")
    assert notes(story).count("ab failed, attempt 1 of 3") > 3


def _once_a_look(number: int) -> Exception | None:
    return AWAY if number % 15 == 1 else None


def test_an_outcome_nobody_knows_is_handed_over_at_once(tmp_path: Path) -> None:
    lost = always(OutcomeUnknown("the wire was cut"))
    story = given(tmp_path, Action.TUNE, change=failing("vcs", commit=lost)).runs()
    story.ends_as(OutcomeKind.HANDED_OFF).said("promote failed 1 times", "the wire was cut")


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


def test_a_cycle_without_an_end_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cycles.engine.MOST_STEPS", 2)
    story = given(tmp_path, Action.NOISE)
    with pytest.raises(DependencyUnavailable, match="BudgetExhausted"):
        story.runs()


# -- refusals ---------------------------------------------------------------------------------------------------------


def test_the_kill_switch_thrown_in_mid_cycle_refuses_the_next_effect(tmp_path: Path) -> None:
    story = given(tmp_path, Action.RETRAIN)
    live = story.rig.ports.vcs.head()
    when_stage(story.rig, "evaluate", lambda: flag(story.rig, "kill_switch", True))
    story.runs().ends_as(OutcomeKind.HANDED_OFF).said("kill switch").is_proven()
    story.did("dataset_version", "train_model", "register_candidate", "notify")
    assert story.rig.ports.vcs.head() == live


def test_the_kill_switch_lets_a_worse_model_be_taken_back(tmp_path: Path) -> None:
    story = given(tmp_path, Action.RETRAIN).when(after_promotion=0.3)
    when_stage(story.rig, "watch", lambda: flag(story.rig, "kill_switch", True))
    story.runs().ends_as(OutcomeKind.ROLLED_BACK)
    assert story.effects[-2:] == ["roll_back", "notify"]


def test_a_switched_off_self_improvement_changes_nothing(tmp_path: Path) -> None:
    story = given(tmp_path, Action.RETRAIN).before(lambda rig: flag(rig, "self_improvement_enabled", False)).runs()
    story.ends_as(OutcomeKind.HANDED_OFF).said("dataset_version was refused").did("notify")


def test_a_rollback_that_is_not_automatic_is_handed_over(tmp_path: Path) -> None:
    story = given(tmp_path, Action.ROLLBACK).before(lambda rig: flag(rig, "auto_rollback", False)).runs()
    story.ends_as(OutcomeKind.HANDED_OFF).said("escalate").did("notify")


def test_a_test_that_is_not_switched_on_is_handed_over(tmp_path: Path) -> None:
    story = given(tmp_path, Action.RETRAIN).before(lambda rig: flag(rig, "ab_testing", False)).runs()
    story.ends_as(OutcomeKind.HANDED_OFF).said("ab_start was refused")


# -- approval ---------------------------------------------------------------------------------------------------------


def test_a_promotion_that_needs_a_person_waits_for_one(tmp_path: Path) -> None:
    story = given(tmp_path, Action.RETRAIN).before(lambda rig: flag(rig, "auto_promote", False))
    rig = story.rig

    def approve() -> None:
        [cycle] = rig.store.cycles()
        place, payload = f"{APPROVAL}promote", {"by": "a person"}
        rig.store.record(Recording(cycle_id=cycle.id, place=place, kind="approval", payload=payload))

    when_stage(rig, "promote", approve, what="wait")
    story.runs().ends_as(OutcomeKind.IMPROVED).is_proven()
    assert story.effects.count("notify") == 2
    outcome = rig.office.artifacts.read(story.cycle.id, "outcome.json")
    assert outcome is not None
    assert outcome["approver"] == "person"


def test_a_promotion_nobody_approves_is_withdrawn_and_its_test_taken_down(tmp_path: Path) -> None:
    story = given(tmp_path, Action.RETRAIN).before(lambda rig: flag(rig, "auto_promote", False)).runs()
    story.ends_as(OutcomeKind.HANDED_OFF).said("nobody approved")
    assert story.effects[-3:] == ["notify", "ab_stop", "notify"]
    assert [v.name for v in story.rig.ports.delivery.live().variants] == ["champion"]


# -- called off -------------------------------------------------------------------------------------------------------


def cancel(rig: Rig) -> None:
    [cycle] = rig.store.cycles()
    rig.engine.cancel(cycle.id)


@pytest.mark.parametrize("stage", ["observe", "diagnose", "train"])
def test_a_cycle_called_off_ends_at_its_next_step(tmp_path: Path, stage: str) -> None:
    story = given(tmp_path, Action.RETRAIN)
    when_stage(story.rig, stage, lambda: cancel(story.rig), what="wait" if stage == "observe" else "end")
    story.runs().ends_as(OutcomeKind.CANCELLED, Stage.CANCELLED).said("cancelled by a person").is_proven()
    assert "promote" not in story.effects


def test_a_test_that_is_called_off_is_taken_down(tmp_path: Path) -> None:
    story = given(tmp_path, Action.RETRAIN)
    when_stage(story.rig, "ab", lambda: cancel(story.rig), what="wait")
    story.runs().ends_as(OutcomeKind.CANCELLED, Stage.CANCELLED)
    assert story.effects[-3:] == ["ab_start", "ab_stop", "notify"]


@pytest.mark.parametrize(("worth", "outcome"), [(None, OutcomeKind.IMPROVED), (0.3, OutcomeKind.ROLLED_BACK)])
def test_a_model_that_is_live_is_watched_to_the_end_even_when_called_off(
    tmp_path: Path, worth: float | None, outcome: OutcomeKind
) -> None:
    story = given(tmp_path, Action.RETRAIN).when(after_promotion=worth)
    when_stage(story.rig, "watch", lambda: cancel(story.rig))
    story.runs().ends_as(outcome)


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
    story.runs().ends_as(OutcomeKind.IMPROVED).is_proven()
    assert story.effects.count("promote") == 1


def test_a_test_that_was_started_is_taken_down_even_when_called_off_before_anybody_knew(tmp_path: Path) -> None:
    clock = FrozenClock()
    audit = DeafOnce(clock, "ab_start")
    story = given(tmp_path, Action.RETRAIN, clock=clock, audit=audit)
    audit.then = lambda: cancel(story.rig)
    story.runs().ends_as(OutcomeKind.CANCELLED, Stage.CANCELLED)
    assert story.effects[-3:] == ["ab_start", "ab_stop", "notify"]


# -- judgements -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("problem", [ModelAnswerInvalid("not a diagnosis"), BudgetExhausted("eight calls")])
@pytest.mark.parametrize("question", ["diagnose", "plan_augmentation", "plan_training", "propose_promotion"])
def test_an_answer_that_cannot_be_had_is_handed_over(tmp_path: Path, question: str, problem: Exception) -> None:
    def fail(brief: Brief) -> Answered[Any]:
        raise problem

    story = given(tmp_path, Action.RETRAIN, say={question: fail}).runs()
    story.ends_as(OutcomeKind.HANDED_OFF).said(str(problem))
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

    story = given(tmp_path, Action.RETRAIN, say={"diagnose": boast}).runs().ends_as(OutcomeKind.HANDED_OFF)
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
    story = reworded(given(tmp_path, Action.DATA_FIX), since=since).runs().ends_as(OutcomeKind.REPAIRED)
    assert story.cycle.facts["quarantined"] == 240


@pytest.mark.parametrize("tuning", [{}, {"turbo": 1}, {"mode": "not a mode!"}, {"index_generation": 0}])
def test_settings_nobody_knows_are_refused_and_handed_over(tmp_path: Path, tuning: dict[str, Any]) -> None:
    story = reworded(given(tmp_path, Action.TUNE), tuning=tuning).runs().ends_as(OutcomeKind.HANDED_OFF)
    story.did("notify")


def test_a_model_that_cannot_be_brief_is_cut_short(tmp_path: Path) -> None:
    story = reworded(given(tmp_path, Action.NOISE), summary="noise " * 2000).runs()
    story.ends_as(OutcomeKind.LEFT_ALONE).did("notify")


@pytest.mark.parametrize(
    "said", [{"digest": "latest"}, {"metrics": {"ndcg": "high"}}, {"examples": None}, {"metrics": 3}]
)
def test_a_job_that_garbles_its_result_is_not_believed(tmp_path: Path, said: dict[str, Any]) -> None:
    story = given(tmp_path, Action.RETRAIN)
    training: Any = story.rig.ports.training
    training._entries = {n: lambda s, out, e=e: {**e(s, out), **said} for n, e in training._entries.items()}
    story.runs().ends_as(OutcomeKind.HANDED_OFF).said("train failed")
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


# -- stages that stop by themselves -----------------------------------------------------------------------------------


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
    story.runs().ends_as(OutcomeKind.NOT_PROMOTED).said("the model that is live already")


def test_a_candidate_that_does_not_answer_in_the_sandbox_meets_no_user(tmp_path: Path) -> None:
    story = given(tmp_path, Action.RETRAIN)
    sandbox: Any = story.rig.ports.sandbox
    sandbox._answer = lambda entry, spec: {"queries": 3}
    story.runs().ends_as(OutcomeKind.NOT_PROMOTED).said("3 of 20 test queries")


def test_without_judgements_nothing_is_learnt(tmp_path: Path) -> None:
    story = given(tmp_path, Action.RETRAIN)
    platform: Any = story.rig.ports.platform
    platform.all_judgements.clear()
    story.runs().ends_as(OutcomeKind.NOT_PROMOTED).said("no judgement")


def test_too_few_held_out_queries_are_waited_for_and_then_given_up(tmp_path: Path) -> None:
    story = given(tmp_path, Action.RETRAIN)
    evaluation: Any = story.rig.ports.evaluation
    evaluation._rows = evaluation._rows[:10]
    story.runs().ends_as(OutcomeKind.NOT_PROMOTED).said("insufficient").is_proven()
    assert story.effects.count("offline_evaluation") > 2
    kept = story.rig.office.artifacts.read(story.cycle.id, "evaluation.json")
    assert kept is not None
    assert kept["looks"] == story.effects.count("offline_evaluation")


def test_a_candidate_that_is_no_better_offline_goes_no_further(tmp_path: Path) -> None:
    story = given(tmp_path, Action.RETRAIN)
    evaluation: Any = story.rig.ports.evaluation
    rank = evaluation._rank
    evaluation._rank = lambda bundle, query: rank(tmp_path / "good", query)
    story.runs().ends_as(OutcomeKind.NOT_PROMOTED).said("offline evaluation: fail")
    assert "ab_start" not in story.effects


# -- delivery ---------------------------------------------------------------------------------------------------------


def test_a_lost_race_is_run_again(tmp_path: Path) -> None:
    story = given(tmp_path, Action.TUNE, change=failing("vcs", commit=first(2, ConflictError("somebody was faster"))))
    story.runs().ends_as(OutcomeKind.TUNED)
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
    story.runs().ends_as(OutcomeKind.ROLLED_BACK).said("did not come live")
    assert story.effects[-3:] == ["promote", "roll_back", "notify"]


def test_a_candidate_whose_test_never_comes_live_is_taken_out_again(tmp_path: Path) -> None:
    story = given(tmp_path, Action.RETRAIN)

    def stick() -> None:
        story.rig.world.frozen_at = story.rig.ports.vcs.head()

    when_stage(story.rig, "evaluate", stick, what="end")
    story.runs().ends_as(OutcomeKind.HANDED_OFF).said("ab failed 3 times")
    assert story.effects[-3:] == ["ab_start", "ab_stop", "notify"]


# -- watch ------------------------------------------------------------------------------------------------------------


def test_a_watch_that_cannot_be_read_takes_the_model_back(tmp_path: Path) -> None:
    story = given(tmp_path, Action.RETRAIN)

    def silence() -> None:
        since = story.rig.clock.now()
        story.rig.world.quiet = lambda at: at >= since

    when_stage(story.rig, "watch", silence)
    story.runs().ends_as(OutcomeKind.ROLLED_BACK).said("could not be read")


def test_a_quiet_moment_in_the_watch_is_made_up_for_by_a_further_look(tmp_path: Path) -> None:
    story = given(tmp_path, Action.RETRAIN)

    def hush() -> None:
        since = story.rig.clock.now() + timedelta(seconds=4)
        story.rig.world.quiet = lambda at: since <= at < since + timedelta(seconds=2)

    when_stage(story.rig, "watch", hush)
    story.runs().ends_as(OutcomeKind.IMPROVED)
    assert len(story.cycle.facts["watch"]) == 7


def test_a_watch_whose_measurements_fail_takes_the_model_back(tmp_path: Path) -> None:
    story = given(tmp_path, Action.RETRAIN)

    def fail() -> None:
        reader: Any = story.rig.gate.registry.get("metric_points")._reader  # type: ignore[attr-defined]
        reader._metrics = Flaky(reader._metrics, {"read": always(AWAY)})

    when_stage(story.rig, "watch", fail)
    story.runs().ends_as(OutcomeKind.ROLLED_BACK).said("watch failed 3 times")


# -- learn ------------------------------------------------------------------------------------------------------------


def test_what_fails_at_the_end_does_not_change_how_it_ended(tmp_path: Path) -> None:
    def silent(brief: Brief) -> Answered[Any]:
        raise ModelAnswerInvalid("no words")

    change = failing("notify", send=always(AWAY))
    story = given(tmp_path, Action.ROLLBACK, change=change, say={"write_post_mortem": silent}).runs()
    story.ends_as(OutcomeKind.RESTORED).did("roll_back", "set_alias").is_proven()
    assert "no post-mortem: no words" in notes(story)


def test_a_memory_that_cannot_be_written_stops_the_cycle_with_its_outcome_kept(tmp_path: Path) -> None:
    story = given(tmp_path, Action.ROLLBACK, change=failing("retrieval", add=always(AWAY))).runs()
    story.ends_as(OutcomeKind.RESTORED, Stage.STOPPED).said("learn failed 3 times")


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
