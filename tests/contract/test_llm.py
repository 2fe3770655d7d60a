"""Chat models, held to their contract."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from adapters.llm.base import ChatPort, ChatReply, ToolCall
from adapters.llm.memory import ScriptedChat
from tests.contract.llm_contract import ChatContract


class TestScriptedChat(ChatContract):
    @pytest.fixture
    def chat(self) -> Callable[[Mapping[str, Any]], ChatPort]:
        def make(scripted: Mapping[str, Any]) -> ChatPort:
            calls = tuple(
                ToolCall(id=f"c{place}", name=call["name"], arguments=call["arguments"])
                for place, call in enumerate(scripted.get("tool_calls", []))
            )
            reply = ChatReply(text=scripted.get("content", ""), tool_calls=calls)
            return ScriptedChat(lambda _messages, _tools, _task: reply)

        return make
