"""The belt: the one way from an agent to a tool, and it leads to the door.

`BeltTool` is the only tool class CrewAI sees. It checks nothing and does nothing itself: it hands the call to the
belt, which answers repeats from memory, keeps to the number of calls of the task, and takes the rest through
`Gate.call`. Nothing that CrewAI or one of its hooks does can let a call past the gate, because there is nothing
behind the tool but the gate.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from crewai.tools import BaseTool
from pydantic import PrivateAttr, ValidationError

from agents.blocks import shown
from domain.actor import Actor
from domain.canonical import canonical_hash, json_ready
from domain.untrusted import Untrusted, one_line
from tools.gate import Gate
from tools.outcome import Done, Failed, Outcome, Refused
from tools.tool import Scope

MAX_CALLS = 8
# Lists a model is shown are cut here; the recorded result keeps them whole, and claims are checked against that.
MAX_LISTED = 20
MAX_KEYS = 100
# Arguments longer than this, as JSON, are no question to a tool.
MAX_ARGUMENTS = 20_000
# The same call this often is no work any more.
MAX_REPEATS = 3

_REASON = 600

_ENOUGH = "you have made all the calls of this task; answer now from what you have"
_CLOSED = "the time of this task is over; nothing is called any more"


class Belt:
    """The tools of one agent for one task.

    Args:
        allowed: the names of the tools it may ask for; every other name is refused before the gate is asked.
        limit: how many calls may go to the gate.
        within: the context that traces show the calls in.
    """

    def __init__(
        self,
        gate: Gate,
        actor: Actor,
        scope: Scope,
        allowed: Sequence[str],
        *,
        limit: int = MAX_CALLS,
        within: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        self._gate = gate
        self._actor = actor
        self._scope = scope
        self._allowed = tuple(allowed)
        self._limit = limit
        self._within = within
        self._lock = threading.Lock()
        self._memory: dict[str, str] = {}
        self._asked: dict[str, int] = {}
        self._open = True
        self._made = 0
        self.calls: list[str] = []
        self.results: dict[str, Mapping[str, Any]] = {}
        self.held: list[dict[str, Any]] = []
        self.repeated = 0

    def tools(self) -> list[BaseTool]:
        """Return the tools as CrewAI takes them.

        Raises:
            InvalidInput: one of the names is not in the registry.
        """
        return [BeltTool.of(self, name) for name in self._allowed]

    def functions(self) -> dict[str, dict[str, Any]]:
        """Return the function schemas of the chat completions protocol, by name."""
        return {name: self._function(name) for name in self._allowed}

    def call(self, name: str, args: Mapping[str, Any]) -> str:
        """Answer one call with JSON text: ``{"call", "result"}``, ``{"refused"}`` or ``{"failed"}``."""
        with self._lock:
            if len(_json(args)) > MAX_ARGUMENTS:
                return _json({"refused": f"arguments of more than {MAX_ARGUMENTS} characters are not taken"})
            key = self._key(name, args)
            if key in self._memory:
                return self._again(key)
            refusal = self._refusal(name)
            if refusal:
                return _json({"refused": refusal})
            self._made += 1
            with self._within():
                outcome = self._gate.call(name, args, self._actor, self._scope)
            self._memory[key] = self._told(name, args, outcome)
            self._asked[key] = 1
            return self._memory[key]

    def close(self) -> None:
        """Refuse every further call; those under way end in the gate."""
        self._open = False

    def renew(self) -> None:
        """Give the next task its full number of calls; what is remembered stays."""
        with self._lock:
            self._made = 0
            self._asked = dict.fromkeys(self._asked, 0)

    def _again(self, key: str) -> str:
        self.repeated += 1
        self._asked[key] += 1
        if not self._open:
            return _json({"refused": _CLOSED})
        if self._asked[key] > MAX_REPEATS:
            return _json({"refused": f"you have asked this {self._asked[key]} times; {_ENOUGH}"})
        return self._memory[key]

    def _refusal(self, name: str) -> str:
        if not self._open:
            return _CLOSED
        if name not in self._allowed:
            asked = one_line(name, 60)
            return f"{asked!r} is not a tool of this task; there are: {', '.join(self._allowed) or 'none'}"
        return _ENOUGH if self._made >= self._limit else ""

    def _told(self, name: str, args: Mapping[str, Any], outcome: Outcome) -> str:
        answer = self._answer(name, outcome)
        self.held.append({"tool": name, "arguments": shown(json_ready(args), "a call"), "answer": answer})
        return _json(answer)

    def _answer(self, name: str, outcome: Outcome) -> dict[str, Any]:
        match outcome:
            case Done():
                full = json_ready(outcome.value.model_dump(mode="json"))
                self.calls.append(outcome.call)
                self.results[outcome.call] = full
                return {"call": outcome.call, **_shortened(shown(full, name))}
            # Reasons quote vendors, people and the call itself.
            case Refused():
                return {
                    "refused": f"{outcome.kind}: {Untrusted(text=outcome.reason, source='the door').block(_REASON)}"
                }
            case Failed():
                return {"failed": f"{outcome.error}: {Untrusted(text=outcome.reason, source=name).block(_REASON)}"}

    def _key(self, name: str, args: Mapping[str, Any]) -> str:
        """Equal calls have one key, however their defaults are spelled."""
        if name in self._gate.registry:
            try:
                parsed = self._gate.registry.get(name).input.model_validate(dict(args))
            except ValidationError:
                parsed = None
            if parsed is not None:
                return canonical_hash([name, parsed])
        return canonical_hash([name, args])

    def _function(self, name: str) -> dict[str, Any]:
        tool = self._gate.registry.get(name)
        return {
            "type": "function",
            "function": {
                "name": name,
                "description": tool.spec.summary,
                "parameters": tool.input.model_json_schema(),
            },
        }


class BeltTool(BaseTool):
    """A tool of the registry as CrewAI sees it. Its arguments are validated by the gate, whose refusal says what to
    correct.
    """

    _call: Callable[[str, Mapping[str, Any]], str] = PrivateAttr()

    @classmethod
    def of(cls, belt: Belt, name: str) -> BeltTool:
        """Return the tool `name` of the belt.

        Raises:
            InvalidInput: the registry has no such tool.
        """
        tool = belt._gate.registry.get(name)
        made = cls(name=name, description=tool.spec.summary, args_schema=tool.input, cache_function=never)
        made._call = belt.call
        return made

    def _validate_kwargs(self, kwargs: dict[str, Any]) -> dict[str, Any]:
        return kwargs

    def _run(self, **kwargs: Any) -> str:
        return self._call(self.name, kwargs)


def never(args: Any = None, result: Any = None) -> bool:
    """CrewAI is not to remember anything: the belt does, and counts it."""
    return False


def _json(value: Mapping[str, Any]) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=True)


def _shortened(result: Any) -> dict[str, Any]:
    """Return the result with long lists cut, and how long those were, by their path."""
    lengths: dict[str, int] = {}
    cut = _cut(result, "", lengths)
    return {"result": cut, "shortened": lengths} if lengths else {"result": cut}


def _cut(value: Any, path: str, lengths: dict[str, int]) -> Any:
    if isinstance(value, Mapping):
        if len(value) > MAX_KEYS:
            lengths[path] = len(value)
        kept = list(value.items())[:MAX_KEYS]
        return {key: _cut(item, f"{path}.{key}" if path else str(key), lengths) for key, item in kept}
    if isinstance(value, list):
        if len(value) > MAX_LISTED:
            lengths[path] = len(value)
        return [_cut(item, f"{path}.{i}", lengths) for i, item in enumerate(value[:MAX_LISTED])]
    return value
