"""The playbook reads its place from the messages, whoever wrote them, and answers the same every time."""

from __future__ import annotations

import json
from typing import Any

import pytest

from adapters.llm.base import ChatMessage, ToolCall
from agents.blocks import BRIEF, HELD, block
from agents.playbook import Playbook
from domain.errors import ConfigurationError, DependencyLied
from prompts.runbook import names, runbook

TASK = "diagnosis_propose"
TOOLS = [{"type": "function", "function": {"name": step.tool}} for step in runbook(TASK).steps]
PROMPT = ChatMessage(role="user", content=block(BRIEF, {"alert": {"signal": "ndcg_at_10"}}))
CALM = {"call": "diagnose/signal_snapshot/1", "result": {"breached": [], "readings": {"ndcg_at_10": {}}}}
QUIET = {"call": "diagnose/anomaly_check/1", "result": {"anomalous": False, "z": -0.5}}


def _exchange(name: str, answer: Any, **args: Any) -> list[ChatMessage]:
    call = ToolCall(id=f"call {name}", name=name, arguments=args)
    content = answer if isinstance(answer, str) else json.dumps(answer)
    return [
        ChatMessage(role="assistant", tool_calls=(call,)),
        ChatMessage(role="tool", tool_call_id=call.id, name=name, content=content),
    ]


def _next(*messages: ChatMessage, tools: Any = TOOLS) -> ToolCall | dict[str, Any]:
    reply = Playbook().complete([PROMPT, *messages], tools, task=TASK)
    if reply.tool_calls:
        return reply.tool_calls[0]
    answer: dict[str, Any] = json.loads(reply.text)
    return answer


def test_it_begins_at_the_beginning() -> None:
    call = _next()
    assert isinstance(call, ToolCall)
    assert (call.name, dict(call.arguments)) == ("signal_snapshot", {})


def test_it_goes_on_from_what_was_answered() -> None:
    call = _next(*_exchange("signal_snapshot", CALM))
    assert isinstance(call, ToolCall)
    assert (call.name, dict(call.arguments)) == ("anomaly_check", {"signal": "ndcg_at_10"})


def test_it_answers_when_its_steps_are_done_and_cites_the_calls() -> None:
    answer = _next(*_exchange("signal_snapshot", CALM), *_exchange("anomaly_check", QUIET, signal="ndcg_at_10"))
    assert isinstance(answer, dict)
    assert answer["action"] == "noise"
    assert {claim["call"] for claim in answer["claims"]} == {"diagnose/anomaly_check/1"}


def test_it_goes_on_from_results_handed_over_in_the_prompt() -> None:
    results = [
        {"tool": "signal_snapshot", "arguments": {}, "answer": CALM},
        {"tool": "anomaly_check", "arguments": {"signal": "ndcg_at_10"}, "answer": QUIET},
    ]
    prompt = ChatMessage(role="user", content=f"{PROMPT.content}\n\n{block(HELD, {'results': results})}")
    reply = Playbook().complete([prompt], TOOLS, task=TASK)
    assert json.loads(reply.text)["action"] == "noise"


@pytest.mark.parametrize(
    "answer", [{"failed": "no answer"}, {"refused": "denied"}, "Tool not found", "[]", '{"call": 1}']
)
def test_a_needed_tool_without_a_result_leads_to_a_handoff(answer: Any) -> None:
    said = _next(
        *_exchange("signal_snapshot", answer), *_exchange("anomaly_check", {"failed": "x"}, signal="ndcg_at_10")
    )
    assert isinstance(said, dict)
    assert said["action"] == "handoff"
    assert "signal_snapshot" in said["summary"]


def test_without_tools_it_answers_from_what_it_has() -> None:
    answer = _next(*_exchange("signal_snapshot", CALM), tools=[])
    assert isinstance(answer, dict)
    assert answer["action"] == "monitor"


def test_asked_twice_it_says_the_same() -> None:
    messages = [PROMPT, *_exchange("signal_snapshot", CALM)]
    first, second = (Playbook().complete(messages, TOOLS, task=TASK) for _ in range(2))
    assert first == second


def test_it_needs_a_brief() -> None:
    with pytest.raises(DependencyLied, match="no brief"):
        Playbook().complete([ChatMessage(role="user", content="hello")], TOOLS, task=TASK)


def test_it_needs_a_runbook() -> None:
    with pytest.raises(ConfigurationError):
        Playbook().complete([PROMPT], [], task="tea_making")


def test_its_check_loads_every_runbook() -> None:
    assert Playbook().check().startswith(f"playbook: {len(names())} runbooks")


def test_it_costs_nothing_and_says_who_it_is() -> None:
    reply = Playbook().complete([PROMPT], TOOLS, task=TASK)
    assert (reply.model, reply.tokens, reply.cost_usd) == ("playbook", 0, 0.0)
