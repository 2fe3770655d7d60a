"""The chat completions protocol as we write and read it. Reading is strict: what does not fit is the endpoint's lie."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from adapters.llm.base import ChatMessage, ToolCall
from domain.errors import DependencyLied


class WireFunction(BaseModel):
    model_config = ConfigDict(strict=True)

    name: str
    arguments: str


class WireCall(BaseModel):
    model_config = ConfigDict(strict=True)

    id: str = Field(min_length=1)
    type: Literal["function"] = "function"
    function: WireFunction


class WireMessage(BaseModel):
    model_config = ConfigDict(strict=True)

    content: str | None = None
    tool_calls: list[WireCall] | None = None


class WireChoice(BaseModel):
    model_config = ConfigDict(strict=True)

    message: WireMessage
    finish_reason: str | None = None


class WireUsage(BaseModel):
    model_config = ConfigDict(strict=True)

    prompt_tokens: int = Field(default=0, ge=0)
    completion_tokens: int = Field(default=0, ge=0)


class WireCompletion(BaseModel):
    """What we read of a completion; fields we do not use are not looked at."""

    model_config = ConfigDict(strict=True)

    model: str = ""
    choices: list[WireChoice] = Field(min_length=1)
    usage: WireUsage | None = None


def read_completion(body: bytes, name: str) -> WireCompletion:
    """Parse a response body.

    Raises:
        DependencyLied: it is no completion, or has neither text nor calls.
    """
    try:
        parsed = WireCompletion.model_validate_json(body)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "body"
        raise DependencyLied(name, f"its answer is no chat completion ({place}: {first['msg']})") from error
    message = parsed.choices[0].message
    if not (message.content or "").strip() and not message.tool_calls:
        raise DependencyLied(name, f"its answer is empty (finish reason {parsed.choices[0].finish_reason})")
    return parsed


def read_calls(calls: Sequence[WireCall], tools: Sequence[Mapping[str, Any]], name: str) -> tuple[ToolCall, ...]:
    """Return the calls with parsed arguments.

    Raises:
        DependencyLied: an unknown tool, arguments that are no JSON object, or that do not fit the tool's schema.
    """
    schemas = {tool["function"]["name"]: tool["function"].get("parameters") or {} for tool in tools}
    return tuple(_read_call(call, schemas, name) for call in calls)


def _read_call(call: WireCall, schemas: Mapping[str, Mapping[str, Any]], name: str) -> ToolCall:
    tool = call.function.name
    if tool not in schemas:
        raise DependencyLied(name, f"it called {tool[:80]!r}, which is none of its tools")
    try:
        arguments = json.loads(call.function.arguments or "{}", parse_constant=_no_constant)
    except ValueError as error:
        raise DependencyLied(name, f"its arguments for {tool} are no JSON: {error}") from error
    if not isinstance(arguments, dict):
        raise DependencyLied(name, f"its arguments for {tool} are no JSON object but {type(arguments).__name__}")
    problem = _misfit(arguments, schemas[tool])
    if problem:
        raise DependencyLied(name, f"its arguments for {tool} do not fit: {problem}")
    return ToolCall(id=call.id, name=tool, arguments=arguments)


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is not a JSON number")


def _misfit(arguments: Mapping[str, Any], schema: Mapping[str, Any]) -> str:
    from jsonschema import Draft202012Validator

    for error in Draft202012Validator(schema).iter_errors(arguments):
        return f"{error.json_path}: {error.message[:200]}"
    return ""


def write_message(message: ChatMessage) -> dict[str, Any]:
    """Return a message as the protocol has it."""
    if message.role == "tool":
        return {"role": "tool", "tool_call_id": message.tool_call_id, "content": message.content}
    written: dict[str, Any] = {"role": message.role, "content": message.content}
    if message.tool_calls:
        written["content"] = message.content or None
        written["tool_calls"] = [
            {
                "id": call.id,
                "type": "function",
                "function": {"name": call.name, "arguments": json.dumps(dict(call.arguments), sort_keys=True)},
            }
            for call in message.tool_calls
        ]
    return written
