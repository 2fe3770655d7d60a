"""The purse: what the door, the crews and the cycles spend, drawn from the accounts of a ledger.

Every call and every question draws on two accounts at once: that of its cycle, and that of its target and environment
in the present period. A cycle draws on the period and on the day. Settling and giving back never fail a call that was
made: where the ledger does not answer, the reservation stays as it is, which spends nothing twice, and is settled later
by what the audit chain says of its key (`reckon`).
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from adapters.audit.base import AuditPort
from adapters.ledger.base import Account, LedgerPort, Moved, Reservation, Standing, State
from domain.budget import KINDS, MICROS, Amounts, Ceiling
from domain.clock import Clock
from domain.cycle import Cycle
from domain.errors import DependencyError
from domain.events import Event, Observer, nobody
from domain.receipt import AuditRecord, RecordKind
from policies.budget import BudgetProfile
from policies.profiles import Profile
from tools.spending import SPENT
from tools.tool import Scope

ASK = "ask/"
OPENED = "opened/"
# What a cent is in the ledger's money.
_CENT = MICROS // 100
_EFFECT = re.compile(r"^[0-9a-f]{32}$")


def cycle_account(cycle_id: str) -> str:
    """Return the name of a cycle's account."""
    return f"cycle/{cycle_id}"


@dataclass(frozen=True)
class Reckoned:
    """What became of a reservation that nobody works on any more: what it spent, or None while it is not known."""

    key: str
    spent: Amounts | None
    why: str


class Purse:
    """Implements `tools.ask.Budget`, for any thread.

    Args:
        cycles_per_day: how many cycles may be begun in the environment in a day (UTC).
        observer: told of every alarm, and of what could not be settled at once.
    """

    def __init__(
        self,
        ledger: LedgerPort,
        budget: BudgetProfile,
        clock: Clock,
        *,
        cycles_per_day: int | None = None,
        observer: Observer = nobody,
    ) -> None:
        self.ledger = ledger
        self._budget = budget
        self._clock = clock
        self._per_day = cycles_per_day
        self._observer = observer
        self._holder = secrets.token_hex(6)

    def reserve(self, key: str, scope: Scope, price: Amounts) -> None:
        """See `Budget.reserve`."""
        accounts = (self._of_cycle(scope.cycle_id), self._of_period(scope.target, scope.environment))
        if key.startswith(ASK) and (held := self.ledger.reservation(key)) is not None and held.state is State.OPEN:
            self._told(self.ledger.settle(key, about="asked again, the first answer never came: charged in full"), "")
        self._drawn(key, accounts, price, f"{scope.cycle_id} {scope.stage}")

    def settle(self, key: str, spent: Amounts) -> None:
        """See `Budget.settle`."""
        self._closed(key, lambda: self.ledger.settle(key, spent))

    def release(self, key: str) -> None:
        """See `Budget.release`."""
        self._closed(key, lambda: self.ledger.release(key))

    def admit(self, cycle: Cycle) -> None:
        """Count a cycle as begun, once.

        Raises:
            BudgetExhausted: the cycles of its day or period are used up.
            DependencyError: the ledger cannot be reached; it was not counted.
        """
        key, one = f"{OPENED}{cycle.id}", Amounts(cycles=1)
        known = self.ledger.reservation(key)
        if known is None or known.state is State.RELEASED:
            day = f"day/{cycle.environment}/{cycle.opened_at.astimezone(UTC):%Y-%m-%d}"
            accounts = [self._of_period(cycle.target, cycle.environment, cycle.opened_at)]
            accounts.append(Account(name=day, ceiling=Ceiling(cycles=self._per_day)))
            self._drawn(key, accounts, one, f"{cycle.id} is begun")
        self._told(self.ledger.settle(key, one), cycle.id)

    def left_cents(self, scope: Scope) -> int:
        """Return how much money the cycle may still spend, in whole US cents.

        What is set aside counts as left: of one target one cycle is open, so it is its own, and whatever else it asks
        for is held against it by the ledger. Zero where the ledger does not say: then nothing that costs may begin.
        """
        accounts = (self._of_cycle(scope.cycle_id), self._of_period(scope.target, scope.environment))
        try:
            lefts = [_money_left(account, self.ledger.account(account.name)) for account in accounts]
        except DependencyError:
            return 0
        return min(lefts) // _CENT

    def current(self, target: str, environment: str) -> set[str]:
        """Return the names of the accounts of the present period and day."""
        day = f"day/{environment}/{self._clock.now().astimezone(UTC):%Y-%m-%d}"
        return {self._of_period(target, environment).name, day}

    def standings(self, cycle: Cycle) -> Sequence[Standing]:
        """Return how the accounts of a cycle stand; those never drawn on are left out."""
        names = (cycle_account(cycle.id), self._of_period(cycle.target, cycle.environment).name)
        return [standing for name in names if (standing := self.ledger.account(name)) is not None]

    def settle_left(self, cycle: Cycle, audit: AuditPort) -> list[Reckoned]:
        """Settle what a process left set aside that died at this cycle; nobody may be at work on it.

        Raises:
            DependencyError, AuditUnavailable: it cannot be found out; all of it stays as it is.
        """
        left = [r for r in self.ledger.open_reservations(cycle_account(cycle.id)) if r.state is State.OPEN]
        found = [reckon(held, audit.of_key(held.key), cycle.facts) for held in left]
        for reckoned in found:
            self.settle_reckoned(reckoned)
        return found

    def settle_reckoned(self, reckoned: Reckoned) -> None:
        """Settle a reservation by what became of it; what is not known stays set aside.

        Raises:
            DependencyError: the ledger cannot be reached.
        """
        if reckoned.spent is None:
            return
        if reckoned.spent.nothing:
            self.ledger.release(reckoned.key, about=reckoned.why)
        else:
            self._told(self.ledger.settle(reckoned.key, reckoned.spent, about=reckoned.why), "")

    def _drawn(self, key: str, accounts: Sequence[Account], price: Amounts, about: str) -> None:
        self._told(self.ledger.reserve(key, accounts, price, holder=self._holder, about=about), "")

    def _closed(self, key: str, close: Any) -> None:
        try:
            moved = close()
        except DependencyError as problem:
            said = f"{key} stays set aside until the ledger answers: {problem}"
            self._observer(Event(kind="budget", cycle_id="", what=said, answer="open"))
            return
        self._told(moved, "")

    def _told(self, moved: Moved, cycle_id: str) -> None:
        for alarm in moved.alarms:
            said = f"the budget of {alarm.name} is used to {alarm.share():.0%}: {alarm.spent.said()}"
            details = {"account": alarm.name, "share": alarm.share(), "spent": alarm.spent.model_dump()}
            self._observer(Event(kind="budget", cycle_id=cycle_id, what=said, answer="alarm", details=details))

    def _of_cycle(self, cycle_id: str) -> Account:
        return Account(name=cycle_account(cycle_id), ceiling=self._budget.of_cycle())

    def _of_period(self, target: str, environment: str, at: datetime | None = None) -> Account:
        start = self._budget.period_start(at or self._clock.now())
        name = f"period/{target}/{environment}/{start:%Y-%m-%dT%H:%M}"
        return Account(name=name, ceiling=self._budget.of_period(), alarm=self._budget.alert_share)


