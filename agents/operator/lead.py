"""The playbook's Supervisor: asks every specialist once, in order, and puts together what they answered.

Like the rest of the playbook it works out where it stands from the messages alone, so it can take over from a model in
the middle of a conversation.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from adapters.llm.base import ChatMessage, ChatReply, ToolCall
from agents.operator.seats import TASKS
from domain.finding import Finding

NAME = "playbook"
DELEGATE = "delegate_work_to_coworker"
_MOST_CLAIMS = 12
_LONGEST = 2000


def led(messages: Sequence[ChatMessage], tools: Sequence[Mapping[str, Any]]) -> ChatReply:
    """Return the next delegation, or the answer once everybody was asked."""
    offered = {str(tool.get("function", {}).get("name", "")) for tool in tools}
    asked = {call.id: str(call.arguments.get("coworker", "")) for m in messages for call in m.tool_calls}
    waiting = [role for role in TASKS if role.label not in asked.values()]
    if waiting and DELEGATE in offered:
        arguments = {
            "coworker": waiting[0].label,
            "task": "Look for what bears on the operator's question in your brief, and answer as you are told there.",
            "context": "The question and the brief stand in your instructions.",
        }
        call = ToolCall(id=f"ask-{waiting[0].value}", name=DELEGATE, arguments=arguments)
        return ChatReply(tool_calls=(call,), model=NAME, tokens=0)
    answers = {asked[m.tool_call_id]: m.content for m in messages if m.role == "tool" and m.tool_call_id in asked}
    whole = merged({who: finding_of(text) for who, text in answers.items()})
    return ChatReply(text=whole.model_dump_json(), model=NAME, tokens=0)


def finding_of(text: str) -> Finding | None:
    """Return the finding that an answer consists of, or None."""
    try:
        return Finding.model_validate(json.loads(text))
    except ValueError:
        return None


def merged(found: Mapping[str, Finding | None]) -> Finding:
    """Return what several found as one finding: their claims, their summaries, and what nobody could tell."""
    known = [finding for finding in found.values() if finding is not None]
    claims = [claim for finding in known for claim in finding.claims]
    silent = [f"{who} came to no answer" for who, finding in found.items() if finding is None]
    gaps = [*(gap for finding in known for gap in finding.unknown), *silent]
    summary = " ".join(finding.summary for finding in known) or "Nobody could tell."
    return Finding(
        summary=summary[:_LONGEST],
        claims=tuple(dict.fromkeys(claims))[: 2 * _MOST_CLAIMS],
        unknown=tuple(dict.fromkeys(gaps))[:_MOST_CLAIMS],
    )
