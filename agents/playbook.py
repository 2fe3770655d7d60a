"""The playbook: a deterministic chat model that follows the runbooks. It needs no key and no network.

It sees what any model sees, the messages and the tools on offer, and nothing else. Its place in the runbook is worked
out anew from the messages at every call: which tools were called, with which arguments, and what they answered. So it
can take a conversation over from another model at any point, and it can be asked twice.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from adapters.llm.base import ChatMessage, ChatReply, ToolCall
from agents.blocks import BRIEF, CHECK, HELD, PROPOSAL, REASON, read, unmarked
from agents.operator.lead import led
from agents.operator.seats import LEAD
from agents.rules import Facts
from domain.canonical import canonical_hash
from domain.errors import DependencyLied
from prompts import runbook as runbooks
from prompts.runbook import Rule, Runbook, Step

NAME = "playbook"


@dataclass(frozen=True)
class _Answer:
    """What a tool answered: a result with the call it is kept under, or neither."""

    call: str
    result: Mapping[str, Any] | None


class Playbook:
    """Implements the chat port by following the runbook of the task."""

    name = NAME

    def complete(
        self,
        messages: Sequence[ChatMessage],
        tools: Sequence[Mapping[str, Any]],
        *,
        task: str,
        answer_schema: Mapping[str, Any] | None = None,
    ) -> ChatReply:
        """Return the next step of the task's runbook, or its answer.

        Raises:
            DependencyLied: the messages do not hold the blocks a task's prompt holds.
            ConfigurationError: there is no runbook for the task.
        """
        if task == LEAD:
            return led(messages, tools)
        position = _Position(runbooks.runbook(task), messages, _offered(tools))
        call = position.next_call()
        if call is not None:
            return ChatReply(tool_calls=(call,), model=NAME, tokens=0)
        return ChatReply(text=json.dumps(position.answer(), ensure_ascii=False, sort_keys=True), model=NAME, tokens=0)

    def check(self) -> str:
        """Return one line for `doctor`; loading every runbook is the check."""
        books = [runbooks.runbook(name) for name in runbooks.names()]
        return f"{NAME}: {len(books)} runbooks, {sum(len(book.rules) for book in books)} rules"


class _Position:
    """Where a conversation stands in a runbook."""

    def __init__(self, book: Runbook, messages: Sequence[ChatMessage], offered: frozenset[str]) -> None:
        self._book = book
        self._offered = offered
        self._answers = _answers(messages)
        self._known = _blocks(messages)
        self._calls: dict[str, str] = {}
        self._open: ToolCall | None = None
        self._facts = Facts(book, self._known)
        self._known["unanswered"] = []
        for step in book.steps:
            if self._facts.holds(step.when) and not self._take(step):
                break

    def next_call(self) -> ToolCall | None:
        """Return the first call of the runbook that was not made yet and can be."""
        return self._open

    def answer(self) -> dict[str, Any]:
        """Return the answer of the first rule that holds."""
        rule = next((rule for rule in self._book.rules if self._facts.holds(rule.when)), None)
        chosen = rule if isinstance(rule, Rule) else self._book.fallback
        filled: dict[str, Any] = self._facts.fill(chosen.answer)
        claims = self._facts.claims(chosen.claims, self._calls)
        return {**filled, "claims": claims} if chosen.claims else filled

    def _take(self, step: Step) -> bool:
        """Bring the step's result in, or note that it cannot be had; False when its call is the next one to make."""
        args = self._facts.fill(step.args)
        key = _key(step.tool, args)
        if key in self._answers:
            answer = self._answers[key]
            if answer.result is not None:
                self._known[step.id] = answer.result
                self._calls[step.id] = answer.call
                return True
        elif step.tool in self._offered and len(args) == len(step.args):
            self._open = ToolCall(id=f"{step.id}-{key[:8]}", name=step.tool, arguments=args)
            return False
        if step.needed:
            self._known["unanswered"].append(step.tool)
        return True


def _offered(tools: Sequence[Mapping[str, Any]]) -> frozenset[str]:
    return frozenset(str(tool.get("function", {}).get("name", "")) for tool in tools)


def _key(tool: str, args: Mapping[str, Any]) -> str:
    return canonical_hash([tool, args])


def _answers(messages: Sequence[ChatMessage]) -> dict[str, _Answer]:
    """Return what the tools answered, by tool and arguments: from the messages, and from the results handed over in
    the prompt.
    """
    found: dict[str, _Answer] = {}
    for message in messages:
        held = read(message.content, HELD) if message.role == "user" else None
        for item in (held or {}).get("results", []):
            found[_key(item["tool"], item["arguments"])] = _parsed(item["answer"])
    asked = {call.id: call for message in messages for call in message.tool_calls}
    for message in messages:
        call = asked.get(message.tool_call_id) if message.role == "tool" else None
        if call is not None:
            found[_key(call.name, call.arguments)] = _parsed(message.content)
    return found


def _parsed(answer: Any) -> _Answer:
    try:
        value = json.loads(answer) if isinstance(answer, str) else answer
    except json.JSONDecodeError:
        value = None
    match value:
        case {"call": str(call), "result": Mapping() as result}:
            return _Answer(call, unmarked(result))
        case _:
            return _Answer("", None)


def _blocks(messages: Sequence[ChatMessage]) -> dict[str, Any]:
    text = "\n".join(message.content for message in messages if message.role == "user")
    # A co-worker who is asked by the Supervisor has the brief in the instructions, and not in what it is asked.
    brief = read(text, BRIEF) or read("\n".join(m.content for m in messages if m.role == "system"), BRIEF)
    if brief is None:
        raise DependencyLied(NAME, "the conversation holds no brief", "Give it a prompt of the library")
    blocks = {PROPOSAL: read(text, PROPOSAL), CHECK: read(text, CHECK), REASON: read(text, REASON)}
    return {BRIEF: brief, **{label: value for label, value in blocks.items() if value is not None}}
