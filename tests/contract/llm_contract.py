"""What every chat model has to hold to."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from adapters.llm.base import ChatMessage, ChatPort

TOOL: dict[str, Any] = {
    "type": "function",
    "function": {
        "name": "query_metric",
        "description": "Read a metric.",
        "parameters": {
            "type": "object",
            "properties": {"name": {"type": "string"}, "window_s": {"type": "number"}},
            "required": ["name"],
        },
    },
}
ASKED = [ChatMessage(role="system", content="You are an analyst."), ChatMessage(role="user", content="What is wrong?")]


class ChatContract:
    """A vendor gives `chat`: makes a model that answers what it is handed, as ``{"content"}`` or ``{"tool_calls"}``."""

    @pytest.fixture
    def chat(self) -> Callable[[Mapping[str, Any]], ChatPort]:
        raise NotImplementedError

    def test_text_comes_back_as_text(self, chat: Callable[[Mapping[str, Any]], ChatPort]) -> None:
        model = chat({"content": "Nothing: ✓"})
        reply = model.complete(ASKED, [], task="diagnosis")
        assert (reply.text, reply.tool_calls) == ("Nothing: ✓", ())
        assert reply.model == model.name

    def test_a_tool_call_comes_back_parsed(self, chat: Callable[[Mapping[str, Any]], ChatPort]) -> None:
        model = chat({"tool_calls": [{"name": "query_metric", "arguments": {"name": "ndcg_at_10", "window_s": 60}}]})
        (call,) = model.complete(ASKED, [TOOL], task="diagnosis").tool_calls
        assert call.name == "query_metric"
        assert dict(call.arguments) == {"name": "ndcg_at_10", "window_s": 60}
        assert call.id

    def test_several_calls_keep_their_order_and_have_identities_of_their_own(
        self, chat: Callable[[Mapping[str, Any]], ChatPort]
    ) -> None:
        names = ["a", "b", "c"]
        model = chat({"tool_calls": [{"name": "query_metric", "arguments": {"name": name}} for name in names]})
        calls = model.complete(ASKED, [TOOL], task="diagnosis").tool_calls
        assert [call.arguments["name"] for call in calls] == names
        assert len({call.id for call in calls}) == 3

    def test_a_conversation_with_tool_results_goes_on(self, chat: Callable[[Mapping[str, Any]], ChatPort]) -> None:
        model = chat({"tool_calls": [{"name": "query_metric", "arguments": {"name": "ndcg_at_10"}}]})
        first = model.complete(ASKED, [TOOL], task="diagnosis")
        told = [
            *ASKED,
            ChatMessage(role="assistant", tool_calls=first.tool_calls),
            ChatMessage(role="tool", content='{"value": 0.31}', tool_call_id=first.tool_calls[0].id),
        ]
        assert model.complete(told, [TOOL], task="diagnosis").tool_calls

    def test_check_says_what_it_is(self, chat: Callable[[Mapping[str, Any]], ChatPort]) -> None:
        model = chat({"content": "ok"})
        assert model.check().startswith(f"model: {model.name}")
