"""What the door writes down: the audit entry, the receipt and the event of a call. Pure functions."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel

from domain.actor import Actor
from domain.budget import Amounts
from domain.canonical import canonical_hash, canonical_json, json_ready, sha256_text
from domain.decision import Decision, Effect
from domain.errors import DependencyLied
from domain.events import Event
from domain.receipt import AuditEntry, AuditRecord, Receipt, RecordKind
from domain.trace import trace_id_of
from tools.ask import Asked, Grant, PolicyContext, Witnessed
from tools.outcome import Done, Outcome, Refused
from tools.tool import Call, Scope, Tool


@dataclass(frozen=True)
class Answered:
    """What a tool returned, and the same as plain JSON."""

    value: BaseModel
    plain: dict[str, Any]


@dataclass(frozen=True)
class Validated:
    """A tool and arguments that fit it, these as plain JSON too, and their hash at a place."""

    tool: Tool[Any, Any]
    args: BaseModel
    plain: Mapping[str, Any]
    args_hash: str

    @staticmethod
    def of(tool: Tool[Any, Any], args: BaseModel, place: str) -> Validated:
        """Return it; the canonical form of the arguments is computed once, and is the canonical form of `[args, place]`
        with the place behind it.

        Raises:
            ValueError: a number in them is not finite.
        """
        text = canonical_json(args)
        return Validated(tool, args, json.loads(text), sha256_text(f"[{text},{canonical_json(place)}]"))


@dataclass(frozen=True)
class Admitted:
    """A validated call with the decision about it, what it was decided by, and the approval it used.

    `plain_args` are its arguments as plain JSON, where whoever made it has them already.
    """

    tool: Tool[Any, Any]
    args: Any
    args_hash: str
    call: Call
    decision: Decision
    context: PolicyContext = field(default_factory=dict)
    grant: Grant | None = None
    plain_args: Mapping[str, Any] | None = None

    @property
    def plain(self) -> Mapping[str, Any]:
        """The arguments as plain JSON."""
        return self.plain_args if self.plain_args is not None else json_ready({"args": self.args})["args"]

    @property
    def asked(self) -> Asked:
        """The call as an approval is bound to it."""
        return Asked(
            scope=self.call.scope,
            tool=self.tool.spec.name,
            args=self.plain,
            args_hash=self.args_hash,
            actor=self.call.actor,
            policy_hash=self.decision.policy_hash,
            key=self.call.key,
            reason=self.decision.reason,
            effect=self.tool.spec.effect,
            policies=self.decision.policies,
            context=self.context,
        )

    @property
    def price(self) -> Amounts:
        """What the call may cost at most."""
        amounts: Amounts = self.tool.price(self.args)
        return amounts


def trace_of(scope: Scope) -> str:
    """Return the trace that the calls of a cycle, or of another piece of work, are in."""
    return trace_id_of(scope.cycle_id, scope.opened_at)


def call_place(stage: str, tool: str, args_hash: str) -> str:
    """Return where in its cycle a call stands: under it its result is recorded, and claims cite it."""
    return f"{stage}/{tool}/{args_hash[:10]}"


def answered(value: BaseModel) -> Answered:
    """Return the result with its plain form.

    Raises:
        DependencyLied: it has none, for a number in it is not finite.
    """
    try:
        return Answered(value, json_ready({"result": value})["result"])
    except ValueError as problem:
        raise DependencyLied(type(value).__name__, f"a number in it is not finite ({problem})") from problem


def audit_entry(
    kind: RecordKind, admitted: Admitted, *, status: str = "", body: Mapping[str, Any] | None = None
) -> AuditEntry:
    """Return the entry of a call for the chain; a read has no key, for there is nothing to find again."""
    return AuditEntry(
        kind=kind,
        cycle_id=admitted.call.scope.cycle_id,
        stage=admitted.call.scope.stage,
        tool=admitted.tool.spec.name,
        actor=str(admitted.call.actor),
        key=admitted.call.key if admitted.tool.spec.effect is not Effect.READ else "",
        args_hash=admitted.args_hash,
        decision=admitted.decision.answer.value,
        policies=admitted.decision.policies,
        policy_hash=admitted.decision.policy_hash,
        status=status,
        trace_id=trace_of(admitted.call.scope),
        body=body or {},
    )


def intent_body(admitted: Admitted) -> dict[str, Any]:
    """Return what an intent says: the arguments, what it was decided by, who approved it, and what is reserved."""
    body: dict[str, Any] = {"args": admitted.plain, "context_hash": canonical_hash(admitted.context)}
    if admitted.grant is not None:
        body["approval"] = {"id": admitted.grant.approval, "by": list(admitted.grant.approvers)}
    if not admitted.price.nothing:
        body["reserved"] = json_ready(admitted.price.model_dump(exclude_defaults=True))
    return body


def read_body(admitted: Admitted, payload: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a read says of itself: the hash of its recording, and what it was decided by."""
    return {"result_hash": canonical_hash(payload), "context_hash": canonical_hash(admitted.context)}


def receipt_of(
    admitted: Admitted,
    *,
    intent: AuditRecord | None = None,
    outcome: AuditRecord | None = None,
    permit: str = "",
    repeated: bool = False,
) -> Receipt:
    """Return the receipt of a call that happened; a read has neither intent nor outcome.

    Who approved it is what the intent says, so that a repeated call names them too.
    """
    approval = intent.entry.body.get("approval", {}) if intent else {}
    return Receipt(
        tool=admitted.tool.spec.name,
        cycle_id=admitted.call.scope.cycle_id,
        stage=admitted.call.scope.stage,
        actor=str(admitted.call.actor),
        key=admitted.call.key,
        args_hash=admitted.args_hash,
        policies=admitted.decision.policies,
        policy_hash=admitted.decision.policy_hash,
        intent=intent.sequence if intent else None,
        intent_hash=intent.hash if intent else "",
        outcome=outcome.sequence if outcome else None,
        permit=permit,
        approval=str(approval.get("id", "")),
        approvers=tuple(approval.get("by", ())),
        repeated=repeated,
        trace_id=trace_of(admitted.call.scope),
    )


def witnessed(
    name: str,
    args: Mapping[str, Any] | BaseModel,
    actor: Actor,
    scope: Scope,
    place: str,
    outcome: Outcome,
    admitted: Admitted | None,
) -> Witnessed:
    """Return what a witness is told of a call that went through the door."""
    if admitted is None:
        return Witnessed(name, args, actor, scope, place, {}, None, outcome)
    return Witnessed(
        name,
        admitted.args,
        actor,
        scope,
        place,
        admitted.context,
        admitted.decision,
        outcome,
        admitted.args_hash,
        admitted.tool.spec.effect,
    )


def event_of(name: str, outcome: Outcome, actor: Actor, scope: Scope) -> Event:
    """Return what an observer is told of a call that went through the door."""
    answer, details = _described(outcome)
    return Event(
        kind="call",
        cycle_id=scope.cycle_id,
        stage=scope.stage,
        who=actor.role.value,
        what=name,
        answer=answer,
        details=details,
    )


def _described(outcome: Outcome) -> tuple[str, dict[str, Any]]:
    if isinstance(outcome, Done):
        receipt = outcome.receipt
        return "done", {"call": outcome.call, "policies": list(receipt.policies), "repeated": receipt.repeated}
    if isinstance(outcome, Refused):
        return f"refused ({outcome.kind})", {"reason": outcome.reason}
    return f"failed ({outcome.error})", {"reason": outcome.reason}