def purse_of(ledger: LedgerPort, profile: Profile, clock: Clock, observer: Observer = nobody) -> Purse:
    """Return the purse of an environment."""
    return Purse(ledger, profile.budget, clock, cycles_per_day=profile.max_cycles_per_day, observer=observer)


def reckon(held: Reservation, records: Sequence[AuditRecord], facts: Mapping[str, Any]) -> Reckoned:
    """Return what a reservation spent whose process is gone: by the record of its key, never by how long ago it was.

    An effect has spent what its outcomes say, less what was settled before; without an intent it never began. One whose
    intent is open is not known until the door has looked. A question has spent what its kept answer says. What leaves
    no record has spent all of it.
    """
    if held.key.startswith(ASK):
        return _question(held, facts)
    if held.key.startswith(OPENED):
        return Reckoned(held.key, held.reserved, "the cycle was begun")
    if not _EFFECT.match(held.key):
        return Reckoned(held.key, held.reserved, "nothing tells what it spent: charged in full")
    mine = [r for r in records if r.entry.kind in (RecordKind.INTENT, RecordKind.OUTCOME)]
    if not mine:
        return Reckoned(held.key, Amounts(), "it never began")
    if mine[-1].entry.kind is RecordKind.INTENT:
        return Reckoned(held.key, None, "whether it happened is not known yet")
    if mine[-1].entry.status == "done" and SPENT not in mine[-1].entry.body:
        return Reckoned(held.key, held.reserved, "its outcome does not tell what it spent: charged in full")
    told = Amounts()
    for record in mine:
        told = told.plus(Amounts.model_validate(record.entry.body.get(SPENT, {})))
    due = Amounts(**{kind: max(told.of(kind) - held.spent.of(kind), 0) for kind in KINDS})
    return Reckoned(held.key, due, f"its outcome says so: {mine[-1].entry.status}")


def _question(held: Reservation, facts: Mapping[str, Any]) -> Reckoned:
    for fact in facts.values():
        if isinstance(fact, Mapping) and fact.get("reservation") == held.key:
            spent = answer_cost(int(fact.get("tokens", 0)), float(fact.get("cost_usd", 0.0)))
            return Reckoned(held.key, spent, "its answer says so")
    return Reckoned(held.key, held.reserved, "its answer was never kept: charged in full")


def answer_cost(tokens: int, dollars: float) -> Amounts:
    """Return what an answer of a model cost; money is rounded up to a millionth."""
    return Amounts(tokens=max(tokens, 0), usd_micros=max(-int(-dollars * MICROS // 1), 0))


def _money_left(account: Account, standing: Standing | None) -> int:
    limit = account.ceiling.usd_micros or 0
    if standing is None:
        return limit
    return max(limit - standing.spent.usd_micros, 0)
