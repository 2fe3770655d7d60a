"""`CrewModel`: the one class through which CrewAI's agents think. It adapts CrewAI's model interface to the chat
port.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any

from crewai import BaseLLM
from pydantic import PrivateAttr

from adapters.llm.base import ChatMessage, ChatPort, ChatReply, ToolCall
from adapters.traces.base import TracesPort
from agents.meter import Meter
from agents.playbook import NAME as PLAYBOOK
from domain.errors import BudgetExhausted, EvercrewError
from domain.trace import MODEL

CONTEXT_WINDOW = 128_000
_CHARACTERS_A_TOKEN = 4


class Halted(Exception):
    """CrewAI is to stop; why is in the meter. Its text names no vendor's words, which CrewAI would take as a reason
    to ask again.
    """

    def __init__(self) -> None:
        super().__init__("the model gives no further answer")


@dataclass(frozen=True)
class Seating:
    """What a model needs to know of the agent it thinks for.

    `functions` are the schemas of the tools on offer, by name; `answered` is told of every reply; `within` is the
    context that traces show its calls in.
    """

    chat: ChatPort
    task: str
    schema: Mapping[str, Any]
    functions: Mapping[str, Mapping[str, Any]]
    meter: Meter
    traces: TracesPort
    cycle_id: str
    answered: Callable[[ChatReply], None] = field(default=lambda reply: None)
    within: Callable[[], AbstractContextManager[None]] = nullcontext


class CrewModel(BaseLLM):
    """One agent's model; every agent has an instance of its own, since CrewAI counts tokens on the instance.

    It never lets an error of ours through CrewAI, which would wrap it, retry on words in its text, or print it: the
    error is kept in the meter, and `Halted` ends the crew.
    """

    _seating: Seating = PrivateAttr()

    @classmethod
    def of(cls, seating: Seating) -> CrewModel:
        """Return a model for one agent and one task."""
        made = cls(model=seating.chat.name, provider="evercrew")
        made._seating = seating
        return made

    def call(
        self,
        messages: str | list[Any],
        tools: list[dict[str, Any]] | None = None,
        callbacks: list[Any] | None = None,
        available_functions: dict[str, Any] | None = None,
        from_task: Any | None = None,
        from_agent: Any | None = None,
        response_model: type[Any] | None = None,
    ) -> str | list[dict[str, Any]]:
        """Return the answer's text, or the tool calls it asks for.

        Raises:
            Halted: there is no answer; the reason is in the meter.
        """
        reply = self._reply(read_messages(messages), self._functions(tools))
        if isinstance(reply, EvercrewError):
            self._seating.meter.stop(reply)
            raise Halted
        if reply.tool_calls:
            return [_written(call) for call in reply.tool_calls]
        # CrewAI takes an empty answer for a failure of its own; this one fails validation and is asked for once more.
        return reply.text or "(no answer)"

    async def acall(self, *args: Any, **kwargs: Any) -> str | list[dict[str, Any]]:
        """Return what `call` returns; CrewAI awaits it only in flows, which the crews do not use."""
        return self.call(*args, **kwargs)

    def supports_function_calling(self) -> bool:
        return True

    def supports_stop_words(self) -> bool:
        return False

    def get_context_window_size(self) -> int:
        return CONTEXT_WINDOW

    def get_input_tokens_count(self, messages: Any, tools: Any = None, response_model: Any = None) -> int:
        return len(str(messages)) // _CHARACTERS_A_TOKEN

    def _functions(self, tools: list[dict[str, Any]] | None) -> list[Mapping[str, Any]]:
        """Return our schemas of the tools CrewAI offers: its own make every optional argument required."""
        offered = [str(tool.get("function", {}).get("name", "")) for tool in tools or ()]
        return [self._seating.functions[name] for name in offered if name in self._seating.functions]

    def _reply(
        self, messages: Sequence[ChatMessage], functions: Sequence[Mapping[str, Any]]
    ) -> ChatReply | EvercrewError:
        seat = self._seating
        call = seat.meter.begin(_estimate(messages))
        if isinstance(call, EvercrewError):
            return call
        try:
            shown = {"messages": tuple(messages), "tools": [str(f["function"]["name"]) for f in functions]}
            with seat.within(), seat.traces.span(seat.task, MODEL, shown, cycle_id=seat.cycle_id) as span:
                with seat.meter.active():
                    reply = seat.chat.complete(
                        messages, functions, task=seat.task, answer_schema=None if functions else seat.schema
                    )
                span.done({"text": reply.text, "model": reply.model, "calls": reply.tool_calls})
                span.tell(usage=_usage(seat.chat.name, reply))
        except EvercrewError as problem:
            seat.meter.failed(call, problem)
            return problem
        stopped = seat.meter.count(reply, _estimate(messages, reply.text), call)
        seat.answered(reply)
        if reply.tool_calls and not functions:
            return BudgetExhausted(f"{reply.model} asked for tools when it had to answer ({seat.task})")
        return stopped or reply


def read_messages(messages: str | Sequence[Mapping[str, Any]]) -> list[ChatMessage]:
    """Return CrewAI's messages as the chat port's."""
    if isinstance(messages, str):
        return [ChatMessage(role="user", content=messages)]
    return [
        ChatMessage(
            role=str(message["role"]),
            content=_text(message.get("content")),
            tool_calls=tuple(_read_call(call) for call in message.get("tool_calls") or ()),
            tool_call_id=str(message.get("tool_call_id") or ""),
            name=str(message.get("name") or ""),
        )
        for message in messages
    ]


def _text(content: Any) -> str:
    if isinstance(content, list):
        return "\n".join(str(part.get("text", "")) for part in content if isinstance(part, Mapping))
    return str(content) if content else ""


def _read_call(call: Mapping[str, Any]) -> ToolCall:
    function = call["function"]
    try:
        arguments = json.loads(function["arguments"] or "{}")
    except json.JSONDecodeError:
        arguments = {}
    return ToolCall(
        id=str(call["id"]), name=str(function["name"]), arguments=arguments if isinstance(arguments, dict) else {}
    )


def _written(call: ToolCall) -> dict[str, Any]:
    arguments = json.dumps(dict(call.arguments), sort_keys=True)
    return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": arguments}}


def _usage(asked: str, reply: ChatReply) -> dict[str, Any]:
    """Return what a reply used, as traces tell it; vendors that tell no tokens are not guessed for."""
    return {
        "asked": asked,
        "model": reply.model,
        "provider": "evercrew" if reply.model == PLAYBOOK else "openai",
        "input_tokens": reply.prompt_tokens,
        "output_tokens": reply.completion_tokens,
        "total_tokens": reply.tokens,
        "cost_usd": reply.cost_usd,
    }


def _estimate(messages: Sequence[ChatMessage], answer: str = "") -> int:
    asked = sum(len(message.content) + len(str(message.tool_calls)) for message in messages)
    return (asked + len(answer)) // _CHARACTERS_A_TOKEN
