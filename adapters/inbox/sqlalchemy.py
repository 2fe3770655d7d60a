"""The inbox on a `Database`: SQLite or PostgreSQL.

Why each letter is handled exactly once: a turn locks its lane's row (others skip it), and marks the letters in the
transaction that keeps what handling them changed; cycles are opened in it too, for the store's tables are in the same
database. Why accepting is quick: callers that come at the same time share a transaction and its flush.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Connection, Select, delete, exists, func, insert, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from adapters.database import Database
from adapters.inbox.base import (
    MOST_A_TURN,
    RELEASED,
    Aside,
    Counts,
    Fate,
    Handler,
    InboxFull,
    Incident,
    Letter,
    NewLetter,
    Turn,
)
from adapters.inbox.models import AsideRow, IncidentRow, LaneRow, LetterRow
from adapters.inbox.serving import Served
from adapters.store.models import RecordingRow
from adapters.store.sqlalchemy import open_in, present_in
from adapters.together import Turns
from domain.alert import Alert, AlertStatus
from domain.clock import Clock
from domain.cycle import Cycle
from domain.errors import DependencyError, EvercrewError

LIMIT = 100_000
MOST_TEXT = 64 * 1024
# Letters in one transaction, unless one caller brings more.
MOST_AT_ONCE = 2000
RETRY = timedelta(seconds=10)
_COUNT_EVERY = 1.0  # seconds; in between, what was accepted is added


class _Opening:
    """Opens cycles in the transaction of a turn; what the database refuses of one letter is undone alone.

    What is open, and released, is asked once in a turn: nobody else opens or releases a cycle of the lane meanwhile.
    """

    def __init__(self, session: Session, now: datetime) -> None:
        self._session = session
        self._now = now
        self._present: dict[tuple[str, str], Cycle | None] = {}
        self._released: dict[str, bool] = {}

    def present(self, alert: Alert) -> Cycle | None:
        """See `Opener.present`."""
        key = (alert.target, alert.environment)
        if key not in self._present:
            self._present[key] = present_in(self._session, alert)
        return self._present[key]

    def open(self, alert: Alert) -> tuple[Cycle, bool]:
        """See `Opener.open`."""
        known = self.present(alert)
        if known is not None:
            return known, False
        with self._session.begin_nested():
            cycle, new = open_in(self._session, alert, self._now)
        self._present[(alert.target, alert.environment)] = cycle
        return cycle, new

    def released(self, cycle_id: str) -> bool:
        """See `Opener.released`."""
        if cycle_id not in self._released:
            self._released[cycle_id] = _released_in(self._session, cycle_id)
        return self._released[cycle_id]


class SqlInbox:
    """An `InboxPort` on the `Database` that the store is on.

    Args:
        limit: how many letters may wait.
    """

    def __init__(self, database: Database, clock: Clock, *, limit: int = LIMIT) -> None:
        self._database = database
        self._clock = clock
        self._limit = limit
        self._insert = postgresql.insert if database.is_postgresql else sqlite.insert
        self._lanes: set[str] = set()
        self._waiting, self._counted_at = 0, float("-inf")
        self._turns = Turns(self._write, most=MOST_AT_ONCE, size=len)

    def put(self, letters: Sequence[NewLetter]) -> None:
        """See `InboxPort.put`."""
        if not letters:
            return
        brought = self._turns.bring(letters)
        if brought.problem is not None:
            raise brought.problem
        if not brought.written:
            self._write([letters])

    def set_aside(self, text: str, reason: str) -> int:
        """See `InboxPort.set_aside`."""
        values = {"at": self._clock.now(), "reason": _clean(reason)[:2000], "text": _clean(text)[:MOST_TEXT]}
        with self._database.session(write=True) as session:
            row = AsideRow(**values)
            session.add(row)
            session.flush()
            return row.number

    def turn(self, handle: Handler, *, now: datetime, most: int = MOST_A_TURN) -> Turn | None:
        """See `InboxPort.turn`."""
        with self._database.session(write=True) as session:
            lane = session.scalar(_next_lane(now))
            if lane is None:
                return None
            highest = select(func.coalesce(func.max(LaneRow.served), 0) + 1).scalar_subquery()
            session.execute(update(LaneRow).where(LaneRow.lane == lane).values(served=highest))
            letters, unreadable = self._due(session, lane, now, most)
            served = Served(self._incidents(session, lane, letters), poison=unreadable)
            opening = _Opening(session, now)
            for letter in letters:
                self._handle(session, handle, letter, served, opening)
            self._keep(session, lane, served, now)
            return served.turn(lane)

    def incident(self, lane: str, fingerprint: str) -> Incident | None:
        """See `InboxPort.incident`."""
        with self._database.session() as session:
            row = session.get(IncidentRow, (lane, fingerprint))
            return None if row is None else _incident(row)

    def fires(self, lane: str, cycle_id: str) -> bool | None:
        """See `InboxPort.fires`."""
        with self._database.session() as session:
            return _fires_in(session, lane, cycle_id)

    def release(self, lane: str, cycle_id: str) -> bool:
        """See `InboxPort.release`. It waits for the turn that has the lane, and turns for it."""
        with self._database.session(write=True) as session:
            session.execute(select(LaneRow.lane).where(LaneRow.lane == lane).with_for_update())
            if _fires_in(session, lane, cycle_id) is not False:
                return False
            if not _released_in(session, cycle_id):
                session.add(RecordingRow(cycle_id=cycle_id, place=RELEASED, kind="incidents", payload={"lane": lane}))
            return True

    def letters(self) -> Iterator[Letter]:
        """Return all letters that are kept and can be read, settled or not, in the order they were accepted."""
        return (letter for letter, _, _ in self.settled())

    def settled(self) -> Iterator[tuple[Letter, str, str]]:
        """Return all letters as `letters` does, with their fate and the cycle they belong to; empty while they wait."""
        with self._database.session() as session:
            columns = (LetterRow.number, LetterRow.body, LetterRow.fate, LetterRow.cycle_id)
            wanted = select(*columns).order_by(LetterRow.number)
            for number, body, fate, cycle_id in session.execute(wanted.execution_options(yield_per=1000)):
                yield Letter.model_validate({**body, "number": number}), fate, cycle_id

    def aside(self, limit: int = 100) -> Sequence[Aside]:
        """See `InboxPort.aside`."""
        with self._database.session() as session:
            rows = session.scalars(select(AsideRow).order_by(AsideRow.number.desc()).limit(limit))
            return [Aside(number=row.number, at=row.at, reason=row.reason, text=row.text) for row in rows]

    def counts(self) -> Counts:
        """See `InboxPort.counts`."""
        settled = select(LetterRow.fate, func.count()).where(~LetterRow.waiting).group_by(LetterRow.fate)
        with self._database.session() as session:
            return Counts(
                waiting=session.scalar(_waiting()) or 0,
                settled={Fate(fate): count for fate, count in session.execute(settled)},
                aside=session.scalar(select(func.count()).select_from(AsideRow)) or 0,
                oldest=session.scalar(select(func.min(LetterRow.accepted_at)).where(LetterRow.waiting)),
            )

    def prune(self, before: datetime) -> int:
        """See `InboxPort.prune`."""
        over = IncidentRow.status == AlertStatus.RESOLVED.value
        old = (
            delete(LetterRow).where(~LetterRow.waiting, LetterRow.accepted_at < before),
            delete(IncidentRow).where(over, IncidentRow.held_until.is_(None), IncidentRow.handled_at < before),
            delete(AsideRow).where(AsideRow.at < before),
        )
        with self._database.guarded(), self._database.begin(write=True) as connection:
            return sum(connection.execute(statement).rowcount for statement in old)

    # -- accepting ----------------------------------------------------------------------------------------------------

    def _write(self, brought: Sequence[Sequence[NewLetter]]) -> None:
        at, letters = self._clock.now(), [letter for each in brought for letter in each]
        rows = [
            {
                "lane": letter.lane,
                "accepted_at": at,
                "body": letter.model_dump(mode="json"),
                "waiting": True,
                "fate": "",
                "cycle_id": "",
                "reason": "",
            }
            for letter in letters
        ]
        new = {letter.lane for letter in letters} - self._lanes
        with self._database.guarded(), self._database.begin(write=True) as connection:
            self._room(connection, len(rows))
            for lane in sorted(new):
                made = self._insert(LaneRow).values(lane=lane, served=0)
                connection.execute(made.on_conflict_do_nothing(index_elements=[LaneRow.lane]))
            connection.execute(insert(LetterRow), rows)
        self._lanes |= new
        self._waiting += len(rows)

    def _room(self, connection: Connection, wanted: int) -> None:
        now = self._clock.monotonic()
        if now - self._counted_at >= _COUNT_EVERY or self._waiting + wanted > self._limit:
            self._waiting, self._counted_at = connection.scalar(_waiting()) or 0, now
        if self._waiting + wanted > self._limit:
            raise InboxFull(self._waiting, self._limit, RETRY)

    # -- handling -----------------------------------------------------------------------------------------------------

    def _due(self, session: Session, lane: str, now: datetime, most: int) -> tuple[list[Letter], dict[int, str]]:
        wanted = select(LetterRow.number, LetterRow.body).where(LetterRow.lane == lane, *_is_due(now))
        letters: list[Letter] = []
        unreadable: dict[int, str] = {}
        for number, body in session.execute(wanted.order_by(LetterRow.number).limit(most)):
            try:
                letters.append(Letter.model_validate({**body, "number": number}))
            except (ValueError, TypeError) as problem:
                unreadable[number] = f"it cannot be read: {problem}"
        return letters, unreadable

    def _incidents(self, session: Session, lane: str, letters: Sequence[Letter]) -> dict[str, Incident]:
        wanted = {letter.alert.fingerprint for letter in letters}
        rows = session.scalars(select(IncidentRow).where(IncidentRow.lane == lane, IncidentRow.fingerprint.in_(wanted)))
        return {row.fingerprint: _incident(row) for row in rows}

    def _handle(self, session: Session, handle: Handler, letter: Letter, served: Served, opening: _Opening) -> None:
        known = served.incidents.get(letter.alert.fingerprint)
        try:
            served.note(letter, handle(letter, known, opening))
        except DependencyError:
            raise
        except (EvercrewError, SQLAlchemyError, ValueError, TypeError, LookupError) as problem:
            if not session.is_active or (isinstance(problem, SQLAlchemyError) and _is_away(problem)):
                raise
            served.poison[letter.number] = f"{type(problem).__name__}: {problem}"

    def _keep(self, session: Session, lane: str, served: Served, now: datetime) -> None:
        for (fate, cycle_id), numbers in served.fates.items():
            values = {"waiting": False, "fate": fate.value, "cycle_id": cycle_id, "again": None}
            session.execute(update(LetterRow).where(LetterRow.number.in_(numbers)).values(values))
        for again, numbers in served.held.items():
            session.execute(update(LetterRow).where(LetterRow.number.in_(numbers)).values(again=again))
        for number, reason in served.poison.items():
            self._poisoned(session, number, reason, now)
        if served.incidents:
            rows = [{"lane": lane, "handled_at": now, **_columns(incident)} for incident in served.incidents.values()]
            new = self._insert(IncidentRow)
            changed = {name: new.excluded[name] for name in rows[0] if name not in ("lane", "fingerprint")}
            same = [IncidentRow.lane, IncidentRow.fingerprint]
            session.execute(new.on_conflict_do_update(index_elements=same, set_=changed), rows)

    def _poisoned(self, session: Session, number: int, reason: str, now: datetime) -> None:
        """A letter that cannot be handled: out of the way of those behind it, and where a person looks."""
        told = _clean(reason)[:2000]
        body = session.scalar(select(LetterRow.body).where(LetterRow.number == number))
        session.add(AsideRow(at=now, reason=f"letter {number}: {told}", text=_clean(str(body))[:MOST_TEXT]))
        values = {"waiting": False, "fate": Fate.POISON.value, "reason": told, "again": None}
        session.execute(update(LetterRow).where(LetterRow.number == number).values(values))


def _is_due(now: datetime) -> tuple[ColumnElement[bool], ...]:
    return LetterRow.waiting.is_(True), or_(LetterRow.again.is_(None), LetterRow.again <= now)


def _next_lane(now: datetime) -> Select[str]:
    due = exists().where(LetterRow.lane == LaneRow.lane, *_is_due(now))
    return (
        select(LaneRow.lane)
        .where(due)
        .order_by(LaneRow.served, LaneRow.lane)
        .limit(1)
        .with_for_update(skip_locked=True)
    )


def _fires_in(session: Session, lane: str, cycle_id: str) -> bool | None:
    wanted = select(IncidentRow.status).where(IncidentRow.lane == lane, IncidentRow.cycle_id == cycle_id)
    found = session.scalars(wanted).all()
    return AlertStatus.FIRING.value in found if found else None


def _released_in(session: Session, cycle_id: str) -> bool:
    same = (RecordingRow.cycle_id == cycle_id, RecordingRow.place == RELEASED)
    return session.scalar(select(RecordingRow.id).where(*same)) is not None


def _waiting() -> Select[int]:
    return select(func.count()).select_from(LetterRow).where(LetterRow.waiting)


def _incident(row: IncidentRow) -> Incident:
    return Incident(
        fingerprint=row.fingerprint,
        status=AlertStatus(row.status),
        starts_at=row.starts_at,
        changed_at=row.changed_at,
        cycle_id=row.cycle_id,
        flaps=row.flaps,
        letters=row.letters,
        held_until=row.held_until,
    )


def _columns(incident: Incident) -> dict[str, object]:
    return {**incident.model_dump(), "status": incident.status.value}


def _is_away(problem: SQLAlchemyError) -> bool:
    return bool(getattr(problem, "connection_invalidated", False))


def _clean(text: str) -> str:
    return text.replace("\x00", "\N{REPLACEMENT CHARACTER}")
