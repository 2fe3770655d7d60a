"""What a trace is told of a call at the door: what was asked, what the policies said, which records speak of it."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any

from pydantic import BaseModel

from adapters.traces.base import Span, TracesPort
from domain.receipt import AuditRecord
from domain.trace import DECISION, TOOL, root_place
from tools.outcome import Done, Failed, Outcome, Refused
from tools.records import Admitted
from tools.tool import Call

DOOR = "door"


def call_span(traces: TracesPort, tool: str, args: BaseModel, call: Call) -> AbstractContextManager[Span]:
    """Open the span of a call; where nobody has opened one around it, it stands under the root of its cycle."""
    scope, actor = call.scope, call.actor
    facts = {"stage": scope.stage, "actor": str(actor), "agent": actor.role.value, "place": call.place, "key": call.key}
    root = root_place(scope.cycle_id, scope.opened_at)
    return traces.span(tool, TOOL, {"args": args}, cycle_id=scope.cycle_id, under=root, facts=facts)


def door_span(traces: TracesPort, tool: str, call: Call) -> AbstractContextManager[Span]:
    """Open the span of the decision about a call."""
    scope = call.scope
    asked = {"tool": tool, "actor": str(call.actor), "target": scope.target, "environment": scope.environment}
    return traces.span(DOOR, DECISION, asked, cycle_id=scope.cycle_id)


def weighed(admitted: Admitted) -> dict[str, Any]:
    """Return what the policies said."""
    decision = admitted.decision
    told: dict[str, Any] = {
        "answer": decision.answer.value,
        "policies": list(decision.policies),
        "policy_hash": decision.policy_hash,
        "reason": decision.reason,
    }
    if admitted.grant is not None:
        told["approved_by"] = list(admitted.grant.approvers)
    return told


def came(outcome: Outcome, admitted: Admitted) -> dict[str, Any]:
    """Return what came of the call."""
    told: dict[str, Any] = {"answer": type(outcome).__name__, "policies": list(admitted.decision.policies)}
    match outcome:
        case Done(value, _, receipt):
            return {**told, "result": value, "repeated": receipt.repeated}
        case Refused(kind, reason):
            return {**told, "kind": kind, "reason": reason}
        case Failed(error, reason, _, unknown):
            return {**told, "error": error, "reason": reason, "unknown": unknown}


def linked(record: AuditRecord) -> Mapping[str, Any]:
    """Return the link to a record: by its number and hash it is found in the chain, by its name it is understood."""
    return {"sequence": record.sequence, "hash": record.hash, "kind": record.entry.kind.value}
