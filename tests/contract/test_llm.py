"""Chat models, held to their contract."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

from adapters.llm.base import ChatPort, ChatReply, ToolCall
from adapters.llm.memory import ScriptedChat
from adapters.llm.openai import OpenAIChat
from domain.clock import FrozenClock
from tests.contract.llm_contract import ChatContract
from tests.stubs.chat_server import ChatStub


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


class TestOpenAIChat(ChatContract):
    @pytest.fixture
    def chat(self) -> Iterator[Callable[[Mapping[str, Any]], ChatPort]]:
        started: list[ChatStub] = []

        def make(scripted: Mapping[str, Any]) -> ChatPort:
            stub = ChatStub(lambda _messages, _tools: scripted)
            started.append(stub)
            return OpenAIChat(model="stub-1", api_key="k", base_url=stub.start(), clock=FrozenClock())

        yield make
        for stub in started:
            stub.stop()
