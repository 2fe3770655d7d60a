"""A chat completions endpoint over real HTTP, scripted, and able to misbehave in every way the client must survive.

    with ChatStub(lambda messages, tools: {"content": "hello"}) as base_url: ...
    with ChatStub(misbehaviour=Misbehaviour.HANG) as base_url: ...
    stub = ChatStub(script, misbehaviour="status_500", after=2, times=3); base_url = stub.start(); ...; stub.stop()

A script gets the messages and tools of the request as they came over the wire and returns ``{"content": str}`` or
``{"tool_calls": [{"name": str, "arguments": dict}]}``. `after` requests are answered well before it misbehaves, and
it does so `times` times (always, when None). With `drip`, bodies come a byte at a time, so many seconds apart.
`requests` holds the bodies of all completions asked for.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from enum import StrEnum
from types import TracebackType
from typing import Any

from tests.stubs.small_server import Asked, Said, SmallServer, said

Script = Callable[[Sequence[Mapping[str, Any]], Sequence[Mapping[str, Any]]], Mapping[str, Any]]


class Misbehaviour(StrEnum):
    """What an endpoint may do to us."""

    MALFORMED_JSON = "malformed_json"
    UNKNOWN_TOOL = "unknown_tool"
    WRONG_TYPES = "wrong_types"
    EMPTY = "empty"
    ENDLESS_TOOL_CALLS = "endless_tool_calls"
    STATUS_429 = "status_429"
    STATUS_500 = "status_500"
    HANG = "hang"
    CLAIMS_SUCCESS = "claims_success"


CLAIM = "Everything is fixed and promoted. No further action is needed."


def says(text: str) -> Script:
    """Return the script that always gives this text."""
    return lambda _messages, _tools: {"content": text}


class ChatStub:
    """The endpoint; serves from `start` until `stop`."""

    def __init__(
        self,
        script: Script | None = None,
        *,
        misbehaviour: Misbehaviour | str | None = None,
        after: int = 0,
        times: int | None = None,
        retry_after: str | None = None,
        drip: float = 0.0,
    ) -> None:
        self.drip = drip
        self._script = script or says("ok")
        self._misbehaviour = None if misbehaviour is None else Misbehaviour(misbehaviour)
        self._after = after
        self._times = times
        self._retry_after = retry_after
        self._lock = threading.Lock()
        self._server = SmallServer(self._served)
        self.requests: list[dict[str, Any]] = []

    def start(self) -> str:
        """Serve in a thread and return the base URL, ``http://127.0.0.1:PORT/v1``."""
        return f"{self._server.start()}/v1"

    def stop(self) -> None:
        """Stop serving; requests that hang are let go."""
        self._server.stop()

    def __enter__(self) -> str:
        return self.start()

    def __exit__(self, _k: type[BaseException] | None, _e: BaseException | None, _t: TracebackType | None) -> None:
        self.stop()

    def _served(self, request: Asked) -> Said:
        if (request.method, request.path) == ("GET", "/v1/models"):
            return said({"object": "list", "data": [{"id": "stub-1", "object": "model"}]})
        if (request.method, request.path) != ("POST", "/v1/chat/completions"):
            return said({"error": {"message": "no such path"}}, 404)
        status, headers, body = self.answer(request.json())
        return replace(said(body, status), headers=headers, drip=self.drip)

    def answer(self, request: dict[str, Any]) -> tuple[int, dict[str, str], dict[str, Any]]:
        """Return status, headers and body for a completion request."""
        with self._lock:
            number = len(self.requests)
            self.requests.append(request)
        messages, tools = request.get("messages", []), request.get("tools", [])
        misbehaving = number >= self._after and (self._times is None or number < self._after + self._times)
        if self._misbehaviour is None or not misbehaving:
            return 200, {}, completion(self._script(messages, tools), number)
        return self._misbehave(self._misbehaviour, tools, number)

    def _misbehave(
        self, how: Misbehaviour, tools: Sequence[Mapping[str, Any]], number: int
    ) -> tuple[int, dict[str, str], dict[str, Any]]:
        match how:
            case Misbehaviour.STATUS_429:
                headers = {} if self._retry_after is None else {"Retry-After": self._retry_after}
                return 429, headers, {"error": {"message": "slow down", "type": "rate_limit"}}
            case Misbehaviour.STATUS_500:
                return 500, {}, {"error": {"message": "broken", "type": "server_error"}}
            case Misbehaviour.HANG:
                self._server.stopping.wait(60)
                return 500, {}, {}
            case Misbehaviour.CLAIMS_SUCCESS:
                return 200, {}, completion({"content": CLAIM}, number)
            case _:
                return 200, {}, completion(bad_content(how, tools), number)


