"""Chat models on tape: one that records what it answers, and one that answers from the record."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from typing import Any

from adapters.llm.base import ChatMessage, ChatPort, ChatReply, ToolCall
from cycles.playback import Playback
from cycles.tape import current
from domain.canonical import canonical_hash
from domain.errors import EvercrewError
from domain.tape import TapedReply, told_problem

_fallbacks: ContextVar[list[str] | None] = ContextVar("fallbacks", default=None)
# Enough of a hash to tell two prompts apart.
_ASKED = 16


def fell_back(reason: str) -> None:
    """Note that another model stepped in for the answer that is under way."""
    reasons = _fallbacks.get()
    if reasons is not None:
        reasons.append(reason)


def asked_hash(messages: Sequence[ChatMessage], tools: Sequence[Mapping[str, Any]], task: str) -> str:
    """Return the start of the hash of what a model is shown."""
    return canonical_hash([list(messages), list(tools), task])[:_ASKED]


class TapedChat:
    """A `ChatPort` whose answers, and failures, go on the tape of the step that asks."""

    def __init__(self, chat: ChatPort) -> None:
        self._chat = chat
        self.name = chat.name

    def complete(
        self,
        messages: Sequence[ChatMessage],
        tools: Sequence[Mapping[str, Any]],
        *,
        task: str,
        answer_schema: Mapping[str, Any] | None = None,
    ) -> ChatReply:
        """See `ChatPort.complete`."""
        tape = current()
        if tape is None:
            return self._chat.complete(messages, tools, task=task, answer_schema=answer_schema)
        taped = TapedReply(chat=self.name, task=task, asked=asked_hash(messages, tools, task))
        reasons: list[str] = []
        token = _fallbacks.set(reasons)
        try:
            reply = self._chat.complete(messages, tools, task=task, answer_schema=answer_schema)
        except EvercrewError as problem:
            tape.replied(taped.model_copy(update={"problem": told_problem(problem)}))
            raise
        finally:
            _fallbacks.reset(token)
        tape.replied(taped.model_copy(update={**_plain(reply), "fell_back": tuple(reasons)}))
        return reply

    def check(self) -> str:
        """See `ChatPort.check`."""
        return self._chat.check()


class ReplayChat:
    """A `ChatPort` that answers what was answered then; `told` hears why another model had stepped in."""

    def __init__(self, playback: Playback, told: Callable[[str], None]) -> None:
        self._playback = playback
        self._told = told
        self.name = playback.chat_name()

    def complete(
        self,
        messages: Sequence[ChatMessage],
        tools: Sequence[Mapping[str, Any]],
        *,
        task: str,
        answer_schema: Mapping[str, Any] | None = None,
    ) -> ChatReply:
        """See `ChatPort.complete`."""
        reply = self._playback.reply(asked_hash(messages, tools, task), task)
        for reason in reply.fell_back:
            self._told(reason)
        return ChatReply(
            text=reply.text,
            tool_calls=tuple(ToolCall.model_validate(call) for call in reply.tool_calls),
            model=reply.model,
            tokens=reply.tokens,
            cost_usd=reply.cost_usd,
        )

    def check(self) -> str:
        """See `ChatPort.check`."""
        return f"{self.name}: as recorded"


class AnsweringAnew:
    """A `ChatPort` that is really asked, until what it wants to know is not on record."""

    def __init__(self, chat: ChatPort, playback: Playback) -> None:
        self._chat = chat
        self._playback = playback
        self.name = chat.name

    def complete(
        self,
        messages: Sequence[ChatMessage],
        tools: Sequence[Mapping[str, Any]],
        *,
        task: str,
        answer_schema: Mapping[str, Any] | None = None,
    ) -> ChatReply:
        """See `ChatPort.complete`."""
        self._playback.still(task)
        return self._chat.complete(messages, tools, task=task, answer_schema=answer_schema)

    def check(self) -> str:
        """See `ChatPort.check`."""
        return self._chat.check()


def _plain(reply: ChatReply) -> dict[str, Any]:
    plain = reply.model_dump(mode="json")
    return {**plain, "tool_calls": tuple(plain["tool_calls"])}
