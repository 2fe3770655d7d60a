"""The chat model port, in the shape of the chat completions protocol.

Contract: one call is one answer or one error of the tree; a reply has text or tool calls, never neither; arguments of
a tool call are parsed JSON objects; tokens are the vendor's count, or None when it does not tell.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
    """The model's answer; `model` is what answered, which after a fallback is not what was asked."""

    model_config = ConfigDict(frozen=True)

    text: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    model: str = ""
    tokens: int | None = None
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
