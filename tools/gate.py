"""The door. Every effect, asked for by a model or by a stage, goes through `Gate.call`; there is no second path.

    validate -> decide -> record the intent -> act with a permit -> record the outcome

The argument for its safety:

* Nothing acts without a permit (the adapters spend it first), and only `_effect` mints one, after the intent was
  flushed. So an intent that cannot be written means no effect, and a policy point that does not say *allow* means no
  intent.
* An effect is known by its key (cycle, stage, tool, hash of the canonical arguments). A key with a recorded outcome is
  answered from the record. A key with an intent and no outcome was interrupted: the adapter is asked what became of it.
  `done` closes the intent, `absent` lets it be made again, `unknown` stops for a person. So a crash at any instant
  repeats nothing.
* An exception that is no `EvercrewError` is a defect: it goes up unhandled and leaves the intent open, to be
  reconciled.
"""

from __future__ import annotations

import contextvars
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeout
from dataclasses import replace
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
    DependencyTimeout,
    EvercrewError,
    InvalidInput,
    OutcomeUnknown,
)
from domain.events import Observer, nobody
from domain.ids import idempotency_key
from domain.observation import Observation, Seen
from domain.permit import PermitOffice
from domain.receipt import AuditRecord, RecordKind
from tools.outcome import Done, Failed, Outcome, Refused
from tools.records import Admitted, Answered, answered, audit_entry, call_place, event_of, receipt_of
from tools.registry import Registry
from tools.tool import Call, Scope, Tool, ToolSpec

PolicyContext = Mapping[str, bool | int | str]


