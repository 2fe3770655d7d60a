"""A door whose lamp costs something, and whose process can die anywhere between the purse, the chain and the lamp."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta

from adapters.ledger.base import Account, Moved
from adapters.ledger.memory import MemoryLedger
from domain.alert import Alert, AlertStatus
from domain.budget import Amounts
from domain.cycle import Cycle
from domain.errors import DependencyUnavailable, EvercrewError
from domain.events import Event
from domain.receipt import AuditEntry, AuditRecord, RecordKind
from domain.stage import Stage
from policies.budget import BudgetProfile
from tests.support.gates import ACTOR, CYCLE, Door, FickleAudit, LampArgs, LampResult, ReadLamp, SwitchLamp
from tools.gate import Gate
from tools.outcome import Outcome
from tools.purse import Purse
from tools.registry import Registry

PRICE, COST, WASTE = Amounts(usd_micros=100, gpu_seconds=5), Amounts(usd_micros=60), Amounts(usd_micros=25)


class Killed(BaseException):
    """The process is gone: nothing in it may catch this."""


class PricedLamp(SwitchLamp):
    """A lamp that may cost 100 and costs 60; one that fails has cost 25."""

    def price(self, args: LampArgs) -> Amounts:
        return PRICE

    def spent(self, args: LampArgs, result: LampResult) -> Amounts:
        return COST

    def lost(self, args: LampArgs, seconds: float) -> Amounts:
        return WASTE


class PricedReading(ReadLamp):
    """A reading that costs as well."""

    def price(self, args: LampArgs) -> Amounts:
        return PRICE

    def spent(self, args: LampArgs, result: LampResult) -> Amounts:
        return COST

    def lost(self, args: LampArgs, seconds: float) -> Amounts:
        return WASTE


class MortalLedger(MemoryLedger):
    """A ledger that can be away, and whose caller can die before or after a call."""

    away: EvercrewError | None = None
    dies: str = ""

    def reserve(
        self, key: str, accounts: Sequence[Account], amounts: Amounts, *, holder: str = "", about: str = ""
    ) -> Moved:
        """See `LedgerPort.reserve`."""
        with self._mortal("reserve"):
            return super().reserve(key, accounts, amounts, holder=holder, about=about)

    def settle(self, key: str, spent: Amounts | None = None, *, about: str = "") -> Moved:
        """See `LedgerPort.settle`."""
        with self._mortal("settle"):
            return super().settle(key, spent, about=about)

    def release(self, key: str, *, about: str = "") -> Moved:
        """See `LedgerPort.release`."""
        with self._mortal("release"):
            return super().release(key, about=about)

    @contextmanager
    def _mortal(self, name: str) -> Iterator[None]:
        if self.away is not None:
            raise self.away
        if self.dies == f"before {name}":
            raise Killed(name)
        yield
        if self.dies == f"after {name}":
            raise Killed(name)


class MortalChain(FickleAudit):
    """A chain whose caller can die before or after a record."""

    dies: str = ""

    def append(self, entry: AuditEntry) -> AuditRecord:
        """See `AuditPort.append`."""
        if self.dies == f"before {entry.kind.value}":
            raise Killed(entry.kind)
        record = super().append(entry)
        if self.dies == f"after {entry.kind.value}":
            raise Killed(entry.kind)
        return record


@dataclass
class Till:
    """The door with its purse; `reborn` is a new process on the same chain, store and ledger."""

    limit: float = 0.001
    door: Door = field(default_factory=Door)
    events: list[Event] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.ledger = MortalLedger(self.door.clock)
        self.door.audit = self.audit = MortalChain(self.door.clock)
        self.reborn()

    def reborn(self) -> None:
        """Come up again, whole."""
        self.ledger.dies = self.audit.dies = ""
        self.ledger.away = None
        self.door.lamps.before = self.door.lamps.after = lambda: None
        self.door.restart()
        profile = BudgetProfile(cycle_usd=self.limit, period=timedelta(days=1), period_usd=1, alert_share=0.8)
        self.purse = Purse(self.ledger, profile, self.door.clock, cycles_per_day=2, observer=self._note)
        self.door.gate = Gate(
            registry=Registry([PricedLamp(self.door.lamps), PricedReading()]),
            pdp=self.door.pdp,
            audit=self.audit,
            store=self.door.store,
            office=self.door.permits,
            traces=self.door.traces,
            context=lambda *_: {},
            budget=self.purse,
            clock=self.door.clock,
        )

    def _note(self, event: Event) -> None:
        self.events.append(event)

    def switch(self, room: str = "hall") -> Outcome:
        """Ask for the effect."""
        return self.door.switch(room)

    def recover(self) -> None:
        """Do what the engine does before a stage."""
        self.door.gate.reconcile(self.door.scope, ACTOR)
        self.purse.settle_left(self.cycle(), self.audit)

    def cycle(self, cycle_id: str = CYCLE, **facts: object) -> Cycle:
        """Return a cycle with facts."""
        now = self.door.clock.now()
        alert = Alert(
            fingerprint="f",
            name="a",
            status=AlertStatus.FIRING,
            signal="ndcg_at_10",
            target="search",
            environment="dev",
            starts_at=now,
        )
        return Cycle(
            id=cycle_id,
            alert=alert,
            target="search",
            environment="dev",
            stage=Stage.PROMOTE,
            opened_at=now,
            updated_at=now,
            facts=facts,
        )

    @property
    def sums(self) -> tuple[Amounts, Amounts]:
        """What the cycle's account has set aside, and what it has spent."""
        standing = self.ledger.account(f"cycle/{CYCLE}")
        return (standing.reserved, standing.spent) if standing else (Amounts(), Amounts())

    def kinds(self, kind: RecordKind) -> int:
        """Return how many records of a kind there are."""
        return sum(r.entry.kind is kind for r in self.audit.records())


DOWN = DependencyUnavailable("ledger", "it is away")
