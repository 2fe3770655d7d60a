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
from domain.canonical import canonical_hash
from domain.clock import Clock, SystemClock
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
from tools import tracing
from tools.ask import Approvals, Budget, NoApprovals, NoBudget, PolicyContext, Witness, no_witness
from tools.outcome import Done, Failed, Outcome, Refused
from tools.records import (
    Admitted,
    Answered,
    Validated,
    answered,
    audit_entry,
    call_place,
    event_of,
    intent_body,
    read_body,
    receipt_of,
    witnessed,
)
from tools.registry import Registry
from tools.spending import Spending
from tools.tool import Call, Scope, ToolSpec

_UNDECIDED = Decision(answer=Answer.DENY, reason="not decided yet")


class Decider(Protocol):
    """The policy decision point."""

    def decide(self, request: AuthorizationRequest) -> Decision: ...


class Gate:
    """The one door; see the module's text.

    Args:
        context: facts for the policies (flags, kill switch, gate verdicts ...) for a scope, a tool and whoever asks.
        approvals: asked where a policy wants a person's approval.
        budget: what a call may cost is set aside there before it is made.
        observer: told of every answer; it cannot change one.
        witness: told of every call whole, for the record that a replay is made from.
        clock: measures how long a call took that failed.
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
        context: Callable[[Scope, ToolSpec, Mapping[str, Any], Actor], PolicyContext],
        approvals: Approvals | None = None,
        budget: Budget | None = None,
        observer: Observer = nobody,
        witness: Witness = no_witness,
        clock: Clock | None = None,
    ) -> None:
        self.registry = registry
        self._pdp = pdp
        self._audit = audit
        self._store = store
        self._office = office
        self._traces = traces
        self._context = context
        self._approvals = approvals or NoApprovals()
        self._spending = Spending(budget or NoBudget())
        self._clock = clock or SystemClock()
        self._observer = observer
        self._witness = witness
        self._threads = ThreadPoolExecutor(max_workers=8, thread_name_prefix="gate")

    def call(
        self, name: str, args: Mapping[str, Any] | BaseModel, actor: Actor, scope: Scope, *, place: str = ""
    ) -> Outcome:
        """Take one call through the door.

        `place` names it among calls with the same arguments, e.g. the look of a watch.
        """
        outcome, admitted = self._through(name, args, actor, scope, place)
        self._witness(witnessed(name, args, actor, scope, place, outcome, admitted))
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
    ) -> tuple[Outcome, Admitted | None]:
        try:
            asked = self._validated(name, args, place)
        except InvalidInput as problem:
            return Refused("unknown_tool" if problem.field == "tool" else "invalid", str(problem), place), None
        place = call_place(scope.stage, name, asked.args_hash)
        key = idempotency_key(scope.cycle_id, scope.stage, name, asked.args_hash)
        call = Call(scope=scope, actor=actor, key=key, place=place)
        with tracing.call_span(self._traces, name, asked.args, call) as span:
            with tracing.door_span(self._traces, name, call) as door:
                undecided = Admitted(asked.tool, asked.args, asked.args_hash, call, _UNDECIDED, plain_args=asked.plain)
                admitted = self._weighed(undecided)
                door.done(tracing.weighed(admitted))
            outcome = self._decided(admitted)
            span.done(tracing.came(outcome, admitted))
        return outcome, admitted

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

    def _validated(self, name: str, args: Mapping[str, Any] | BaseModel, place: str) -> Validated:
        """Return the tool and its arguments."""
        tool = self.registry.get(name)
        remedy = f"See the input schema of {name}"
        try:
            parsed: BaseModel = tool.input.model_validate(args.model_dump() if isinstance(args, BaseModel) else args)
            validated = Validated.of(tool, parsed, place)
        except ValidationError as problem:
            first = problem.errors()[0]
            raise InvalidInput(".".join(map(str, first["loc"])) or "arguments", first["msg"], remedy) from None
        except ValueError as problem:
            raise InvalidInput("arguments", f"a number is not finite ({problem})", remedy) from None
        return validated

    def _weighed(self, call: Admitted) -> Admitted:
        """Return the call with the decision about it; an approval that covers it is used up by it."""
        spec, scope = call.tool.spec, call.call.scope
        try:
            facts = self._context(scope, spec, call.plain, call.call.actor)
            context = {**call.tool.facts(call.args), **facts}
            decision = self._pdp.decide(self._request(call, context))
            weighed = replace(call, decision=decision, context=context)
            if decision.answer is not Answer.ESCALATE:
                return weighed
            grant = self._approvals.use(weighed.asked)
            if grant is None:
                return weighed
            context = {**context, "approved": True}
            decision = self._pdp.decide(self._request(call, context))
            if decision.policy_hash != weighed.decision.policy_hash:
                return weighed  # the set changed in between: what was approved, was approved under another
            return replace(call, decision=decision, context=context, grant=grant)
        except EvercrewError as problem:
            denied = Decision(answer=Answer.DENY, reason=f"no decision could be had: {problem}")
            return replace(call, decision=denied)

    @staticmethod
    def _request(call: Admitted, context: PolicyContext) -> AuthorizationRequest:
        spec, scope = call.tool.spec, call.call.scope
        return AuthorizationRequest(
            actor=call.call.actor,
            tool=spec.name,
            effect=spec.effect,
            target=scope.target,
            environment=scope.environment,
            context=context,
        )

    def _refuse(self, admitted: Admitted) -> Refused:
        kind = "escalate" if admitted.decision.answer is Answer.ESCALATE else "denied"
        reason = admitted.decision.reason or "no policy allows it"
        if kind == "escalate":
            try:
                reason = f"{reason}; {self._approvals.request(admitted.asked)}"
            except DependencyError as problem:
                reason = f"{reason} (and nobody could be asked: {problem})"
        return self._refused(admitted, kind, reason)

    def _refused(self, admitted: Admitted, kind: str, reason: str) -> Refused:
        body = {"reason": reason, "context_hash": canonical_hash(admitted.context)}
        try:
            self._append(RecordKind.REFUSAL, admitted, status=kind, body=body)
        except AuditUnavailable as problem:
            return Refused(kind, f"{reason} (and the refusal could not be recorded: {problem})", admitted.call.place)
        return Refused(kind, reason, admitted.call.place)

    def _read(self, admitted: Admitted) -> Outcome:
        key, refused = self._spending.read(admitted)
        if refused is not None:
            return self._refused(admitted, "budget", refused)
        began = self._clock.monotonic()
        result = self._run(admitted)
        known = None if isinstance(result, Failed) else result.value
        self._spending.was_read(key, admitted, known, self._clock.monotonic() - began)
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
        refused = self._spending.aside(admitted)
        if refused is not None:
            return self._refused(admitted, "budget", refused)
        try:
            intent = self._append(RecordKind.INTENT, admitted, body=intent_body(admitted))
        except AuditUnavailable:
            self._spending.release(admitted)
            raise
        began = self._clock.monotonic()
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
                return self._failed(admitted, result, intent, permit.nonce, self._clock.monotonic() - began)
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
            r for r in self._audit.of_key(admitted.call.key) if r.entry.kind in (RecordKind.INTENT, RecordKind.OUTCOME)
        ]
        intents = [r for r in mine if r.entry.kind is RecordKind.INTENT]
        done = next((r for r in reversed(mine) if r.entry.status == "done"), None)
        if done is not None:
            value = admitted.tool.output.model_validate(done.entry.body["result"])
            self._keep(admitted, Answered(value, done.entry.body["result"]))
            self._spending.settle(admitted, done.entry.body)
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
                self._append(RecordKind.OUTCOME, admitted, status="absent", body={"detail": seen.detail})
                self._spending.release(admitted)
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

    def _failed(self, admitted: Admitted, failure: Failed, intent: AuditRecord, nonce: str, seconds: float) -> Outcome:
        """An error came back; what matters is whether the effect is there."""
        seen, result = self._observe(admitted)
        if result is not None:
            return self._close(admitted, result, intent, nonce)
        if seen.seen is Seen.UNKNOWN or failure.unknown:
            return replace(failure, unknown=True)
        spent = self._spending.told_lost(admitted, seconds)
        body = {"error": failure.error, "reason": failure.reason, **spent}
        self._append(RecordKind.OUTCOME, admitted, status="failed", body=body)
        self._spending.settle(admitted, body)
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
        spent = self._spending.told(admitted, result.value)
        body = {"result": result.plain, "permit": nonce[:8], "observed": repeated, **spent}
        outcome = self._append(RecordKind.OUTCOME, admitted, status="done", body=body)
        self._keep(admitted, result)
        self._spending.settle(admitted, body)
        receipt = receipt_of(admitted, intent=intent, outcome=outcome, permit=nonce[:8], repeated=repeated)
        return Done(result.value, admitted.call.place, receipt)

    def _append(
        self, kind: RecordKind, admitted: Admitted, *, status: str = "", body: Mapping[str, Any] | None = None
    ) -> AuditRecord:
        """Append what is to be said of a call; its span names the record, and the record the trace."""
        record = self._audit.append(audit_entry(kind, admitted, status=status, body=body))
        self._traces.tell(audit=[tracing.linked(record)])
        return record

    def _keep(self, admitted: Admitted, result: Answered) -> None:
        """Record the result under its place: claims are checked against it, and a replay is answered by it."""
        payload = {"tool": admitted.tool.spec.name, "args": admitted.plain, "result": result.plain}
        self._store.record(
            Recording(cycle_id=admitted.call.scope.cycle_id, place=admitted.call.place, kind="tool", payload=payload)
        )
        if admitted.tool.spec.effect is Effect.READ:
            self._append(RecordKind.READ, admitted, status="done", body=read_body(admitted, payload))
