"""The door. Every effect, asked for by a model or by a stage, goes through `Gate.call`; there is no second path.

    validate -> decide -> record the intent -> act with a permit -> record the outcome

The argument for its safety:

* Nothing acts without a permit (the adapters spend it first), and only `_act` mints one, after the intent was flushed. So an intent that
  cannot be written means no effect, and a policy point that does not say *allow* means no intent.
* An effect is known by its key (cycle, stage, tool, hash of the canonical arguments). A key with a recorded outcome is answered from the
  record. A key with an intent and no outcome was interrupted: the adapter is asked what became of it. `done` closes the intent, `absent`
  lets it be made again, `unknown` stops for a person. So a crash at any instant repeats nothing.
* An exception that is no `EvercrewError` is a defect: it goes up unhandled and leaves the intent open, to be reconciled.
"""

from __future__ import annotations

import contextvars
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeout
from dataclasses import dataclass, replace
from typing import Any, Protocol

from pydantic import BaseModel, ValidationError

from adapters.audit.base import AuditPort
from adapters.store.base import Recording, StorePort
from adapters.traces.base import TracesPort
from domain.actor import Actor
from domain.canonical import canonical_hash, json_ready
from domain.decision import Answer, AuthorizationRequest, Decision, Effect
from domain.errors import (
    AuditUnavailable,
    DependencyError,
    DependencyLied,
    DependencyTimeout,
    EvercrewError,
    InvalidInput,
    OutcomeUnknown,
)
from domain.events import Event, Observer, nobody
from domain.ids import idempotency_key
from domain.observation import Observation, Seen
from domain.permit import PermitOffice
from domain.receipt import AuditEntry, AuditRecord, Receipt, RecordKind
from tools.outcome import Done, Failed, Outcome, Refused
from tools.registry import Registry
from tools.tool import Call, Scope, Tool, ToolSpec

PolicyContext = Mapping[str, bool | int | str]


class Decider(Protocol):
    """The policy decision point."""

    def decide(self, request: AuthorizationRequest) -> Decision: ...


@dataclass(frozen=True)
class _Result:
    """What a tool returned, and the same as plain JSON."""

    value: BaseModel
    plain: dict[str, Any]


@dataclass(frozen=True)
class _Admitted:
    """A call that may be made."""

    tool: Tool[Any, Any]
    args: Any
    args_hash: str
    call: Call
    decision: Decision


