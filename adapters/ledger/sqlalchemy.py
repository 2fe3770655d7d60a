"""The ledger on SQLAlchemy: SQLite in WAL by default, PostgreSQL by URL.

One transaction a call. It locks what is known under the key first and then the accounts, by name, so that two calls
never wait for one another; on SQLite the write lock is taken before anything is read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Text, cast, func, insert, select, text, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from adapters.database import Database
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
from adapters.ledger.models import AccountRow, EntryRow, ReservationRow
from adapters.ledger.moves import Change, Move, check_request, moved, releasing, reserving, settling
from domain.budget import KINDS, Amounts, Ceiling
from domain.canonical import canonical_json
from domain.clock import Clock
from domain.errors import BudgetExhausted, DependencyLied

NOTHING: Mapping[str, int] = {}
_RESTORE = "Keep the database as it is, and restore a backup: somebody else has written into it"


class SqlLedger:
    """A `LedgerPort` on a `Database`."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    def reserve(
        self, key: str, accounts: Sequence[Account], amounts: Amounts, *, holder: str = "", about: str = ""
    ) -> Moved:
        """See `LedgerPort.reserve`."""
        check_request(key, accounts)
        at = self._clock.now()
        with self._database.session(write=True) as session:
            self._claim(session, key)
            known = self._locked(session, key)
            names = sorted({account.name for account in accounts} | set(known.accounts if known else ()))
            standings = self._opened(session, accounts, names)
            try:
                change = reserving(known, key, accounts, standings, amounts, holder=holder, about=about, at=at)
            except BudgetExhausted as problem:
                refusal = problem
            else:
                return self._booked(session, change, standings)
            for account in accounts:
                move = Move(EntryKind.REFUSE, (account.name,), NOTHING, NOTHING, str(refusal))
                self._note(session, account.name, key, move)
        raise refusal

    def settle(self, key: str, spent: Amounts | None = None, *, about: str = "") -> Moved:
        """See `LedgerPort.settle`."""
        with self._database.session(write=True) as session:
            known = self._locked(session, key)
            change = settling(known, spent, about=about, at=self._clock.now())
            return self._booked(session, change, self._standings(session, sorted(known.accounts) if known else []))

    def release(self, key: str, *, about: str = "") -> Moved:
        """See `LedgerPort.release`."""
        with self._database.session(write=True) as session:
            known = self._locked(session, key)
            change = releasing(known, about=about, at=self._clock.now())
            return self._booked(session, change, self._standings(session, sorted(known.accounts) if known else []))

    def reservation(self, key: str) -> Reservation | None:
        """See `LedgerPort.reservation`."""
        with self._database.session() as session:
            return _reservation(session.get(ReservationRow, key))

    def open_reservations(self, account: str | None = None) -> Sequence[Reservation]:
        """See `LedgerPort.open_reservations`."""
        query = select(ReservationRow).where(ReservationRow.state == State.OPEN.value)
        if account is not None:
            # Every step of a cycle asks for its own: what hundreds of others have set aside is not loaded.
            query = query.where(cast(ReservationRow.accounts, Text).contains(canonical_json(account), autoescape=True))
        with self._database.session() as session:
            rows = session.scalars(query.order_by(ReservationRow.opened_at, ReservationRow.key)).all()
            found = [reservation for row in rows if (reservation := _reservation(row)) is not None]
        return [r for r in found if account is None or account in r.accounts]

    def account(self, name: str) -> Standing | None:
        """See `LedgerPort.account`."""
        with self._database.session() as session:
            row = session.get(AccountRow, name)
            return None if row is None else _standing(row)

    def accounts(self, prefix: str = "") -> Sequence[Standing]:
        """See `LedgerPort.accounts`."""
        query = select(AccountRow).where(AccountRow.name.startswith(prefix, autoescape=True)).order_by(AccountRow.name)
        with self._database.session() as session:
            return [_standing(row) for row in session.scalars(query)]

    def entries(self, account: str | None = None, *, key: str | None = None, limit: int = 100) -> Sequence[Entry]:
        """See `LedgerPort.entries`."""
        query = select(EntryRow).order_by(EntryRow.id.desc()).limit(max(limit, 0))
        if account is not None:
            query = query.where(EntryRow.account == account)
        if key is not None:
            query = query.where(EntryRow.key == key)
        with self._database.session() as session:
            return [_entry(row) for row in reversed(session.scalars(query).all())]

    def faults(self) -> Sequence[str]:
        """See `LedgerPort.faults`."""
        names = [f"{what}_{kind}" for what in ("reserved", "spent") for kind in KINDS]
        sums = [func.coalesce(func.sum(getattr(EntryRow, name)), 0) for name in names]
        # One transaction, so that nobody moves anything between the questions.
        with self._database.session(write=True) as session:
            if self._database.is_postgresql:
                session.execute(text("LOCK TABLE ledger_entries IN SHARE MODE"))
            booked = {
                row[0]: row[1:] for row in session.execute(select(EntryRow.account, *sums).group_by(EntryRow.account))
            }
            rows = session.scalars(select(AccountRow).order_by(AccountRow.name)).all()
            held = session.scalars(select(ReservationRow).where(ReservationRow.state == State.OPEN.value)).all()
            return [problem for row in rows for problem in _faults(row, booked.get(row.name), names, held)]

    def check(self) -> str:
        """See `LedgerPort.check`."""
        faults = self.faults()
        if faults:
            raise DependencyLied("ledger", "; ".join(faults), _RESTORE)
        return f"ledger: {len(self.accounts())} accounts, {len(self.open_reservations())} reservations, all add up"

    # -- inside of a transaction --------------------------------------------------------------------------------------

    def _claim(self, session: Session, key: str) -> None:
        """Let exactly one row stand for the key, so that there is something to lock."""
        at = self._clock.now()
        blank = {"key": key, "accounts": [], "state": State.RELEASED.value, "holder": "", "about": ""}
        self._insert(
            session, ReservationRow, {**blank, "opened_at": at, "updated_at": at, **_sums(Amounts(), Amounts())}
        )

    def _opened(self, session: Session, accounts: Sequence[Account], names: Sequence[str]) -> dict[str, Standing]:
        """Return how the accounts stand, made and locked, with the ceilings of today."""
        for account in sorted(accounts, key=lambda a: a.name):
            sums = _sums(Amounts(), Amounts())
            self._insert(session, AccountRow, {"name": account.name, "updated_at": self._clock.now(), **sums})
        standings = self._standings(session, names)
        for account in accounts:
            limits = {f"limit_{kind}": account.ceiling.of(kind) for kind in KINDS}
            changed = update(AccountRow).where(AccountRow.name == account.name)
            session.execute(changed.values(**limits, alarm_share=account.alarm))
            standings[account.name] = standings[account.name].model_copy(update={"ceiling": account.ceiling})
        return standings

    def _insert(self, session: Session, table: type[ReservationRow | AccountRow], values: Mapping[str, Any]) -> None:
        """Insert a row unless there is one."""
        if self._database.is_postgresql:
            session.execute(postgresql.insert(table).values(**values).on_conflict_do_nothing())
        else:
            session.execute(sqlite.insert(table).values(**values).on_conflict_do_nothing())

    def _locked(self, session: Session, key: str) -> Reservation | None:
        query = select(ReservationRow).where(ReservationRow.key == key)
        row = session.scalars(query.with_for_update().execution_options(populate_existing=True)).first()
        # A row without accounts is only the claim of one who was refused.
        return _reservation(row) if row is not None and row.accounts else None

    def _standings(self, session: Session, names: Sequence[str]) -> dict[str, Standing]:
        query = select(AccountRow).where(AccountRow.name.in_(names)).order_by(AccountRow.name)
        rows = session.scalars(query.with_for_update().execution_options(populate_existing=True))
        return {row.name: _standing(row) for row in rows}

    def _booked(self, session: Session, change: Change | None, standings: Mapping[str, Standing]) -> Moved:
        if change is None:
            return Moved(changed=False)
        after, at, now = change.after, self._clock.now(), dict(standings)
        row = after.model_dump(exclude={"reserved", "spent"}, mode="python")
        row |= {"accounts": list(after.accounts), "state": after.state.value, **_sums(after.reserved, after.spent)}
        session.execute(update(ReservationRow).where(ReservationRow.key == after.key).values(**row))
        for move in change.moves:
            for name in move.accounts:
                known = now[name]
                sums = {"reserved": moved(known.reserved, move.reserved), "spent": moved(known.spent, move.spent)}
                now[name] = known.model_copy(update={**sums, "updated_at": at})
                self._note(session, name, after.key, move)
        return Moved(changed=True, alarms=tuple(self._alarms(session, [now[n] for n in sorted(now)])))

    def _alarms(self, session: Session, standings: Sequence[Standing]) -> list[Standing]:
        """Write the sums back, and return the accounts whose alarm is due, now raised."""
        raised = []
        for standing in standings:
            alarm = session.scalar(select(AccountRow.alarm_share).where(AccountRow.name == standing.name))
            if alarming(alarm, standing):
                standing = standing.model_copy(update={"alarmed": self._clock.now()})
                raised.append(standing)
                move = Move(EntryKind.ALARM, (standing.name,), NOTHING, NOTHING, f"{standing.share():.0%} is used")
                self._note(session, standing.name, "", move)
            values = {"updated_at": standing.updated_at, "alarmed_at": standing.alarmed}
            changed = update(AccountRow).where(AccountRow.name == standing.name)
            session.execute(changed.values(**values, **_sums(standing.reserved, standing.spent)))
        return raised

    def _note(self, session: Session, account: str, key: str, move: Move) -> None:
        deltas = {f"reserved_{kind}": move.reserved.get(kind, 0) for kind in KINDS}
        deltas |= {f"spent_{kind}": move.spent.get(kind, 0) for kind in KINDS}
        told = {"at": self._clock.now(), "account": account, "key": key, "kind": move.kind.value, "about": move.about}
        session.execute(insert(EntryRow).values(**told, **deltas))


