"""A cycle replayed on its record decides the same, byte for byte; under other rules it parts, and says where."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from adapters.llm.base import ChatMessage, ChatReply, ToolCall
from adapters.llm.memory import ScriptedChat
from agents.playbook import Playbook
from cycles.decisions import decision_log, log_text
from cycles.engine import Engine
from cycles.replay import require
from cycles.shelf import SHARED, TapeMissing, tapes_of
from domain.cycle import Cycle
from domain.decision import Answer, AuthorizationRequest, Decision
from domain.diagnosis import Action
from domain.errors import DependencyUnavailable, InvalidInput
from domain.outcome import OutcomeKind
from domain.stage import Stage
from evals.simulated import DEGRADED
from policies.packaged import packaged_policy_files
from policies.pdp import PolicyDecisionPoint
from service.replaying import Other, tool_classes
from tests.support.flaky import first
from tests.support.meddling import AWAY, cancel, failing, flag, when_stage
from tests.support.office import Rig, ended, office_in_memory
from tests.support.replays import crewed, replayed
from tests.support.setting import alert_of
from tests.support.story import Story, given

STRICTER = "quality_gates:\n  ndcg_at_10:\n    threshold: 0.3\n"
NO_PROMOTION = b"""
@id("forbid-promotions")
@reason("nothing is promoted this quarter")
forbid (principal, action == Action::"promote", resource);
"""


def same(rig: Rig, cycle: Cycle, *, with_crews: bool = False) -> None:
    """Assert that two replays come to the decisions of the record."""
    recorded = log_text(decision_log(tapes_of(rig.store, cycle.id)))
    for _ in range(2):
        found = replayed(rig, cycle, with_crews=with_crews)
        assert [str(parting) for parting in found.partings] == []
        assert log_text(found.replayed) == recorded
        assert found.same


@pytest.mark.parametrize(
    "action",
    [Action.RETRAIN, Action.ROLLBACK, Action.DATA_FIX, Action.TUNE, Action.NOISE, Action.MONITOR, Action.HANDOFF],
)
def test_every_kind_of_cycle_replays(tmp_path: Path, action: Action) -> None:
    story = given(tmp_path, action).runs()
    assert story.cycle.stage.terminal
    same(story.rig, story.cycle)


WENT: Mapping[str, tuple[Action, Mapping[str, Any], Callable[[Story], Story], OutcomeKind]] = {
    "taken back after its promotion": (
        Action.RETRAIN,
        {},
        lambda story: story.when(after_promotion=0.30),
        OutcomeKind.ROLLED_BACK,
    ),
    "lost its test": (Action.RETRAIN, {}, lambda story: story.when(candidate=DEGRADED), OutcomeKind.NOT_PROMOTED),
    "told to apply": (Action.RETRAIN, {"cluster": True}, lambda story: story, OutcomeKind.IMPROVED),
    "announced": (Action.ROLLBACK, {"announces": True}, lambda story: story, OutcomeKind.RESTORED),
    "with a dependency that was away twice": (
        Action.RETRAIN,
        {"change": failing("training", run=first(2, AWAY))},
        lambda story: story,
        OutcomeKind.IMPROVED,
    ),
    "with a dependency that stayed away": (
        Action.RETRAIN,
        {"change": failing("training", run=first(9, AWAY))},
        lambda story: story,
        OutcomeKind.HANDED_OFF,
    ),
    "with a memory that was away": (
        Action.NOISE,
        {"change": failing("retrieval", add=first(1, AWAY))},
        lambda story: story,
        OutcomeKind.LEFT_ALONE,
    ),
    "called off": (
        Action.RETRAIN,
        {},
        lambda story: story.before(lambda rig: when_stage(rig, "train", lambda: cancel(rig))),
        OutcomeKind.CANCELLED,
    ),
    "stopped by the kill switch": (
        Action.RETRAIN,
        {},
        lambda story: story.before(lambda rig: when_stage(rig, "ab", lambda: flag(rig, "kill_switch", True), "wait")),
        OutcomeKind.STOPPED,
    ),
    "not allowed to test": (
        Action.RETRAIN,
        {},
        lambda story: story.before(lambda rig: flag(rig, "self_improvement_enabled", False)),
        OutcomeKind.HANDED_OFF,
    ),
}


@pytest.mark.parametrize("name", list(WENT))
def test_a_cycle_replays_however_it_went(tmp_path: Path, name: str) -> None:
    action, wiring, change, outcome = WENT[name]
    story = change(given(tmp_path, action, **wiring)).runs()
    assert story.cycle.outcome is outcome, story.cycle.reason
    same(story.rig, story.cycle)


@pytest.mark.parametrize("action", [pytest.param(Action.RETRAIN, marks=pytest.mark.slow), Action.NOISE])
def test_a_cycle_of_real_crews_replays_with_their_models_answers(tmp_path: Path, action: Action) -> None:
    rig = crewed(office_in_memory(tmp_path, action))
    cycle = ended(rig, action)
    replies = [r for t in tapes_of(rig.store, cycle.id) for q in t.questions for r in q.replies]
    assert {reply.model for reply in replies} == {"playbook"}
    same(rig, cycle, with_crews=True)
    same(rig, cycle)
    assert replayed(rig, cycle, with_crews=True).notes == ()


def test_a_model_that_fails_and_one_that_rambles_replay_too(tmp_path: Path) -> None:
    asked: list[str] = []

    def answer(messages: Any, tools: Any, task: str) -> ChatReply:
        asked.append(task)
        if task == "postmortem_write":
            raise DependencyUnavailable("model", "it is overloaded")
        if len(asked) == 1:
            calls = ("signal_snapshot", "deployment_history", "no_such_tool")
            return ChatReply(tool_calls=tuple(ToolCall(id=n, name=n, arguments={}) for n in calls))
        return Playbook().complete(messages, tools, task=task)

    rig = crewed(office_in_memory(tmp_path, Action.NOISE), lambda role: ScriptedChat(answer))
    same(rig, ended(rig, Action.NOISE), with_crews=True)
    assert asked.count("postmortem_write") == 1


def test_a_prompt_that_is_another_one_now_is_told_and_the_answers_still_apply(tmp_path: Path) -> None:
    rig = crewed(office_in_memory(tmp_path, Action.NOISE))
    cycle = ended(rig, Action.NOISE)
    kept = rig.store.recordings(cycle.id, "step/00002")[0]
    text = kept.model_dump_json().replace('"asked":"', '"asked":"0')
    tapes = tapes_of(rig.store, cycle.id)
    changed = [type(t).model_validate({**t.model_dump(), **_asked_otherwise(t.model_dump())}) for t in tapes]
    found = _replayed_tapes(rig, changed)
    assert text != kept.model_dump_json()
    assert found.same
    assert "is shown something else" in found.notes[0]


def _asked_otherwise(plain: dict[str, Any]) -> dict[str, Any]:
    for question in plain["questions"]:
        question["replies"] = [{**reply, "asked": "another"} for reply in question["replies"]]
    return {"questions": plain["questions"]}


def _replayed_tapes(rig: Rig, tapes: list[Any], other: Other | None = None) -> Any:
    from cycles.replay import replay
    from service.replaying import theatre
    from tests.support.replays import classes_of

    return replay(tapes, theatre(tapes, rig.store, classes_of(rig), other=other))


# -- interrupted and gone on with -------------------------------------------------------------------------------------


class Died(BaseException):
    """The process is gone."""


@dataclass
class Mortal:
    """Dies in the middle of the how-manieth write of a kind."""

    rig: Rig
    method: str
    at: int
    count: int = 0

    def arm(self) -> None:
        """Stand in front of the store's (or the chain's) method."""
        port: Any = self.rig.audit if self.method == "append" else self.rig.store
        found = getattr(port, self.method)

        def called(*args: Any, **kwargs: Any) -> Any:
            self.count += 1
            if self.count == self.at:
                raise Died
            return found(*args, **kwargs)

        setattr(port, self.method, called)


def _through_deaths(rig: Rig, action: Action, method: str, at: int) -> Cycle | None:
    """Walk a cycle whose process dies once; None where it has ended before."""
    cycle = rig.open(alert_of(action, rig.clock))
    mortal = Mortal(rig, method, at)
    mortal.arm()
    died = False
    for _ in range(200):
        try:
            if rig.engine.advance(cycle.id)["ended"]:
                return rig.now(cycle.id) if died else None
        except Died:
            died = True
            rig.engine = Engine(rig.office, rig.workflow)
        rig.clock.sleep(rig.profile.ab.poll)
    raise AssertionError("it did not end")


@pytest.mark.parametrize("action", [Action.TUNE, pytest.param(Action.RETRAIN, marks=pytest.mark.slow)])
@pytest.mark.parametrize("method", ["append", "save", "record"])
def test_a_cycle_that_died_anywhere_and_went_on_replays(tmp_path: Path, action: Action, method: str) -> None:
    at, deaths = 3, 0
    while deaths < 4:
        rig = office_in_memory(tmp_path / f"{at}", action)
        cycle = _through_deaths(rig, action, method, at)
        if cycle is None:
            break
        same_once(rig, cycle, f"{method} {at}")
        at, deaths = at + 11, deaths + 1
    assert deaths >= 2


def same_once(rig: Rig, cycle: Cycle, what: str) -> None:
    """Assert that a replay comes to the decisions of the record."""
    found = replayed(rig, cycle)
    assert [str(parting) for parting in found.partings] == [], what
    assert found.same, what


# -- other rules ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def promoted(tmp_path_factory: pytest.TempPathFactory) -> Story:
    """A retrained model, promoted."""
    return given(tmp_path_factory.mktemp("promoted"), Action.RETRAIN).runs().expect_end(OutcomeKind.IMPROVED)


def _set(more: bytes) -> PolicyDecisionPoint:
    return PolicyDecisionPoint.from_files({**packaged_policy_files(), "zz.cedar": more})


def test_the_same_set_and_the_same_gates_change_nothing(promoted: Story) -> None:
    contract = "version: 1\n"
    found = replayed(
        promoted.rig, promoted.cycle, Other(pdp=_set(NO_PROMOTION.replace(b'"promote"', b'"restore_values"')))
    )
    assert (found.partings, found.beyond) == ((), "")
    found = replayed(promoted.rig, promoted.cycle, Other(gates=contract))
    assert (found.partings, found.beyond) == ((), "")


def test_stricter_gates_part_at_the_first_decision_that_changes(promoted: Story) -> None:
    found = replayed(promoted.rig, promoted.cycle, Other(gates=STRICTER))
    parting = found.partings[0]
    assert (parting.stage, parting.recorded, parting.now) == ("evaluate", "evaluate: pass", "evaluate: fail")
    moves = [line for line in found.replayed if line["kind"] == "transition"]
    assert (moves[-1]["next"], moves[-1]["outcome"]) == ("learn", "not_promoted")
    assert "runtime_state" in found.beyond
    assert not found.same


def test_a_set_that_forbids_the_promotion_parts_there(promoted: Story) -> None:
    found = replayed(promoted.rig, promoted.cycle, Other(pdp=_set(NO_PROMOTION)))
    parting = found.partings[0]
    assert parting.stage == "promote"
    assert parting.recorded.startswith("promote for devops_engineer/stage: allow by permit-promote")
    assert parting.now == "promote for devops_engineer/stage: deny by forbid-promotions"
    assert parting.why == "nothing is promoted this quarter"
    assert [line["next"] for line in found.replayed if line["kind"] == "transition"][-1] == "learn"


def test_a_set_that_lets_through_what_was_denied_ends_where_the_world_was_never_asked(tmp_path: Path) -> None:
    story = given(tmp_path, Action.TUNE).before(lambda rig: flag(rig, "self_improvement_enabled", False)).runs()

    class Yes:
        def decide(self, request: AuthorizationRequest) -> Decision:
            return Decision(answer=Answer.ALLOW, policies=("yes",), policy_hash="1" * 64)

    denied = [c for t in tapes_of(story.rig.store, story.cycle.id) for c in t.calls if c.outcome.came == "refused"]
    found = replayed(story.rig, story.cycle, Other(pdp=Yes()))
    assert found.partings[0].now.startswith(f"{denied[0].tool} for {denied[0].actor}: allow by yes")
    assert f"what {denied[0].tool} would have done" in found.beyond


def test_a_read_that_is_refused_now_does_not_take_the_other_answers_away(promoted: Story) -> None:
    blind = b'@id("blind") @reason("no drift") forbid (principal, action == Action::"drift_report", resource);'
    found = replayed(promoted.rig, promoted.cycle, Other(pdp=_set(blind)))
    assert found.partings[0].now == "drift_report for metrics_analyst/agent: deny by blind"
    assert "what the crew would have answered" in found.beyond


def test_another_model_is_really_asked_and_parts_where_it_asks_for_something_else(tmp_path: Path) -> None:
    rig = crewed(office_in_memory(tmp_path, Action.NOISE))
    cycle = ended(rig, Action.NOISE)
    found = replayed(rig, cycle, Other(chat=lambda role: Playbook()), with_crews=True)
    assert found.partings == ()

    def curious(messages: Sequence[ChatMessage], tools: Any, task: str) -> ChatReply:
        return ChatReply(tool_calls=(ToolCall(id="1", name="metric_query", arguments={"signal": "ndcg_at_10"}),))

    found = replayed(rig, cycle, Other(chat=lambda role: ScriptedChat(curious)), with_crews=True)
    assert found.partings[0].now == "metric_query for metrics_analyst/agent"
    assert "metric_query" in found.beyond


def test_gates_that_do_not_fit_are_refused_by_name(promoted: Story) -> None:
    with pytest.raises(InvalidInput, match="quality_gates"):
        replayed(promoted.rig, promoted.cycle, Other(gates="quality_gates:\n  ndcg_at_10: {threshold: many}\n"))
    with pytest.raises(InvalidInput, match="holds none of"):
        replayed(promoted.rig, promoted.cycle, Other(gates="gates: {}\n"))


# -- what is missing --------------------------------------------------------------------------------------------------


def test_a_set_that_is_not_kept_is_named(tmp_path: Path) -> None:
    story = given(tmp_path, Action.NOISE).runs()
    [kept] = story.rig.store.recordings(SHARED, "policies/")
    story.rig.store.record(kept.model_copy(update={"place": kept.place, "payload": {"a.cedar": "forbid"}}))
    with pytest.raises(TapeMissing.__mro__[1], match="policies/"):
        replayed(story.rig, story.cycle)


def test_a_cycle_recorded_from_its_middle_says_so(promoted: Story) -> None:
    tapes = tapes_of(promoted.rig.store, promoted.cycle.id)
    with pytest.raises(TapeMissing, match="recorded from diagnose on"):
        require([t for t in tapes if t.stage != Stage.OBSERVE.value], promoted.cycle)


def test_every_tool_of_the_office_is_known_by_name(promoted: Story) -> None:
    names = {tool.spec.name for tool in promoted.rig.gate.registry}
    assert names <= tool_classes().keys()