class Gate:
    """The one door; see the module's text.

    Args:
        context: facts for the policies (flags, kill switch, approvals, gate verdicts ...) for a scope and a tool.
        observer: told of every answer; it cannot change one.
    """

    def __init__(
        self,
        *,
        registry: Registry,
        pdp: Decider,
        audit: AuditPort,
        store: StorePort,
        office: PermitOffice,
        traces: TracesPort,
        context: Callable[[Scope, ToolSpec, Mapping[str, Any]], PolicyContext],
        observer: Observer = nobody,
    ) -> None:
        self.registry = registry
        self._pdp = pdp
        self._audit = audit
        self._store = store
        self._office = office
        self._traces = traces
        self._context = context
        self._observer = observer
        self._threads = ThreadPoolExecutor(max_workers=8, thread_name_prefix="gate")

    def call(
        self, name: str, args: Mapping[str, Any] | BaseModel, actor: Actor, scope: Scope, *, place: str = ""
    ) -> Outcome:
        """Take one call through the door. `place` names it among calls with the same arguments, e.g. the look of a watch."""
        outcome = self._through(name, args, actor, scope, place)
        self._tell(name, outcome, actor, scope)
        return outcome

    def reconcile(self, scope: Scope, actor: Actor) -> list[Outcome]:
        """Close the cycle's open intents by observing their effects; those found absent stay to be made again by their stage."""
        return [self._reconcile(record, scope, actor) for record in self._audit.open_intents(scope.cycle_id)]

    # -- the five steps ---------------------------------------------------------------------------------------------

    def _through(
        self, name: str, args: Mapping[str, Any] | BaseModel, actor: Actor, scope: Scope, place: str
    ) -> Outcome:
        try:
            tool, parsed = self._validated(name, args)
        except InvalidInput as problem:
            return Refused("unknown_tool" if problem.field == "tool" else "invalid", str(problem), place)
        args_hash = canonical_hash([parsed, place])
        place = call_place(scope.stage, name, args_hash)
        key = idempotency_key(scope.cycle_id, scope.stage, name, args_hash)
        call = Call(scope=scope, actor=actor, key=key, place=place)
        with self._traces.span(name, "tool", parsed.model_dump(mode="json"), cycle_id=scope.cycle_id) as span:
            decision = self._decide(tool.spec, parsed, actor, scope)
            outcome = self._decided(_Admitted(tool, parsed, args_hash, call, decision))
            span.done({"answer": type(outcome).__name__, "policies": list(decision.policies)})
        return outcome

    def _decided(self, admitted: _Admitted) -> Outcome:
        decision, call = admitted.decision, admitted.call
        if not decision.allowed:
            return self._refuse(admitted)
        if admitted.tool.spec.effect is Effect.READ:
            return self._read(admitted)
        try:
            return self._effect(admitted)
        except AuditUnavailable as problem:
            return Refused("audit", f"the record could not be written, so nothing was done: {problem}", call.place)

    def _validated(self, name: str, args: Mapping[str, Any] | BaseModel) -> tuple[Tool[Any, Any], BaseModel]:
        tool = self.registry.get(name)
        remedy = f"See the input schema of {name}"
        try:
            parsed: BaseModel = tool.input.model_validate(args.model_dump() if isinstance(args, BaseModel) else args)
            canonical_hash(parsed)
        except ValidationError as problem:
            first = problem.errors()[0]
            raise InvalidInput(".".join(map(str, first["loc"])) or "arguments", first["msg"], remedy) from None
        except ValueError as problem:
            raise InvalidInput("arguments", f"a number is not finite ({problem})", remedy) from None
        return tool, parsed

    def _decide(self, spec: ToolSpec, args: BaseModel, actor: Actor, scope: Scope) -> Decision:
        try:
            context = self._context(scope, spec, args.model_dump(mode="json"))
            request = AuthorizationRequest(
                actor=actor,
                tool=spec.name,
                effect=spec.effect,
                target=scope.target,
                environment=scope.environment,
                context=context,
            )
            return self._pdp.decide(request)
        except EvercrewError as problem:
            return Decision(answer=Answer.DENY, reason=f"no decision could be had: {problem}")

    def _refuse(self, admitted: _Admitted) -> Refused:
        kind = "escalate" if admitted.decision.answer is Answer.ESCALATE else "denied"
        reason = admitted.decision.reason or "no policy allows it"
        try:
            self._audit.append(self._entry(RecordKind.REFUSAL, admitted, status=kind, body={"reason": reason}))
        except AuditUnavailable as problem:
            return Refused(kind, f"{reason} (and the refusal could not be recorded: {problem})", admitted.call.place)
        return Refused(kind, reason, admitted.call.place)

    def _read(self, admitted: _Admitted) -> Outcome:
        result = self._run(admitted)
        if isinstance(result, Failed):
            return result
        try:
            self._keep(admitted, result)
        except AuditUnavailable as problem:
            return Refused("audit", f"the read could not be recorded: {problem}", admitted.call.place)
        except DependencyError as problem:
            return Failed(type(problem).__name__, f"the read could not be recorded: {problem}", admitted.call.place)
        return Done(result.value, admitted.call.place, self._receipt(admitted))

    def _effect(self, admitted: _Admitted) -> Outcome:
        before = self._outcome_of(admitted)
        if before is not None:
            return before
        intent = self._audit.append(self._entry(RecordKind.INTENT, admitted, body=json_ready({"args": admitted.args})))
        permit = self._office.mint(
            tool=admitted.tool.spec.name,
            effects=admitted.tool.spec.effects,
            args_hash=admitted.args_hash,
            actor=str(admitted.call.actor),
            cycle_id=admitted.call.scope.cycle_id,
            key=admitted.call.key,
        )
        result = self._run(replace(admitted, call=replace(admitted.call, permit=permit)))
        try:
            if isinstance(result, Failed):
                return self._failed(admitted, result, intent, permit.nonce)
            return self._close(admitted, result, intent, permit.nonce)
        except (AuditUnavailable, DependencyError) as problem:
            # The intent stays open: the next call, or the next start, closes it by looking.
            reason = f"{admitted.tool.spec.name} was made, and what came of it could not be recorded: {problem}"
            return Failed(type(problem).__name__, reason, admitted.call.place)

    # -- what may have happened before ------------------------------------------------------------------------------

    def _outcome_of(self, admitted: _Admitted) -> Outcome | None:
        """Answer from the record when this key has an outcome, or from observation when it has an open intent."""
        # A refusal under the same key in between says nothing about an intent that is still open.
        mine = [
            r
            for r in self._audit.records(admitted.call.scope.cycle_id)
            if r.entry.key == admitted.call.key and r.entry.kind in (RecordKind.INTENT, RecordKind.OUTCOME)
        ]
        intents = [r for r in mine if r.entry.kind is RecordKind.INTENT]
        done = next((r for r in reversed(mine) if r.entry.status == "done"), None)
        if done is not None:
            value = admitted.tool.output.model_validate(done.entry.body["result"])
            self._keep(admitted, _Result(value, done.entry.body["result"]))
            permit = str(done.entry.body["permit"])
            receipt = self._receipt(admitted, intent=intents[-1], outcome=done, permit=permit, repeated=True)
            return Done(value, admitted.call.place, receipt)
        if not mine or mine[-1].entry.kind is not RecordKind.INTENT:
            return None
        return self._observed(admitted, mine[-1])

    def _observed(self, admitted: _Admitted, intent: AuditRecord) -> Outcome | None:
        seen, result = self._observe(admitted)
        if result is not None:
            return self._close(admitted, result, intent, "", repeated=True)
        match seen.seen:
            case Seen.ABSENT:
                self._audit.append(
                    self._entry(RecordKind.OUTCOME, admitted, status="absent", body={"detail": seen.detail})
                )
                return None
            case _:
                reason = f"whether {admitted.tool.spec.name} happened cannot be found out: {seen.detail}"
                return Failed("OutcomeUnknown", reason, admitted.call.place, unknown=True)

    def _observe(self, admitted: _Admitted) -> tuple[Observation, _Result | None]:
        """Return what the tool sees of the effect, and its result where it is done and can be read."""
        try:
            seen = admitted.tool.observe(admitted.args, admitted.call)
            if seen.seen is not Seen.DONE:
                return seen, None
            return seen, _result(admitted.tool.output.model_validate(seen.outcome))
        except (EvercrewError, ValueError) as problem:
            return Observation.unknown(str(problem)), None

    def _failed(self, admitted: _Admitted, failure: Failed, intent: AuditRecord, nonce: str) -> Outcome:
        """An error came back; what matters is whether the effect is there."""
        seen, result = self._observe(admitted)
        if result is not None:
            return self._close(admitted, result, intent, nonce)
        if seen.seen is Seen.UNKNOWN or failure.unknown:
            return replace(failure, unknown=True)
        self._audit.append(
            self._entry(
                RecordKind.OUTCOME, admitted, status="failed", body={"error": failure.error, "reason": failure.reason}
            )
        )
        return failure

    def _reconcile(self, record: AuditRecord, scope: Scope, actor: Actor) -> Outcome:
        entry = record.entry
        at_stage = replace(scope, stage=entry.stage)
        tool = self.registry.get(entry.tool)
        args = tool.input.model_validate(entry.body["args"])
        place = call_place(entry.stage, entry.tool, entry.args_hash)
        call = Call(scope=at_stage, actor=actor, key=entry.key, place=place)
        decision = Decision(answer=Answer.ALLOW, policies=entry.policies, policy_hash=entry.policy_hash)
        outcome = self._observed(_Admitted(tool, args, entry.args_hash, call, decision), record)
        return outcome or Refused("absent", f"{entry.tool} had not happened", place)

    # -- helpers ----------------------------------------------------------------------------------------------------

    def _run(self, admitted: _Admitted) -> _Result | Failed:
        spec, place = admitted.tool.spec, admitted.call.place
        context = contextvars.copy_context()
        future = self._threads.submit(context.run, admitted.tool.run, admitted.args, admitted.call)
        try:
            return _result(future.result(timeout=spec.timeout.total_seconds()))
        except FutureTimeout:
            # What never got a thread of its own must not start later, and has surely not happened.
            started = not future.cancel()
            reason = f"{spec.name} took longer than {spec.timeout.total_seconds():g} s"
            return Failed(DependencyTimeout.__name__, reason, place, unknown=started)
        except EvercrewError as problem:
            return Failed(type(problem).__name__, str(problem), place, unknown=isinstance(problem, OutcomeUnknown))

    def _close(
        self, admitted: _Admitted, result: _Result, intent: AuditRecord, nonce: str, *, repeated: bool = False
    ) -> Outcome:
        body = {"result": result.plain, "permit": nonce[:8], "observed": repeated}
        outcome = self._audit.append(self._entry(RecordKind.OUTCOME, admitted, status="done", body=body))
        self._keep(admitted, result)
        receipt = self._receipt(admitted, intent=intent, outcome=outcome, permit=nonce[:8], repeated=repeated)
        return Done(result.value, admitted.call.place, receipt)

    def _keep(self, admitted: _Admitted, result: _Result) -> None:
        """Record the result under its place, so that claims can be checked against it and a replay can be answered by it."""
        args = json_ready({"args": admitted.args})["args"]
        payload = {"tool": admitted.tool.spec.name, "args": args, "result": result.plain}
        self._store.record(
            Recording(cycle_id=admitted.call.scope.cycle_id, place=admitted.call.place, kind="tool", payload=payload)
        )
        if admitted.tool.spec.effect is Effect.READ:
            self._audit.append(
                self._entry(RecordKind.READ, admitted, status="done", body={"result_hash": canonical_hash(payload)})
            )

    def _entry(
        self, kind: RecordKind, admitted: _Admitted, *, status: str = "", body: Mapping[str, Any] | None = None
    ) -> AuditEntry:
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
            body=body or {},
        )

    def _receipt(
        self,
        admitted: _Admitted,
        *,
        intent: AuditRecord | None = None,
        outcome: AuditRecord | None = None,
        permit: str = "",
        repeated: bool = False,
    ) -> Receipt:
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
            repeated=repeated,
        )

    def _tell(self, name: str, outcome: Outcome, actor: Actor, scope: Scope) -> None:
        answer, details = _described(outcome)
        self._observer(
            Event(
                kind="call",
                cycle_id=scope.cycle_id,
                stage=scope.stage,
                who=actor.role.value,
                what=name,
                answer=answer,
                details=details,
            )
        )


def _result(value: BaseModel) -> _Result:
    """Return the result with its plain form.

    Raises:
        DependencyLied: it has none, for a number in it is not finite.
    """
    try:
        return _Result(value, json_ready({"result": value})["result"])
    except ValueError as problem:
        raise DependencyLied(type(value).__name__, f"a number in it is not finite ({problem})") from problem


def call_place(stage: str, tool: str, args_hash: str) -> str:
    """Return where in its cycle a call stands: under it its result is recorded, and claims cite it."""
    return f"{stage}/{tool}/{args_hash[:10]}"


def _described(outcome: Outcome) -> tuple[str, dict[str, Any]]:
    if isinstance(outcome, Done):
        receipt = outcome.receipt
        return "done", {"call": outcome.call, "policies": list(receipt.policies), "repeated": receipt.repeated}
    if isinstance(outcome, Refused):
        return f"refused ({outcome.kind})", {"reason": outcome.reason}
    return f"failed ({outcome.error})", {"reason": outcome.reason}
