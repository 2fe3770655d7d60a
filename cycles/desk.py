"""The desk a stage works at: the cycle, the door, the crews, the clock, and a drawer for facts that must survive.

A stage can be run again after a crash. Whatever it learns from outside and builds on goes into the drawer first
(`once`), so that the second run asks for the same effects with the same arguments, and the door recognises them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel

from adapters.audit.base import AuditPort
from adapters.inbox.base import InboxPort
from adapters.retrieval.base import RetrievalPort
from adapters.store.base import Recording, StorePort
from adapters.traces.base import TracesPort
from cycles.artifacts import Artifacts
from cycles.denials import denials
from cycles.ports import Judges
from cycles.reaction import STATUS, reaction
from cycles.rules import Rulebook
from cycles.shelf import Taping
from cycles.tape import TapedClock, current
from domain.actor import Actor, Role
from domain.brief import Answered, Brief
from domain.canonical import json_ready
from domain.clock import Clock
from domain.cycle import Cycle
from domain.errors import AuditUnavailable, DependencyError, EvercrewError
from domain.events import Event, Observer
from domain.outcome import OutcomeKind
from domain.override import Override
from domain.receipt import AuditEntry, AuditRecord, RecordKind
from domain.stage import Stage, StageResult
from domain.trace import trace_id_of
from policies.contract import Contract
from policies.overrides import applied
from policies.profiles import Profile
from tools.consent import Consent
from tools.gate import Gate
from tools.outcome import Done, Failed, Outcome, Refused
from tools.purse import Purse
from tools.records import call_place
from tools.tool import Scope

if TYPE_CHECKING:
    from cycles.autonomy import AutonomyRecord

V = TypeVar("V", bound=BaseModel)
W = TypeVar("W")
# Held, for a class that nobody holds is built anew each time it is named.
_ANSWERED = Answered[Any]

# The fact that says under which overrides the cycle was judged.
OVERRIDES = "overrides"


class CallRefused(EvercrewError):
    """A stage asked for something and the door said no."""

    def __init__(self, tool: str, refusal: Refused) -> None:
        super().__init__(f"{tool} was refused ({refusal.kind}): {refusal.reason}")
        self.tool = tool
        self.kind = refusal.kind
        self.call = refusal.call


class CallFailed(DependencyError):
    """A call was allowed and did not succeed."""

    def __init__(self, tool: str, failure: Failed) -> None:
        super().__init__(tool, f"{failure.error}: {failure.reason}")
        self.error = failure.error
        self.unknown = failure.unknown


@dataclass(frozen=True)
class Office:
    """What all desks share: one wiring of ports, rules and crews."""

    gate: Gate
    judges: Judges
    store: StorePort
    audit: AuditPort
    retrieval: RetrievalPort
    traces: TracesPort
    artifacts: Artifacts
    clock: Clock
    profile: Profile
    contract: Contract
    observer: Observer
    consent: Consent
    autonomy: AutonomyRecord
    taping: Taping = field(default_factory=Taping)
    rulebook: Rulebook | None = None
    purse: Purse | None = None
    incidents: InboxPort | None = None
    live_contract: Callable[[], Contract] | None = None

    def rules(self) -> Contract:
        """Return the contract as it stands now, without overrides: its file may have changed since the start."""
        return self.contract if self.live_contract is None else self.live_contract()


class Desk:
    """One stage's view of its cycle."""

    def __init__(self, office: Office, cycle: Cycle) -> None:
        self.office = office
        self.cycle = cycle
        self.profile = office.profile
        # One contract a step, whatever happens to its file meanwhile.
        self.rules = office.rules()
        self._contract: Contract | None = None
        self.overrides: tuple[Override, ...] = ()
        self.clock: Clock = TapedClock(office.clock)
        self.artifacts = office.artifacts
        # Whether the kill switch was on when the stage was asked to go on.
        self.killed = False
        # Whether the step waits for what is bounded by people's time, and not by a number of looks.
        self.patient = False

    @property
    def contract(self) -> Contract:
        """The contract of this stage: with the overrides that were in force when it was first asked.

        Raises:
            DependencyError: it cannot be found out what is in force.
        """
        if self._contract is None:
            book = self.office.rulebook
            if book is not None:
                self.overrides = self.told("overrides", book.counting, tuple[Override, ...])
            self._contract = applied(self.rules, self.overrides)
        return self._contract

    def under(self) -> list[dict[str, str]]:
        """Return the overrides that this stage judged under, and keep them for how the cycle is told."""
        told = [{"id": each.id, "said": each.said()} for each in self.overrides]
        known = self.fact(OVERRIDES, [])
        new = [each for each in told if each not in known]
        if new:
            self.keep(OVERRIDES, [*known, *new])
        return told

    @property
    def scope(self) -> Scope:
        """Where calls of this stage stand."""
        return Scope(
            cycle_id=self.cycle.id,
            stage=self.cycle.stage.value,
            target=self.cycle.target,
            environment=self.cycle.environment,
            alert_at=self.cycle.alert.starts_at,
            opened_at=self.cycle.opened_at,
        )

    def call(self, tool: str, args: BaseModel | Mapping[str, Any], role: Role, *, place: str = "") -> Outcome:
        """Take a call through the door in a role."""
        return self.office.gate.call(tool, args, Actor(role=role), self.scope, place=place)

    def do(
        self, tool: str, args: BaseModel | Mapping[str, Any], role: Role, expected: type[V], *, place: str = ""
    ) -> V:
        """Take a call through the door and return its result.

        Raises:
            CallRefused: the door said no.
            CallFailed: it was allowed and did not succeed.
            AuditUnavailable: it could not be recorded; that is no answer, and nothing may be concluded from it.
        """
        outcome = self.call(tool, args, role, place=place)
        match outcome:
            case Done(value, _, receipt):
                if receipt.intent is not None:
                    self.list_effects()
                    self._note_reaction()
                return expected.model_validate(value.model_dump())
            case Refused(kind="audit", reason=reason) | Failed(error="AuditUnavailable", reason=reason):
                raise AuditUnavailable(f"{tool}: {reason}")
            case Refused():
                raise CallRefused(tool, outcome)
            case Failed():
                raise CallFailed(tool, outcome)

    def keep(self, name: str, value: Any) -> None:
        """Put a fact into the drawer, on disk."""
        self.cycle = self.cycle.with_fact(name, json_ready({"v": value})["v"])
        self.attempt("keep", lambda: self.office.store.save(self.cycle))

    def fact(self, name: str, default: Any = None) -> Any:
        """Return a fact, or the default."""
        return self.cycle.facts.get(name, default)

    def once(self, name: str, make: Callable[[], V], kind: type[V]) -> V:
        """Return the fact of this name, made and kept when it is not there yet."""
        known = self.fact(name)
        if known is None:
            self.keep(name, make())
            known = self.fact(name)
        return kind.model_validate(known)

    def ask(self, name: str, question: Callable[[Brief], Answered[V]], kind: type[V]) -> Answered[V]:
        """Ask a crew once; its answer is kept, with what it cost."""
        known = self.fact(name)
        if known is None:
            with self.office.traces.span(
                name, "chain", {"stage": self.cycle.stage.value}, cycle_id=self.cycle.id
            ) as span:
                answered = self._asked(name, question)
                span.done({"models": list(answered.models), "tokens": answered.tokens})
            self._note_model(name, answered)
            self.keep(name, answered)
            known = self.fact(name)
        answer = _ANSWERED.model_validate(known)
        return _ANSWERED.model_construct(**{**answer.__dict__, "value": kind.model_validate(known["value"])})

    def did(self, tool: str) -> bool:
        """Whether an effect of this tool happened in this cycle.

        The chain says so: a fact may not have been kept in time.
        """
        return any(
            r.entry.tool == tool and r.entry.kind is RecordKind.OUTCOME and r.entry.status == "done"
            for r in self.records()
        )

    def records(self) -> Sequence[AuditRecord]:
        """Return the records of the cycle, oldest first: what a stage learns of its own past from."""
        records, tape = self.office.audit.records(self.cycle.id), current()
        if tape is not None:
            tape.saw(records)
        return records

    def brief(self) -> Brief:
        """Return the context of a question."""
        return Brief(
            cycle_id=self.cycle.id,
            stage=self.cycle.stage.value,
            target=self.cycle.target,
            environment=self.cycle.environment,
            alert=self.cycle.alert,
            opened_at=self.cycle.opened_at.isoformat(),
            facts=self.cycle.facts,
            denials=denials(self.office.consent.store, self.cycle.target, self.cycle.environment),
        )

    def told(self, name: str, make: Callable[[], W], kind: Any) -> W:
        """Return what `make` is told from outside of the door, e.g. by the store; `kind` is its type.

        What a stage decides by has to come through here, the door or the clock: else no replay comes to the same.
        """
        tape = current()
        return make() if tape is None else tape.read(name, make, kind)

    def attempt(self, name: str, make: Callable[[], None]) -> None:
        """Do something outside of the door that may fail, e.g. write to a store: `told` for what answers nothing."""
        tape = current()
        if tape is None:
            make()
        else:
            tape.attempt(name, make)

    def results(self) -> dict[str, Any]:
        """Return what tools answered in this cycle so far, by call."""
        recordings, tape = self.office.store.recordings(self.cycle.id), current()
        if tape is not None:
            tape.held(recordings)
        return {r.place: r.payload["result"] for r in recordings if r.kind == "tool"}

    def note(self, what: str, **details: Any) -> None:
        """Tell whoever looks on."""
        self.office.observer(
            Event(kind="note", cycle_id=self.cycle.id, stage=self.cycle.stage.value, what=what, details=details)
        )

    def write(self, name: str, content: Mapping[str, Any]) -> None:
        """Write an artifact and put its hash into the chain, so that a changed byte can be named."""
        path = self.artifacts.write(self.cycle.id, name, content)
        self.put_on_record("artifact", {"artifact": name, "sha256": hashlib.sha256(path.read_bytes()).hexdigest()})

    def put_on_record(self, status: str, body: Mapping[str, Any]) -> None:
        """Append a note of the engine's about this cycle to the chain.

        Raises:
            AuditUnavailable: it could not be written.
        """
        entry = AuditEntry(
            kind=RecordKind.NOTE,
            cycle_id=self.cycle.id,
            stage=self.cycle.stage.value,
            actor="engine",
            status=status,
            trace_id=trace_id_of(self.cycle.id, self.cycle.opened_at),
            body=body,
        )
        self.office.audit.append(entry)

    def finish(self, outcome: OutcomeKind, reason: str) -> StageResult:
        """Return the step to `learn` with an outcome."""
        self.cycle = self.cycle.model_copy(update={"outcome": outcome})
        self.keep("outcome_reason", reason)
        return StageResult(next=Stage.LEARN, reason=reason)

    def since(self, fact: str) -> timedelta:
        """Return the time since the moment kept under `fact`, zero (and kept now) when there is none."""
        started = self.fact(fact)
        if started is None:
            self.keep(fact, self.clock.now().timestamp())
            return timedelta()
        return timedelta(seconds=max(self.clock.now().timestamp() - float(started), 0.0))

    def list_effects(self) -> None:
        """Keep the list of what was done, by the chain: a process that died may not have got round to it."""
        intents: dict[str, int] = {}
        listed = []
        for record in self.records():
            entry = record.entry
            if entry.kind is RecordKind.INTENT:
                intents[entry.key] = record.sequence
            elif entry.kind is RecordKind.OUTCOME and entry.status == "done":
                place = call_place(entry.stage, entry.tool, entry.args_hash)
                permit = entry.body["permit"]
                listed.append({"name": entry.tool, "call": place, "permit": permit, "receipt": intents[entry.key]})
        self.keep("effects", listed)

    def _note_reaction(self) -> None:
        """Keep how long the first remedy took, in the cycle and in the chain; too long is an event of its own."""
        alert = self.cycle.alert
        allowed = self.contract.signal(alert.signal).reaction
        if self.fact(STATUS) is not None:
            return
        found = reaction(self.records(), alert.signal, alert.starts_at, allowed)
        if found is None:
            return
        self.put_on_record(STATUS if found.in_time else f"{STATUS}_late", json_ready(found.model_dump()))
        self.keep(STATUS, found)
        self.note(found.said(), in_time=found.in_time)

    def _asked(self, name: str, question: Callable[[Brief], Answered[V]]) -> Answered[V]:
        tape = current()
        if tape is None:
            return question(self.brief())
        with tape.asking(name) as told:
            answered = question(self.brief())
            told(answered)
        return answered

    def _note_model(self, name: str, answered: Answered[V]) -> None:
        body = json_ready({"models": answered.models, "prompts": answered.prompts, "fallbacks": answered.fallbacks})
        self.office.store.record(Recording(cycle_id=self.cycle.id, place=f"model/{name}", kind="model", payload=body))
        for reason in answered.fallbacks:
            self.note(f"the playbook stepped in: {reason}")
