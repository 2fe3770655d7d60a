"""A door with one small effectful tool behind it, whose world stands in the open."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from adapters.audit.memory import MemoryAudit
from adapters.store.base import Recording
from adapters.store.memory import MemoryStore
from adapters.traces.memory import MemoryTraces
from domain.actor import Actor, Role
from domain.clock import FrozenClock
from domain.decision import Answer, AuthorizationRequest, Decision, Effect
from domain.errors import AuditUnavailable, EvercrewError
from domain.events import Event
from domain.observation import Observation
from domain.permit import PermitOffice
from domain.receipt import AuditEntry, AuditRecord, RecordKind
from tools.gate import Gate
from tools.outcome import Outcome
from tools.registry import Registry
from tools.tool import Arguments, Call, Result, Scope, Tool, ToolSpec

EFFECT = "lamp.switch"
CYCLE = "si_2026_01_01_001"
ACTOR = Actor(role=Role.DEVOPS_ENGINEER)


class LampArgs(Arguments):
    room: str
    watts: float = 1.0


class LampResult(Result):
    """`brightness` of the lamp."""

    brightness: float


@dataclass
class Lamps:
    """What the tool acts on. `before` runs when the permit is spent, `after` when the lamp is on."""

    permits: PermitOffice
    lit: dict[str, float] = field(default_factory=dict)
    switched: int = 0
    before: Callable[[], None] = lambda: None
    after: Callable[[], None] = lambda: None
    blind: bool = False


class SwitchLamp(Tool[LampArgs, LampResult]):
    """Switches a lamp on, once a key."""

    spec = ToolSpec("promote", "Switch a lamp on.", Effect.IRREVERSIBLE, effects=(EFFECT,))
    input = LampArgs
    output = LampResult

    def __init__(self, lamps: Lamps) -> None:
        self._lamps = lamps

    def run(self, args: LampArgs, call: Call) -> LampResult:
        self._lamps.permits.spend(call.permit, effect=EFFECT, key=call.key)
        self._lamps.before()
        self._lamps.lit[call.key] = args.watts * 2
        self._lamps.switched += 1
        self._lamps.after()
        return LampResult(brightness=self._lamps.lit[call.key])

    def observe(self, args: LampArgs, call: Call) -> Observation:
        if self._lamps.blind:
            return Observation.unknown("nobody can see the lamps")
        lit = self._lamps.lit.get(call.key)
        return Observation.absent("it is dark") if lit is None else Observation.done({"brightness": lit})


class ReadLamp(Tool[LampArgs, LampResult]):
    """Reads a lamp that is as bright as its watts."""

    spec = ToolSpec("metric_query", "Read a lamp.")
    input = LampArgs
    output = LampResult

    def run(self, args: LampArgs, call: Call) -> LampResult:
        return LampResult(brightness=float("nan") if args.room == "cellar" else args.watts)


class FickleAudit(MemoryAudit):
    """A chain that fails for the kinds of record it is told to."""

    def __init__(self, clock: FrozenClock) -> None:
        super().__init__(clock)
        self.refuses: set[RecordKind] = set()

    def append(self, entry: AuditEntry) -> AuditRecord:
        """See `AuditPort.append`."""
        if entry.kind in self.refuses:
            raise AuditUnavailable("the disk is full; nothing was recorded")
        return super().append(entry)


class FickleStore(MemoryStore):
    """A store that fails to record while `broken` is an error."""

    broken: EvercrewError | None = None

    def record(self, recording: Recording) -> None:
        """See `StorePort.record`."""
        if self.broken is not None:
            raise self.broken
        super().record(recording)


@dataclass
class Decides:
    """A decision point that always answers the same, or raises."""

    answer: Answer = Answer.ALLOW
    raises: Exception | None = None
    asked: list[AuthorizationRequest] = field(default_factory=list)

    def decide(self, request: AuthorizationRequest) -> Decision:
        """See `Decider.decide`."""
        self.asked.append(request)
        if self.raises is not None:
            raise self.raises
        return Decision(answer=self.answer, policies=("the-policy",), policy_hash="hash", reason=f"it is {self.answer}")


class Door:
    """The door, and everything it stands on."""

    def __init__(self) -> None:
        self.clock = FrozenClock()
        self.permits = PermitOffice(self.clock)
        self.lamps = Lamps(self.permits)
        self.audit = FickleAudit(self.clock)
        self.store = FickleStore()
        self.traces = MemoryTraces()
        self.pdp = Decides()
        self.events: list[Event] = []
        self.context: Callable[[Scope, ToolSpec, Mapping[str, Any]], Mapping[str, bool | int | str]] = lambda *_: {}
        self.gate = self._built()
        self.scope = Scope(CYCLE, "promote", "search", "dev", datetime(2026, 1, 1, tzinfo=UTC), self.clock.now())

    def _built(self) -> Gate:
        return Gate(
            registry=Registry([SwitchLamp(self.lamps), ReadLamp()]),
            pdp=self.pdp,
            audit=self.audit,
            store=self.store,
            office=self.permits,
            traces=self.traces,
            context=lambda scope, spec, args, _actor: self.context(scope, spec, args),
            observer=self._note,
        )

    def _note(self, event: Event) -> None:
        self.events.append(event)

    def restart(self) -> None:
        """Let the process die and another come up on the same stores: permits minted before are worthless."""
        self.permits = PermitOffice(self.clock)
        self.lamps.permits = self.permits
        self.gate = self._built()

    def switch(self, room: str = "hall", **extra: Any) -> Outcome:
        """Ask for the effect."""
        return self.gate.call("promote", {"room": room, **extra}, ACTOR, self.scope)

    def read(self, room: str = "hall") -> Outcome:
        """Ask for the read."""
        return self.gate.call("metric_query", {"room": room}, ACTOR, self.scope)

    def kinds(self) -> list[str]:
        """Return kind and status of every record."""
        return [f"{r.entry.kind.value} {r.entry.status}".strip() for r in self.audit.records()]
