"""The diagnosis crew's work without CrewAI: the same prompts, tools and checks, one message after another."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from adapters.llm.base import ChatMessage, ChatReply
from agents.playbook import Playbook
from crews.diagnosis import QUESTION, check_diagnosis
from domain.diagnosis import Diagnosis
from evals.attack_channels import Sight, alert_text

MOST_MOVES = 20


@dataclass(frozen=True)
class Decision:
    """What the diagnosis decides: everything of it that effects follow from."""

    action: str
    root_cause: str
    tuning: str
    suspect: str
    restore: str
    carried: bool
    refused: tuple[str, ...]


def decided(seen: Sight) -> Decision:
    """Let the runbooks' model work the diagnosis through, and return what it decides.

    Raises:
        EvercrewError: it could not.
    """
    messages = [ChatMessage(role="user", content=alert_text(seen.brief))]
    refused: list[str] = []
    offered = list(seen.belt.functions().values())
    for _ in range(MOST_MOVES):
        reply = Playbook().complete(messages, offered, task=QUESTION.propose)
        if not reply.tool_calls:
            return _decision(seen, reply, refused)
        messages.append(ChatMessage(role="assistant", content="", tool_calls=reply.tool_calls))
        for call in reply.tool_calls:
            answer = seen.belt.call(call.name, call.arguments)
            refused += [call.name] if "result" not in json.loads(answer) else []
            messages.append(ChatMessage(role="tool", content=answer, tool_call_id=call.id, name=call.name))
    return Decision("none", "", "", "", "", carried=False, refused=tuple(refused))


def _decision(seen: Sight, reply: ChatReply, refused: Sequence[str]) -> Decision:
    said = Diagnosis.model_validate_json(reply.text)
    report = check_diagnosis(said, seen.brief, seen.belt.results)
    return Decision(
        said.action.value,
        said.root_cause.value,
        json.dumps(dict(said.tuning), sort_keys=True),
        said.suspect_digest or "",
        said.restore_revision or "",
        report.ok,
        tuple(refused),
    )
