"""The adapter between CrewAI and the chat port: messages both ways, counts, limits, and no error of ours inside
CrewAI.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest

from adapters.llm.base import ChatMessage, ChatReply, ToolCall
from adapters.llm.memory import ScriptedChat
from adapters.traces.memory import MemoryTraces
from agents.meter import Meter, note_fallback
from agents.model import CrewModel, Halted, Seating, read_messages
from domain.errors import BudgetExhausted, DependencyUnavailable

FUNCTION = {"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}
Reply = Callable[[Sequence[ChatMessage], Sequence[Mapping[str, Any]], str], ChatReply]


def _model(reply: Reply, meter: Meter | None = None) -> CrewModel:
    return CrewModel.of(
        Seating(
            chat=ScriptedChat(reply),
            task="t",
            schema={},
            functions={"look": FUNCTION},
            meter=meter or Meter(),
            traces=MemoryTraces(),
            cycle_id="si_2026_01_31_001",
        )
    )


def _offered(*names: str) -> list[dict[str, Any]]:
    return [{"type": "function", "function": {"name": name, "strict": True}} for name in names]


def test_text_is_an_answer() -> None:
    meter = Meter()
    answer = _model(lambda m, t, k: ChatReply(text="hello", tokens=7, cost_usd=0.5, model="m"), meter).call("hi")
    assert (answer, meter.tokens, meter.cost_usd, meter.models) == ("hello", 7, 0.5, ("m",))


def test_tool_calls_go_out_as_crewai_takes_them() -> None:
    call = ToolCall(id="1", name="look", arguments={"x": 1})
    answer = _model(lambda m, t, k: ChatReply(tool_calls=(call,))).call("hi", tools=_offered("look"))
    function = {"name": "look", "arguments": '{"x": 1}'}
    assert answer == [{"id": "1", "type": "function", "function": function}]


def test_our_schemas_are_offered_for_the_tools_crewai_offers() -> None:
    seen: list[Any] = []

    def reply(messages: Sequence[ChatMessage], tools: Sequence[Mapping[str, Any]], task: str) -> ChatReply:
        seen.extend(tools)
        return ChatReply(text="done")

    _model(reply).call("hi", tools=_offered("look", "unknown"))
    assert seen == [FUNCTION]


def test_messages_come_in_as_they_were_said() -> None:
    function = {"name": "look", "arguments": json.dumps({"x": 1})}
    messages: list[dict[str, Any]] = [
        {"role": "system", "content": "be good"},
        {"role": "user", "content": [{"type": "text", "text": "one"}, {"type": "text", "text": "two"}]},
        {"role": "assistant", "content": None, "tool_calls": [{"id": "1", "type": "function", "function": function}]},
        {"role": "tool", "tool_call_id": "1", "name": "look", "content": "seen"},
    ]
    assert read_messages(messages) == [
        ChatMessage(role="system", content="be good"),
        ChatMessage(role="user", content="one\ntwo"),
        ChatMessage(role="assistant", tool_calls=(ToolCall(id="1", name="look", arguments={"x": 1}),)),
        ChatMessage(role="tool", content="seen", tool_call_id="1", name="look"),
    ]


@pytest.mark.parametrize("arguments", ["{", "[1]", ""])
def test_arguments_that_are_no_object_are_none(arguments: str) -> None:
    call = {"id": "1", "type": "function", "function": {"name": "look", "arguments": arguments}}
    (message,) = read_messages([{"role": "assistant", "content": "", "tool_calls": [call]}])
    assert message.tool_calls[0].arguments == {}


def test_tokens_nobody_told_are_estimated() -> None:
    meter = Meter()
    _model(lambda m, t, k: ChatReply(text="x" * 40), meter).call("y" * 400)
    assert meter.tokens == 110


def test_an_error_of_the_chat_stops_the_crew_and_is_kept() -> None:
    def fails(messages: Sequence[ChatMessage], tools: Sequence[Mapping[str, Any]], task: str) -> ChatReply:
        raise DependencyUnavailable("model", "rate limit: too many requests")

    meter = Meter()
    with pytest.raises(Halted) as caught:
        _model(fails, meter).call("hi")
    assert isinstance(meter.stopped, DependencyUnavailable)
    assert (caught.value.__cause__, caught.value.__context__) == (None, None)


def test_after_a_stop_no_model_is_asked() -> None:
    asked: list[str] = []

    def reply(messages: Sequence[ChatMessage], tools: Sequence[Mapping[str, Any]], task: str) -> ChatReply:
        asked.append(task)
        return ChatReply(text="hello")

    meter = Meter()
    meter.stop(BudgetExhausted("time is over"))
    meter.stop(BudgetExhausted("later"))
    with pytest.raises(Halted):
        _model(reply, meter).call("hi")
    assert asked == []
    assert str(meter.stopped) == "time is over"


def test_asking_for_tools_when_there_are_none_stops_the_crew() -> None:
    meter = Meter()
    call = ToolCall(id="1", name="look")
    with pytest.raises(Halted):
        _model(lambda m, t, k: ChatReply(tool_calls=(call,)), meter).call("hi")
    assert isinstance(meter.stopped, BudgetExhausted)


def test_a_fallback_is_told_to_the_crew_whose_call_it_was() -> None:
    first, second = Meter(), Meter()

    def reply(messages: Sequence[ChatMessage], tools: Sequence[Mapping[str, Any]], task: str) -> ChatReply:
        note_fallback("a -> b: it hung")
        return ChatReply(text="hello")

    note_fallback("nobody listens")
    _model(reply, first).call("hi")
    _model(reply, first).call("hi")
    assert (first.fallbacks, second.fallbacks) == (("a -> b: it hung",), ())


def test_a_span_tells_who_answered() -> None:
    traces = MemoryTraces()
    model = CrewModel.of(
        Seating(
            chat=ScriptedChat(lambda m, t, k: ChatReply(text="hello", model="m", tokens=3)),
            task="t",
            schema={},
            functions={},
            meter=Meter(),
            traces=traces,
            cycle_id="c",
        )
    )
    model.call("hi")
    assert [(s.name, s.kind, s.outputs["model"]) for s in traces.spans] == [("t", "llm", "m")]