def _sums(reserved: Amounts, spent: Amounts) -> dict[str, int]:
    return {f"{what}_{kind}": of.of(kind) for what, of in (("reserved", reserved), ("spent", spent)) for kind in KINDS}


def _amounts(row: AccountRow | ReservationRow, what: str) -> Amounts:
    return Amounts(**{kind: getattr(row, f"{what}_{kind}") for kind in KINDS})


def _standing(row: AccountRow) -> Standing:
    return Standing(
        name=row.name,
        ceiling=Ceiling(**{kind: getattr(row, f"limit_{kind}") for kind in KINDS}),
        reserved=_amounts(row, "reserved"),
        spent=_amounts(row, "spent"),
        alarmed=row.alarmed_at,
        updated_at=row.updated_at,
    )


def _reservation(row: ReservationRow | None) -> Reservation | None:
    if row is None or not row.accounts:
        return None
    return Reservation(
        key=row.key,
        accounts=tuple(row.accounts),
        state=State(row.state),
        reserved=_amounts(row, "reserved"),
        spent=_amounts(row, "spent"),
        holder=row.holder,
        about=row.about,
        opened_at=row.opened_at,
        updated_at=row.updated_at,
    )


def _entry(row: EntryRow) -> Entry:
    return Entry(
        sequence=row.id,
        at=row.at,
        account=row.account,
        key=row.key,
        kind=EntryKind(row.kind),
        reserved={kind: change for kind in KINDS if (change := getattr(row, f"reserved_{kind}"))},
        spent={kind: change for kind in KINDS if (change := getattr(row, f"spent_{kind}"))},
        about=row.about,
    )


def _faults(row: AccountRow, booked: Any, names: Sequence[str], held: Sequence[ReservationRow]) -> list[str]:
    found = []
    entries = [int(amount) for amount in booked] if booked is not None else [0] * len(names)
    for name, total in zip(names, entries, strict=True):
        if total != getattr(row, name):
            found.append(f"{row.name}: its entries of {name} add up to {total}, its sum is {getattr(row, name)}")
    for kind in KINDS:
        aside = sum(getattr(r, f"reserved_{kind}") for r in held if row.name in r.accounts)
        known = getattr(row, f"reserved_{kind}")
        if aside != known:
            found.append(f"{row.name}: {known} {kind} are set aside by its sum, {aside} by key")
    return found
