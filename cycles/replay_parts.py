"""What stands in an office in place of the world when a cycle is replayed: the door, and the crews.

The door validates and decides for real; what came of a call comes from the record, and is written where the stages look
for it. No tool runs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from itertools import islice
from typing import Any, Protocol

from pydantic import BaseModel

from adapters.audit.base import AuditPort
from adapters.store.base import Recording, StorePort
from adapters.traces.base import TracesPort
from cycles.playback import Playback
from cycles.ports import Judges
from cycles.tape import current, question_number, witness
from domain.actor import Actor, Role
from domain.brief import Answered, Brief
from domain.canonical import json_ready
from domain.clock import FrozenClock
from domain.decision import Answer, AuthorizationRequest, Decision, Effect
from domain.diagnosis import Diagnosis
from domain.errors import InvalidInput
from domain.ids import idempotency_key
from domain.permit import PermitOffice
from domain.plan import AugmentationPlan, PostMortem, PromotionProposal, TrainingPlan
from domain.receipt import AuditEntry, RecordKind
from domain.tape import TapedCall, TapedDecision, TapedReply, problem_of
from tools.ask import PolicyContext
from tools.gate import Decider, Gate
from tools.outcome import Done, Failed, Outcome, Refused
from tools.records import Admitted, answered, audit_entry, call_place, receipt_of
from tools.registry import Registry
from tools.tool import Call, Scope, Tool, ToolSpec, scope_of

_UNDECIDED = Decision(answer=Answer.DENY)


class MirrorAudit(AuditPort, Protocol):
    """An audit chain that can be told what another one says."""

    def mirror(self, entry: AuditEntry, sequence: int | None, at: datetime | None) -> None:
        """Take a record over, once; a sequence that is not known is the next one."""
        ...


class ReplayGate(Gate):
    """The door of a replay: the policies are asked, the record answers.

    Args:
        pdp_of: returns who decides what a set, by its hash, decided then.
        anew: whether that is another one, which is asked even where none could be asked then.
    """

    def __init__(
        self,
        *,
        playback: Playback,
        registry: Registry,
        pdp_of: Callable[[str], Decider],
        audit: MirrorAudit,
        store: StorePort,
        traces: TracesPort,
        anew: bool,
    ) -> None:
        super().__init__(
            registry=registry,
            pdp=_Nobody(),
            audit=audit,
            store=store,
            office=PermitOffice(FrozenClock()),
            traces=traces,
            context=_no_context,
            witness=witness,
        )
        self._playback = playback
        self._mirror = audit
        self._pdp_of = pdp_of
        self._anew = anew
        self.intents: Mapping[str, datetime] = {}

    def reconcile(self, scope: Scope, actor: Actor) -> list[Outcome]:
        """What an interrupted run had left is on the tape of the step that found it."""
        return []

    def _through(
        self, name: str, args: Mapping[str, Any] | BaseModel, actor: Actor, scope: Scope, place: str
    ) -> tuple[Outcome, Admitted | None]:
        try:
            asked = self._validated(name, args, place)
        except InvalidInput as problem:
            self._playback.take(name, "", str(actor))
            return Refused("unknown_tool" if problem.field == "tool" else "invalid", str(problem), place), None
        taped, context = self._playback.take(name, asked.args_hash, str(actor))
        key = idempotency_key(scope.cycle_id, scope.stage, name, asked.args_hash)
        call = Call(scope=scope, actor=actor, key=key, place=call_place(scope.stage, name, asked.args_hash))
        undecided = Admitted(asked.tool, asked.args, asked.args_hash, call, _UNDECIDED, context, plain_args=asked.plain)
        admitted = replace(undecided, decision=self._decision(undecided, taped, context))
        return self._came(admitted, taped), admitted

    def _decision(self, call: Admitted, taped: TapedCall, context: PolicyContext) -> Decision:
        """Ask the policies; where no set could be asked then, its place is taken by what stood for its answer."""
        then = taped.decision or TapedDecision(answer=Answer.DENY)
        if not then.policy_hash and not (self._anew and context):
            return _decision(then)
        return self._pdp_of(then.policy_hash).decide(self._request(call, context))

    def _came(self, admitted: Admitted, taped: TapedCall) -> Outcome:
        then, decision = taped.decision, admitted.decision
        if then is not None and then.answer is not decision.answer:
            return self._parted(admitted, taped)
        place, outcome = admitted.call.place, taped.outcome
        effect = admitted.tool.spec.effect is not Effect.READ
        if outcome.came == "refused":
            return Refused(outcome.word, outcome.reason, place)
        args = json_ready({"args": admitted.args})["args"]
        if outcome.came == "failed":
            if effect:
                self._tell(admitted, RecordKind.INTENT, None, body={"args": args})
                if not outcome.unknown:
                    self._tell(admitted, RecordKind.OUTCOME, None, status="failed", body={"reason": outcome.reason})
            return Failed(outcome.word, outcome.reason, place, unknown=outcome.unknown)
        result = answered(admitted.tool.output.model_validate(self._playback.result(taped)))
        payload = {"tool": admitted.tool.spec.name, "args": args, "result": result.plain}
        cycle_id = admitted.call.scope.cycle_id
        self._store.record(Recording(cycle_id=cycle_id, place=place, kind="tool", payload=payload))
        if effect:
            self._tell(admitted, RecordKind.INTENT, outcome.intent, body={"args": args})
            body = {"result": result.plain, "permit": outcome.permit}
            self._tell(admitted, RecordKind.OUTCOME, outcome.outcome, status="done", body=body)
        receipt = receipt_of(admitted, permit=outcome.permit, repeated=outcome.repeated)
        receipt = receipt.model_copy(update={"intent": outcome.intent, "outcome": outcome.outcome})
        return Done(result.value, place, receipt)

    def _parted(self, admitted: Admitted, taped: TapedCall) -> Outcome:
        """The policies say something else than they did."""
        name, decision = admitted.tool.spec.name, admitted.decision
        then = taped.decision or TapedDecision(answer=Answer.DENY)
        who = f"{name} for {admitted.call.actor}"
        policies = ", ".join(decision.policies) or "no policy"
        self._playback.part(
            f"{who}: {then.answer.value} by {', '.join(then.policies) or 'no policy'}; {taped.outcome.said}",
            f"{who}: {decision.answer.value} by {policies}",
            decision.reason,
        )
        if decision.allowed:
            raise self._playback.end(f"what {name} would have done")
        kind = "escalate" if decision.answer is Answer.ESCALATE else "denied"
        return Refused(kind, decision.reason or "no policy allows it", admitted.call.place)

    def _tell(
        self,
        admitted: Admitted,
        kind: RecordKind,
        sequence: int | None,
        *,
        body: Mapping[str, Any],
        status: str = "",
    ) -> None:
        at = self.intents.get(str(sequence)) if kind is RecordKind.INTENT else None
        entry = audit_entry(kind, admitted, status=status, body=body)
        self._mirror.mirror(entry, sequence, at)


class _Nobody:
    """Stands where each decision has a decision point of its own."""

    def decide(self, request: AuthorizationRequest) -> Decision:
        """See `Decider.decide`."""
        return _UNDECIDED


class ReplayTool(Tool[Any, Any]):
    """A tool by its name and types, which is never run."""

    def __init__(self, kind: type[Tool[Any, Any]]) -> None:
        self.spec: ToolSpec = kind.spec
        self.input = kind.input
        self.output = kind.output

    def run(self, args: Any, call: Call) -> Any:
        raise AssertionError(f"{self.spec.name} was run in a replay")


class ReplayJudges:
    """`Judges` from the record: the crews themselves where their models' answers are taped, else what they answered.

    Args:
        crews: the crews, on models that answer from the record or are asked anew; None to take answers as they are.
        anew: whether the crews are asked even where no model's answer is taped.
    """

    def __init__(self, playback: Playback, gate: Gate, crews: Judges | None, *, anew: bool = False) -> None:
        self._playback = playback
        self._gate = gate
        self._crews = crews
        self._anew = anew

    def diagnose(self, brief: Brief) -> Answered[Diagnosis]:
        """See `Judges.diagnose`."""
        return self._answer(brief, lambda crews: crews.diagnose(brief))

    def plan_augmentation(self, brief: Brief) -> Answered[AugmentationPlan]:
        """See `Judges.plan_augmentation`."""
        return self._answer(brief, lambda crews: crews.plan_augmentation(brief))

    def plan_training(self, brief: Brief) -> Answered[TrainingPlan]:
        """See `Judges.plan_training`."""
        return self._answer(brief, lambda crews: crews.plan_training(brief))

    def propose_promotion(self, brief: Brief) -> Answered[PromotionProposal]:
        """See `Judges.propose_promotion`."""
        return self._answer(brief, lambda crews: crews.propose_promotion(brief))

    def write_post_mortem(self, brief: Brief) -> Answered[PostMortem]:
        """See `Judges.write_post_mortem`."""
        return self._answer(brief, lambda crews: crews.write_post_mortem(brief))

    def _answer(self, brief: Brief, ask: Callable[[Judges], Answered[Any]]) -> Answered[Any]:
        taped = self._playback.question()
        if self._crews is not None and (self._anew or taped.replies):
            try:
                return ask(self._crews)
            finally:
                # A crew takes whatever ends its calls for an error of a tool, and may go on.
                self._on_record()
        scope = scope_of(brief)
        number, replies = question_number(), iter(taped.replies)
        calls = self._playback.calls_of(-1 if number is None else number)
        for made, call in enumerate(calls):
            _replied(replies, call.turn - (calls[made - 1].turn if made else 0))
            actor = Actor(role=Role(call.role), via=call.via, person=call.person)
            self._gate.call(call.tool, call.args if isinstance(call.args, Mapping) else {}, actor, scope)
        _replied(replies, len(taped.replies))
        if self._playback.parted and calls:
            raise self._playback.end(f"what the crew would have answered to {taped.name}")
        if taped.problem is not None:
            raise problem_of(taped.problem)
        return Answered[Any].model_validate(taped.answer)

    def _on_record(self) -> None:
        if self._playback.beyond:
            raise self._playback.end(self._playback.beyond)


def _replied(replies: Iterator[TapedReply], most: int) -> None:
    """Put so many of a model's answers on the tape of the replay."""
    tape = current()
    for reply in islice(replies, most):
        if tape is not None:
            tape.replied(reply)


def _decision(taped: TapedDecision) -> Decision:
    return Decision(answer=taped.answer, policies=taped.policies, policy_hash=taped.policy_hash, reason=taped.reason)


def _no_context(scope: Scope, spec: ToolSpec, args: Mapping[str, Any], actor: Actor) -> PolicyContext:
    raise AssertionError("a replay decides by the contexts of its record")