def bad_content(how: Misbehaviour, tools: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    """Return the scripted form of a bad answer, fitted to the tools on offer."""
    function = tools[0]["function"] if tools else None
    if how is Misbehaviour.EMPTY:
        return {"content": ""}
    if how is Misbehaviour.UNKNOWN_TOOL:
        return {"tool_calls": [{"name": "delete_everything", "arguments": {}}]}
    if how is Misbehaviour.MALFORMED_JSON:
        broken = '{"action": "retrain", '
        return {"tool_calls": [{"name": function["name"], "arguments": broken}]} if function else {"content": broken}
    if how is Misbehaviour.WRONG_TYPES:
        if function is None:
            return {"content": 42}
        wrong = {name: [[None]] for name in function.get("parameters", {}).get("properties", {})}
        return {"tool_calls": [{"name": function["name"], "arguments": wrong or "[1, 2]"}]}
    if function is None:
        return {"content": "I need to look further."}
    schema = function.get("parameters", {})
    return {"tool_calls": [{"name": function["name"], "arguments": example(schema, schema)}]}


def example(schema: Mapping[str, Any], root: Mapping[str, Any]) -> Any:
    """Return the smallest value that fits a JSON schema of the kind pydantic writes."""
    if "$ref" in schema:
        found: Any = root
        for part in schema["$ref"].removeprefix("#/").split("/"):
            found = found[part]
        return example(found, root)
    for choice in ("anyOf", "oneOf", "allOf"):
        if schema.get(choice):
            return example(schema[choice][0], root)
    if "const" in schema or "enum" in schema:
        return schema.get("const", (schema.get("enum") or [None])[0])
    if "default" in schema:
        return schema["default"]
    match schema.get("type"):
        case "object":
            fields = schema.get("properties", {})
            return {name: example(fields[name], root) for name in schema.get("required", []) if name in fields}
        case "array":
            return [example(schema.get("items", {}), root)] * int(schema.get("minItems", 0))
        case "integer" | "number":
            return schema.get("minimum", 1)
        case "boolean":
            return False
        case "null":
            return None
        case _:
            return "x" * max(1, int(schema.get("minLength", 1)))


def completion(reply: Mapping[str, Any], number: int) -> dict[str, Any]:
    """Return a scripted reply as the protocol has it; arguments given as a string go out as they are."""
    calls = [
        {
            "id": f"call_{number}_{place}",
            "type": "function",
            "function": {
                "name": call["name"],
                "arguments": call["arguments"] if isinstance(call["arguments"], str) else json.dumps(call["arguments"]),
            },
        }
        for place, call in enumerate(reply.get("tool_calls", []))
    ]
    message: dict[str, Any] = {"role": "assistant", "content": reply.get("content")}
    if calls:
        message["tool_calls"] = calls
    return {
        "id": f"chatcmpl-{number}",
        "object": "chat.completion",
        "created": 0,
        "model": "stub-1",
        "choices": [{"index": 0, "message": message, "finish_reason": "tool_calls" if calls else "stop"}],
        "usage": {"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120},
    }
