"""Endpoints that misbehave, over real HTTP: every time a right outcome or a clean stop, within the limit, and the
fallback is seen.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any

import pytest
from crewai.hooks import register_before_tool_call_hook, unregister_before_tool_call_hook

from adapters.llm.base import ChatMessage, ChatPort, ChatReply, ToolCall
from adapters.llm.breaker import CircuitBreaker, GuardedChat
from adapters.llm.memory import ScriptedChat
from adapters.llm.openai import OpenAIChat
from agents.meter import note_fallback
from agents.playbook import Playbook
from crews.session import Limits
from domain.actor import Role
from domain.clock import SystemClock
from domain.diagnosis import Action
from domain.errors import BudgetExhausted, DependencyError, DependencyLied, ModelAnswerInvalid
from domain.receipt import RecordKind
from tests.crews.bench import Bench, brief, given_up
from tests.crews.findings import drift, fallen, situation
from tests.stubs.chat_server import ChatStub, Misbehaviour
from tests.support.waiting import until
from tools.evidence import check, sufficient

LIMIT = timedelta(seconds=120)

# What the adapter finds out is not believed: the playbook goes on. What only the answer shows ends in a named error.
FALLS_BACK = {
    Misbehaviour.MALFORMED_JSON,
    Misbehaviour.UNKNOWN_TOOL,
    Misbehaviour.WRONG_TYPES,
    Misbehaviour.EMPTY,
    Misbehaviour.STATUS_429,
    Misbehaviour.STATUS_500,
    Misbehaviour.HANG,
}


def _endpoint(base_url: str, *, hangs: bool = False) -> OpenAIChat:
    return OpenAIChat(
        model="stub-1",
        api_key="not-a-key",
        clock=SystemClock(),
        base_url=base_url,
        timeout=timedelta(seconds=0.3 if hangs else 20),
        attempts=2,
        backoff=timedelta(milliseconds=5),
    )


def _guarded(base_url: str, how: Misbehaviour | None = None) -> Callable[[Role], ChatPort]:
    breaker, hangs = CircuitBreaker("model", SystemClock()), how is Misbehaviour.HANG
    return lambda role: GuardedChat(_endpoint(base_url, hangs=hangs), Playbook(), breaker, note_fallback)


@pytest.mark.parametrize("misbehaviour", sorted(FALLS_BACK))
def test_the_playbook_steps_in_and_it_shows(misbehaviour: Misbehaviour) -> None:
    with ChatStub(misbehaviour=misbehaviour) as base_url:
        bench = Bench(fallen(drift_report=drift(new=True)), _guarded(base_url, misbehaviour), Limits(time=LIMIT))
        answered = bench.judges.diagnose(brief())
    assert answered.value.action is Action.RETRAIN
    assert answered.models[-1] == "playbook"
    assert all(reason.startswith("stub-1 -> playbook: ") for reason in answered.fallbacks)
    assert answered.fallbacks
    assert ("metrics_analyst", "playbook", "stepped in") in bench.said("model")


@pytest.mark.parametrize("misbehaviour", sorted(set(Misbehaviour) - FALLS_BACK))
def test_what_no_protocol_shows_is_a_clean_stop(misbehaviour: Misbehaviour) -> None:
    with ChatStub(misbehaviour=misbehaviour) as base_url:
        bench = Bench(fallen(drift_report=drift(new=True)), _guarded(base_url, misbehaviour), Limits(time=LIMIT))
        with pytest.raises((ModelAnswerInvalid, BudgetExhausted)) as told:
            bench.judges.diagnose(brief())
    assert "took longer than" not in str(told.value)
    assert len(bench.asked) <= 8


@pytest.mark.parametrize("misbehaviour", list(Misbehaviour))
def test_without_a_fallback_every_misbehaviour_has_a_name(misbehaviour: Misbehaviour) -> None:
    with ChatStub(misbehaviour=misbehaviour) as base_url:
        bench = Bench(
            situation(), lambda role: _endpoint(base_url, hangs=misbehaviour is Misbehaviour.HANG), Limits(time=LIMIT)
        )
        with pytest.raises((ModelAnswerInvalid, BudgetExhausted, DependencyError)):
            bench.judges.diagnose(brief())
    assert len(bench.asked) <= 8
    assert {record.entry.kind for record in bench.audit.records()} <= {RecordKind.READ}


def test_an_endpoint_that_breaks_down_in_the_middle_is_taken_over_from() -> None:
    def script(messages: Sequence[Mapping[str, Any]], tools: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
        return {"tool_calls": [{"name": "signal_snapshot", "arguments": {}}]}

    with ChatStub(script, misbehaviour=Misbehaviour.STATUS_500, after=1) as base_url:
        bench = Bench(fallen(drift_report=drift(new=True)), _guarded(base_url), Limits(time=LIMIT))
        answered = bench.judges.diagnose(brief())
    assert answered.value.action is Action.RETRAIN
    assert answered.models == ("stub-1", "playbook")
    assert bench.asked.count("signal_snapshot") == 1
    assert answered.tokens >= 120


def _analyst(messages: Sequence[Mapping[str, Any]], tools: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    """A model that works as it should: two calls at once, three more, then a typed answer that cites them."""
    found = {m["tool_call_id"]: json.loads(m["content"]) for m in messages if m["role"] == "tool"}
    if "You review" in messages[0]["content"]:
        return {"content": json.dumps({"verdict": "accept", "reason": "it holds"})}
    if not found:
        calls = ({"name": "signal_snapshot", "arguments": {}}, {"name": "drift_report", "arguments": {}})
        return {"tool_calls": list(calls)}
    if len(found) == 2:
        rest = [("anomaly_check", {"signal": "ndcg_at_10"}), ("data_quality_report", {}), ("deployment_history", {})]
        return {"tool_calls": [{"name": name, "arguments": arguments} for name, arguments in rest]}
    snapshot, report = list(found.values())[:2]
    drop = snapshot["result"]["readings"]["ndcg_at_10"]["relative_delta"]
    answer = {
        "action": "retrain",
        "root_cause": "corpus_shift",
        "summary": "New subjects arrived.",
        "affected_categories": report["result"]["affected_categories"],
        "claims": [
            {
                "statement": "quality fell",
                "call": snapshot["call"],
                "path": "readings.ndcg_at_10.relative_delta",
                "comparison": "eq",
                "value": round(drop, 3),
            },
            {
                "statement": "half the sessions look for new subjects",
                "call": report["call"],
                "path": "new_subject_session_share",
                "comparison": "ge",
                "value": 0.5,
            },
        ],
    }
    return {"content": f"```json\n{json.dumps(answer)}\n```"}


def test_a_model_with_native_tool_calls_does_the_work() -> None:
    stub = ChatStub(_analyst)
    with stub as base_url:
        bench = Bench(fallen(drift_report=drift(new=True)), _guarded(base_url), Limits(time=LIMIT))
        answered = bench.judges.diagnose(brief())
    checked = check(answered.value, bench.results())
    assert (checked.unsupported_claims, bool(sufficient(checked, bench.results()))) == (0, True)
    assert (answered.models, answered.fallbacks, answered.stopped) == (("stub-1",), (), "")
    assert answered.tokens == 120 * len(stub.requests)
    looks = ["anomaly_check", "data_quality_report", "deployment_history", "drift_report", "signal_snapshot"]
    assert sorted(bench.asked) == looks
    query = next(t["function"] for t in stub.requests[0]["tools"] if t["function"]["name"] == "metric_query")
    assert query["parameters"]["required"] == ["signal"]


class _Hanging:
    """A model that never answers until it is let go."""

    name = "hanging"

    def __init__(self, let_go: threading.Event) -> None:
        self.let_go = let_go
        self.asked = 0

    def complete(
        self,
        messages: Sequence[ChatMessage],
        tools: Sequence[Mapping[str, Any]],
        *,
        task: str,
        answer_schema: Mapping[str, Any] | None = None,
    ) -> ChatReply:
        self.asked += 1
        self.let_go.wait(120)
        return ChatReply(tool_calls=(ToolCall(id="1", name="signal_snapshot", arguments={}),), model=self.name)

    def check(self) -> str:
        return self.name


@pytest.fixture
def let_go() -> Iterator[threading.Event]:
    event = threading.Event()
    yield event
    event.set()


def test_a_crew_that_is_given_up_does_nothing_more(let_go: threading.Event) -> None:
    hanging, bench, said = _Hanging(let_go), Bench(situation()), ""
    others = threading.enumerate()

    def ask(limit: timedelta) -> bool:
        nonlocal hanging, bench, said
        hanging = model = _Hanging(let_go)
        bench = Bench(situation(), lambda role: model, Limits(time=limit))
        with pytest.raises(BudgetExhausted) as told:
            bench.judges.diagnose(brief())
        said = str(told.value)
        return hanging.asked > 0

    given_up(ask)
    assert "took longer than" in said
    let_go.set()
    until(lambda: not any(t.name == "diagnosis" and t not in others for t in threading.enumerate()))
    assert bench.asked == []
    assert hanging.asked == 1


def test_endless_calls_of_different_tools_end_at_eight() -> None:
    numbers = iter(range(1, 1000))

    def restless(messages: Sequence[ChatMessage], tools: Sequence[Mapping[str, Any]], task: str) -> ChatReply:
        args = {"signal": "ndcg_at_10", "window_s": next(numbers)}
        return ChatReply(tool_calls=(ToolCall(id=str(args["window_s"]), name="metric_query", arguments=args),))

    bench = Bench(situation(), lambda role: ScriptedChat(restless))
    with pytest.raises(BudgetExhausted, match="asked for tools when it had to answer"):
        bench.judges.diagnose(brief())
    assert len(bench.asked) == 8


def test_the_same_call_again_is_answered_from_memory_and_counted() -> None:
    def forgetful(messages: Sequence[ChatMessage], tools: Sequence[Mapping[str, Any]], task: str) -> ChatReply:
        if len([m for m in messages if m.role == "tool"]) < 3:
            return ChatReply(tool_calls=(ToolCall(id="1", name="signal_snapshot", arguments={}),))
        return ChatReply(text=json.dumps({"action": "noise", "root_cause": "noise", "summary": "Nothing."}))

    chats: Mapping[Role, ChatPort] = {Role.METRICS_ANALYST: ScriptedChat(forgetful), Role.SUPERVISOR: Playbook()}
    bench = Bench(situation(), lambda role: chats[role])
    answered = bench.judges.diagnose(brief())
    assert answered.repeated_calls == 2
    assert bench.asked == ["signal_snapshot"]
    assert len(answered.calls) == 1


def test_a_hook_that_raises_changes_nothing() -> None:
    """CrewAI lets a call go on when a hook raises; the door is elsewhere, and decides as it would have."""
    seen: list[str] = []

    def hook(context: Any) -> bool | None:
        seen.append(context.tool_name)
        raise RuntimeError("the hook is broken")

    def writes(messages: Sequence[ChatMessage], tools: Sequence[Mapping[str, Any]], task: str) -> ChatReply:
        if not any(m.role == "tool" for m in messages):
            names = ("signal_snapshot", "promote")
            return ChatReply(tool_calls=tuple(ToolCall(id=n, name=n, arguments={}) for n in names))
        return ChatReply(text=json.dumps({"action": "noise", "root_cause": "noise", "summary": "Nothing."}))

    register_before_tool_call_hook(hook)
    try:
        chats: Mapping[Role, ChatPort] = {Role.METRICS_ANALYST: ScriptedChat(writes), Role.SUPERVISOR: Playbook()}
        bench = Bench(situation(), lambda role: chats[role])
        answered = bench.judges.diagnose(brief())
    finally:
        unregister_before_tool_call_hook(hook)
    assert "signal_snapshot" in seen
    assert bench.asked == ["signal_snapshot"]
    assert [r.entry.kind for r in bench.audit.records()] == [RecordKind.READ]
    assert answered.value.action is Action.NOISE


def test_a_failure_of_crewai_itself_is_named_as_one() -> None:
    def broken(messages: Sequence[ChatMessage], tools: Sequence[Mapping[str, Any]], task: str) -> ChatReply:
        raise KeyError("a defect")

    with pytest.raises(DependencyLied, match="crewai: diagnosis ended with KeyError"):
        Bench(situation(), lambda role: ScriptedChat(broken)).judges.diagnose(brief())
