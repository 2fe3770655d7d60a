"""A chat model that answers by a function, in the process."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from adapters.llm.base import ChatMessage, ChatReply
from domain.errors import DependencyLied

Answer = Callable[[Sequence[ChatMessage], Sequence[Mapping[str, Any]], str], ChatReply]


class ScriptedChat:
    """A `ChatPort` for tests and embedding: `answer` gets messages, tools and the task's name. It raises what it
    likes.
    """

    def __init__(self, answer: Answer, name: str = "scripted") -> None:
        self._answer = answer
        self.name = name

    def complete(
        self,
        messages: Sequence[ChatMessage],
        tools: Sequence[Mapping[str, Any]],
        *,
        task: str,
        answer_schema: Mapping[str, Any] | None = None,
    ) -> ChatReply:
        """See `ChatPort.complete`."""
        reply = self._answer(messages, tools, task)
        if not reply.text and not reply.tool_calls:
            raise DependencyLied("model", f"{self.name} answered neither text nor calls")
        return reply.model_copy(update={"model": reply.model or self.name})

    def check(self) -> str:
        """See `ChatPort.check`."""
        return f"model: {self.name}, in this process"
