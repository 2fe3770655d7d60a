"""The ledger in memory: the same contract, gone with the process."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence

from adapters.ledger.base import (
    Account,
    Entry,
    EntryKind,
    Moved,
    Reservation,
    Standing,
    State,
    alarming,
)
from adapters.ledger.moves import Change, check_request, moved, releasing, reserving, settling
from domain.budget import Amounts, Ceiling
from domain.clock import Clock
from domain.errors import BudgetExhausted, DependencyLied


class MemoryLedger:
    """A `LedgerPort` for tests and embedding."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._accounts: dict[str, Standing] = {}
        self._rules: dict[str, Account] = {}
        self._reservations: dict[str, Reservation] = {}
        self._entries: list[Entry] = []

    def reserve(
        self, key: str, accounts: Sequence[Account], amounts: Amounts, *, holder: str = "", about: str = ""
    ) -> Moved:
        """See `LedgerPort.reserve`."""
        check_request(key, accounts)
        with self._lock:
            self._rules |= {account.name: account for account in accounts}
            for account in accounts:
                standing = self._standing(account.name).model_copy(update={"ceiling": account.ceiling})
                self._accounts[account.name] = standing
            at = self._clock.now()
            known = self._reservations.get(key)
            try:
                change = reserving(known, key, accounts, self._accounts, amounts, holder=holder, about=about, at=at)
            except BudgetExhausted as problem:
                for account in accounts:
                    self._note(account.name, key, EntryKind.REFUSE, {}, {}, str(problem))
                raise
            return self._booked(change)

    def settle(self, key: str, spent: Amounts | None = None, *, about: str = "") -> Moved:
        """See `LedgerPort.settle`."""
        with self._lock:
            return self._booked(settling(self._reservations.get(key), spent, about=about, at=self._clock.now()))

    def release(self, key: str, *, about: str = "") -> Moved:
        """See `LedgerPort.release`."""
        with self._lock:
            return self._booked(releasing(self._reservations.get(key), about=about, at=self._clock.now()))

    def reservation(self, key: str) -> Reservation | None:
        """See `LedgerPort.reservation`."""
        with self._lock:
            return self._reservations.get(key)

    def open_reservations(self, account: str | None = None) -> Sequence[Reservation]:
        """See `LedgerPort.open_reservations`."""
        with self._lock:
            found = [r for r in self._reservations.values() if r.state is State.OPEN]
        return sorted((r for r in found if account is None or account in r.accounts), key=lambda r: r.opened_at)

    def account(self, name: str) -> Standing | None:
        """See `LedgerPort.account`."""
        with self._lock:
            return self._accounts.get(name)

    def accounts(self, prefix: str = "") -> Sequence[Standing]:
        """See `LedgerPort.accounts`."""
        with self._lock:
            return [self._accounts[name] for name in sorted(self._accounts) if name.startswith(prefix)]

    def entries(self, account: str | None = None, *, key: str | None = None, limit: int = 100) -> Sequence[Entry]:
        """See `LedgerPort.entries`."""
        with self._lock:
            found = [e for e in self._entries if account in (None, e.account) and key in (None, e.key)]
        return found[-limit:] if limit > 0 else []

    def faults(self) -> Sequence[str]:
        """See `LedgerPort.faults`."""
        with self._lock:
            found = []
            for name, standing in sorted(self._accounts.items()):
                booked = [e for e in self._entries if e.account == name]
                reserved, spent = _sum([e.reserved for e in booked]), _sum([e.spent for e in booked])
                held = [r for r in self._reservations.values() if r.state is State.OPEN and name in r.accounts]
                aside = _sum([r.reserved.model_dump() for r in held])
                if reserved != standing.reserved or spent != standing.spent:
                    found.append(f"the entries of {name} do not add up to its sums")
                if aside != standing.reserved:
                    found.append(f"{name}: {standing.reserved.said()} is set aside, by its sum, {aside.said()} by key")
            return found

    def check(self) -> str:
        """See `LedgerPort.check`."""
        faults = self.faults()
        if faults:
            raise DependencyLied("ledger", "; ".join(faults), "Keep it as it is, and restore a backup")
        return f"ledger: {len(self._accounts)} accounts in memory, all add up"

    def _standing(self, name: str) -> Standing:
        nothing = Standing(
            name=name, ceiling=Ceiling(), reserved=Amounts(), spent=Amounts(), updated_at=self._clock.now()
        )
        return self._accounts.get(name, nothing)

    def _booked(self, change: Change | None) -> Moved:
        if change is None:
            return Moved(changed=False)
        self._reservations[change.after.key] = change.after
        at, touched = self._clock.now(), set()
        for move in change.moves:
            for name in move.accounts:
                touched.add(name)
                standing = self._standing(name)
                self._accounts[name] = standing.model_copy(
                    update={
                        "reserved": moved(standing.reserved, move.reserved),
                        "spent": moved(standing.spent, move.spent),
                        "updated_at": at,
                    }
                )
                self._note(name, change.after.key, move.kind, move.reserved, move.spent, move.about)
        return Moved(changed=True, alarms=tuple(self._alarmed(name) for name in sorted(touched) if self._due(name)))

    def _due(self, name: str) -> bool:
        rule = self._rules.get(name)
        return rule is not None and alarming(rule.alarm, self._accounts[name])

    def _alarmed(self, name: str) -> Standing:
        self._accounts[name] = self._accounts[name].model_copy(update={"alarmed": self._clock.now()})
        self._note(name, "", EntryKind.ALARM, {}, {}, f"{self._accounts[name].share():.0%} is used")
        return self._accounts[name]

    def _note(
        self, account: str, key: str, kind: EntryKind, reserved: Mapping[str, int], spent: Mapping[str, int], about: str
    ) -> None:
        self._entries.append(
            Entry(
                sequence=len(self._entries) + 1,
                at=self._clock.now(),
                account=account,
                key=key,
                kind=kind,
                reserved=dict(reserved),
                spent=dict(spent),
                about=about,
            )
        )


def _sum(deltas: Sequence[Mapping[str, int]]) -> Amounts:
    total: dict[str, int] = {}
    for delta in deltas:
        for kind, amount in delta.items():
            total[kind] = total.get(kind, 0) + amount
    return Amounts(**total)
