"""The chat model port, in the shape of the chat completions protocol.

Contract: one call is one answer or one error of the tree; a reply has text or tool calls, never neither; arguments of
a tool call are parsed JSON objects; tokens are the vendor's count, or None when it does not tell.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from pydantic import BaseModel, ConfigDict, Field


class ToolCall(BaseModel):
    """A call the model asks for."""

    model_config = ConfigDict(frozen=True)

    id: str
    name: str
    arguments: Mapping[str, Any] = Field(default_factory=dict)


class ChatMessage(BaseModel):
    """One message; role ``system``, ``user``, ``assistant`` or ``tool``."""

    model_config = ConfigDict(frozen=True)

    role: str
    content: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str = ""
    name: str = ""


class ChatReply(BaseModel):
    """The model's answer; `model` is what answered, which after a fallback is not what was asked.

    `tokens` is the sum; what of it was asked and what was answered is told where the vendor tells it.
    """

    model_config = ConfigDict(frozen=True)

    text: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    model: str = ""
    tokens: int | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    cost_usd: float = 0.0


class ChatPort(Protocol):
    """Answers messages."""

    name: str

    def complete(
        self,
        messages: Sequence[ChatMessage],
        tools: Sequence[Mapping[str, Any]],
        *,
        task: str,
        answer_schema: Mapping[str, Any] | None = None,
    ) -> ChatReply:
        """Return the next reply. `tools` are function schemas of the chat completions protocol; `task` is the name of
        the task being worked on.

        Raises:
            DependencyUnavailable, DependencyTimeout, DependencyLied: after the retries that are safe.
        """
        ...

    def check(self) -> str:
        """Return one line for `doctor`, or raise a DependencyError."""
        ...


@dataclass(frozen=True)
class AgentTool:
    """A tool of an agent loop: `call` gets parsed arguments and answers with text, and never raises for a bad call."""

    name: str
    description: str
    schema: Mapping[str, Any]
    call: Callable[[Mapping[str, Any]], str]


class AgentAnswer(BaseModel):
    """What an agent loop came to, and what it cost; `calls` are the tools it called, in order."""

    model_config = ConfigDict(frozen=True)

    text: str = ""
    calls: tuple[str, ...] = ()
    model: str = ""
    tokens: int = 0
    cost_usd: float = 0.0


class AgentPort(Protocol):
    """Lets a model call tools until it answers."""

    name: str

    def answer(self, system: str, said: Sequence[ChatMessage], tools: Sequence[AgentTool]) -> AgentAnswer:
        """Return the answer to a conversation.

        Raises:
            DependencyUnavailable, DependencyTimeout, DependencyLied: the model gave none.
            BudgetExhausted: it went on calling tools.
        """
        ...