class Decider(Protocol):
    """The policy decision point."""

    def decide(self, request: AuthorizationRequest) -> Decision: ...


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
        """Take one call through the door.

        `place` names it among calls with the same arguments, e.g. the look of a watch.
        """
        outcome = self._through(name, args, actor, scope, place)
        self._observer(event_of(name, outcome, actor, scope))
        return outcome

    def reconcile(self, scope: Scope, actor: Actor) -> list[Outcome]:
        """Close the cycle's open intents by observing their effects.

        Those found absent stay to be made again by their stage.
        """
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
            decision = self._decide(tool, parsed, actor, scope)
            outcome = self._decided(Admitted(tool, parsed, args_hash, call, decision))
            span.done({"answer": type(outcome).__name__, "policies": list(decision.policies)})
        return outcome

    def _decided(self, admitted: Admitted) -> Outcome:
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

    def _decide(self, tool: Tool[Any, Any], args: BaseModel, actor: Actor, scope: Scope) -> Decision:
        spec = tool.spec
        try:
            context = {**tool.facts(args), **self._context(scope, spec, args.model_dump(mode="json"))}
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

    def _refuse(self, admitted: Admitted) -> Refused:
        kind = "escalate" if admitted.decision.answer is Answer.ESCALATE else "denied"
        reason = admitted.decision.reason or "no policy allows it"
        try:
            self._audit.append(audit_entry(RecordKind.REFUSAL, admitted, status=kind, body={"reason": reason}))
        except AuditUnavailable as problem:
            return Refused(kind, f"{reason} (and the refusal could not be recorded: {problem})", admitted.call.place)
        return Refused(kind, reason, admitted.call.place)

    def _read(self, admitted: Admitted) -> Outcome:
        result = self._run(admitted)
        if isinstance(result, Failed):
            return result
        try:
            self._keep(admitted, result)
        except AuditUnavailable as problem:
            return Refused("audit", f"the read could not be recorded: {problem}", admitted.call.place)
        except DependencyError as problem:
            return Failed(type(problem).__name__, f"the read could not be recorded: {problem}", admitted.call.place)
        return Done(result.value, admitted.call.place, receipt_of(admitted))

    def _effect(self, admitted: Admitted) -> Outcome:
        before = self._outcome_of(admitted)
        if before is not None:
            return before
        intent = self._audit.append(audit_entry(RecordKind.INTENT, admitted, body=json_ready({"args": admitted.args})))
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

    def _outcome_of(self, admitted: Admitted) -> Outcome | None:
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
            self._keep(admitted, Answered(value, done.entry.body["result"]))
            permit = str(done.entry.body["permit"])
            receipt = receipt_of(admitted, intent=intents[-1], outcome=done, permit=permit, repeated=True)
            return Done(value, admitted.call.place, receipt)
        if not mine or mine[-1].entry.kind is not RecordKind.INTENT:
            return None
        return self._observed(admitted, mine[-1])

    def _observed(self, admitted: Admitted, intent: AuditRecord) -> Outcome | None:
        seen, result = self._observe(admitted)
        if result is not None:
            return self._close(admitted, result, intent, "", repeated=True)
        match seen.seen:
            case Seen.ABSENT:
                self._audit.append(
                    audit_entry(RecordKind.OUTCOME, admitted, status="absent", body={"detail": seen.detail})
                )
                return None
            case _:
                reason = f"whether {admitted.tool.spec.name} happened cannot be found out: {seen.detail}"
                return Failed("OutcomeUnknown", reason, admitted.call.place, unknown=True)

    def _observe(self, admitted: Admitted) -> tuple[Observation, Answered | None]:
        """Return what the tool sees of the effect, and its result where it is done and can be read."""
        try:
            seen = admitted.tool.observe(admitted.args, admitted.call)
            if seen.seen is not Seen.DONE:
                return seen, None
            return seen, answered(admitted.tool.output.model_validate(seen.outcome))
        except (EvercrewError, ValueError) as problem:
            return Observation.unknown(str(problem)), None

    def _failed(self, admitted: Admitted, failure: Failed, intent: AuditRecord, nonce: str) -> Outcome:
        """An error came back; what matters is whether the effect is there."""
        seen, result = self._observe(admitted)
        if result is not None:
            return self._close(admitted, result, intent, nonce)
        if seen.seen is Seen.UNKNOWN or failure.unknown:
            return replace(failure, unknown=True)
        self._audit.append(
            audit_entry(
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
        outcome = self._observed(Admitted(tool, args, entry.args_hash, call, decision), record)
        return outcome or Refused("absent", f"{entry.tool} had not happened", place)

    # -- helpers ----------------------------------------------------------------------------------------------------

    def _run(self, admitted: Admitted) -> Answered | Failed:
        spec, place = admitted.tool.spec, admitted.call.place
        context = contextvars.copy_context()
        future = self._threads.submit(context.run, admitted.tool.run, admitted.args, admitted.call)
        try:
            return answered(future.result(timeout=spec.timeout.total_seconds()))
        except FutureTimeout:
            # What never got a thread of its own must not start later, and has surely not happened.
            started = not future.cancel()
            reason = f"{spec.name} took longer than {spec.timeout.total_seconds():g} s"
            return Failed(DependencyTimeout.__name__, reason, place, unknown=started)
        except EvercrewError as problem:
            return Failed(type(problem).__name__, str(problem), place, unknown=isinstance(problem, OutcomeUnknown))

    def _close(
        self, admitted: Admitted, result: Answered, intent: AuditRecord, nonce: str, *, repeated: bool = False
    ) -> Outcome:
        body = {"result": result.plain, "permit": nonce[:8], "observed": repeated}
        outcome = self._audit.append(audit_entry(RecordKind.OUTCOME, admitted, status="done", body=body))
        self._keep(admitted, result)
        receipt = receipt_of(admitted, intent=intent, outcome=outcome, permit=nonce[:8], repeated=repeated)
        return Done(result.value, admitted.call.place, receipt)

    def _keep(self, admitted: Admitted, result: Answered) -> None:
        """Record the result under its place: claims are checked against it, and a replay is answered by it."""
        args = json_ready({"args": admitted.args})["args"]
        payload = {"tool": admitted.tool.spec.name, "args": args, "result": result.plain}
        self._store.record(
            Recording(cycle_id=admitted.call.scope.cycle_id, place=admitted.call.place, kind="tool", payload=payload)
        )
        if admitted.tool.spec.effect is Effect.READ:
            self._audit.append(
                audit_entry(RecordKind.READ, admitted, status="done", body={"result_hash": canonical_hash(payload)})
            )
