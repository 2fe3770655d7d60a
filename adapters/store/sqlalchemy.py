"""The store on SQLAlchemy: SQLite in WAL by default, PostgreSQL by URL.

Reading the highest cycle number and inserting the next one cannot interleave with another opener: on SQLite a write
takes the lock first, on PostgreSQL an advisory lock does the same, and saving cycles need not wait for it; the partial
unique index holds the rule even against code that goes around this class.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, NamedTuple

from sqlalchemy import func, insert, select, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from adapters.database import Database
from adapters.query import Query
from adapters.seen import check_seen
from adapters.store.base import FlagChange, FlagRow, Moment, Recording, Tombstone
from adapters.store.listing import listing
from adapters.store.migrations import current_revision
from adapters.store.models import CycleRow, FlagHistoryRow, FlagTableRow, RecordingRow, TombstoneRow
from adapters.store.statements import A_RECORDING, ALL_FLAGS, MOMENT, RECORD, RECORDED_AT_ONCE
from adapters.together import Together
from domain.alert import Alert
from domain.canonical import canonical_json, json_ready
from domain.cycle import Cycle
from domain.diagnosis import Action
from domain.errors import InvalidInput
from domain.ids import cycle_id
from domain.outcome import OutcomeKind
from domain.stage import Stage
from domain.wanted import Wanted

# Any constants: the keys of the advisory locks that those who open cycles take, and those who set flags.
_OPENING, _SWITCHING = 7_031_452_119, 7_031_452_120


class _Kept(NamedTuple):
    """A recording as the table has it; the payload is canonical JSON."""

    cycle_id: str
    place: str
    kind: str
    payload: str


class SqlStore:
    """A `StorePort` on a `Database`, or on the one of a URL.

    Raises:
        ConfigurationError, DependencyError: as `Database`.
    """

    def __init__(self, database: Database | str) -> None:
        self._database = database if isinstance(database, Database) else Database(database)
        self._recorded = Together(self._record_all)
        dialect = self._database.engine.dialect
        self._moment, self._flags = Query(MOMENT, dialect), Query(ALL_FLAGS, dialect)
        # A cycle is asked for at every call and changes at few: on SQLite its row, which holds JSON as text, is read
        # once. The driver of PostgreSQL has read the JSON before anybody could compare it.
        self._as_read: Callable[[tuple[Any, ...]], Cycle] = (
            self._read if self._database.is_postgresql else lru_cache(maxsize=128)(self._read)
        )

    def close(self) -> None:
        """Give the connections back."""
        self._database.close()

    def open_cycle(self, alert: Alert, at: datetime) -> tuple[Cycle, bool]:
        """See `StorePort.open_cycle`."""
        with self._database.session(write=True) as session:
            return open_in(session, alert, at)

    def cycle(self, cycle_id: str) -> Cycle | None:
        """See `StorePort.cycle`."""
        with self._database.session() as session:
            row = session.get(CycleRow, cycle_id)
            return None if row is None else _cycle(row)

    def moment(self, cycle_id: str, digest: str = "") -> Moment | None:
        """See `StorePort.moment`. The flags are read last: a switch that was thrown meanwhile counts."""
        with self._database.reading() as cursor:
            found = self._moment.raw(cursor, cycle_id=cycle_id, digest=digest)
            if not found:
                return None
            *row, that_day, entombed = found[0]
            flags = [_flag(flag) for flag in self._flags(cursor)]
            return Moment(self._as_read((*row, 0, 0)), that_day, bool(digest) and bool(entombed), flags)

    def _read(self, raw: tuple[Any, ...]) -> Cycle:
        return _cycle(self._moment.read(raw))

    def save(self, cycle: Cycle) -> None:
        """See `StorePort.save`. A cancel request made meanwhile by somebody else survives the save."""
        with self._database.session(write=True) as session:
            row = session.get(CycleRow, cycle.id)
            if row is None:
                raise _no_such_cycle(cycle.id)
            _fill(row, cycle)
            row.cancel_requested = row.cancel_requested or cycle.cancel_requested

    def request_cancel(self, cycle_id: str) -> None:
        """See `StorePort.request_cancel`."""
        with self._database.session(write=True) as session:
            row = session.get(CycleRow, cycle_id)
            if row is None:
                raise _no_such_cycle(cycle_id)
            if not row.is_open:
                raise InvalidInput(
                    "cycle_id", f"{cycle_id} has ended ({row.stage})", "Only an open cycle can be cancelled"
                )
            row.cancel_requested = True

    def cycles(self, *, open_only: bool = False, limit: int = 100) -> Sequence[Cycle]:
        """See `StorePort.cycles`."""
        wanted = select(CycleRow).order_by(CycleRow.day.desc(), CycleRow.number.desc()).limit(limit)
        if open_only:
            wanted = wanted.where(CycleRow.is_open)
        with self._database.session() as session:
            return [_cycle(row) for row in session.scalars(wanted)]

    def found(self, wanted: Wanted, *, before: str = "", limit: int = 100) -> Sequence[Cycle]:
        """See `StorePort.found`."""
        with self._database.session() as session:
            return [_cycle(row) for row in session.scalars(listing(wanted, before, limit))]

    def ended(self, target: str, environment: str, *, limit: int = 10) -> Sequence[Cycle]:
        """See `StorePort.ended`."""
        over = (CycleRow.target == target, CycleRow.environment == environment, CycleRow.is_open.is_(False))
        newest = (CycleRow.updated_at.desc(), CycleRow.day.desc(), CycleRow.number.desc())
        with self._database.session() as session:
            return [
                _cycle(row) for row in session.scalars(select(CycleRow).where(*over).order_by(*newest).limit(limit))
            ]

    def cycles_on(self, day: datetime) -> int:
        """See `StorePort.cycles_on`."""
        with self._database.session() as session:
            wanted = select(func.count()).select_from(CycleRow).where(CycleRow.day == day.astimezone(UTC).date())
            return session.scalar(wanted) or 0

    def flags(self) -> Sequence[FlagRow]:
        """See `StorePort.flags`."""
        with self._database.reading() as cursor:
            return [_flag(row) for row in self._flags(cursor)]

    def set_flag(
        self,
        flag: FlagRow,
        *,
        by: str,
        at: datetime,
        seen: Sequence[FlagRow] | None = None,
        first: Callable[[], object] | None = None,
    ) -> None:
        """See `StorePort.set_flag`; who changed it and when goes to ``flag_history`` in the same transaction."""
        details = _plain("details", flag.details)
        with self._database.session(write=True) as session:
            self._database.alone(session, _SWITCHING)
            present = session.scalars(select(FlagTableRow).where(FlagTableRow.name == flag.name))
            check_seen(flag.name, seen, [_flag(row) for row in present])
            if first is not None:
                first()
            session.merge(
                FlagTableRow(name=flag.name, environment=flag.environment, enabled=flag.enabled, details=details)
            )
            session.add(
                FlagHistoryRow(
                    name=flag.name,
                    environment=flag.environment,
                    enabled=flag.enabled,
                    details=details,
                    changed_by=by,
                    changed_at=at,
                )
            )

    def flag_history(self, name: str = "", *, limit: int = 100) -> Sequence[FlagChange]:
        """See `StorePort.flag_history`."""
        wanted = select(FlagHistoryRow).order_by(FlagHistoryRow.id.desc()).limit(limit)
        if name:
            wanted = wanted.where(FlagHistoryRow.name == name)
        with self._database.session() as session:
            return [
                FlagChange(
                    name=row.name,
                    enabled=row.enabled,
                    environment=row.environment,
                    details=row.details,
                    by=row.changed_by,
                    at=row.changed_at,
                )
                for row in session.scalars(wanted)
            ]

    def entomb(self, stone: Tombstone) -> None:
        """See `StorePort.entomb`."""
        with self._database.session(write=True) as session:
            if session.get(TombstoneRow, stone.digest) is None:
                session.add(
                    TombstoneRow(digest=stone.digest, cycle_id=stone.cycle_id, reason=stone.reason, at=stone.at)
                )

    def tombstone(self, digest: str) -> Tombstone | None:
        """See `StorePort.tombstone`."""
        with self._database.session() as session:
            row = session.get(TombstoneRow, digest)
            if row is None:
                return None
            return Tombstone(digest=row.digest, cycle_id=row.cycle_id, reason=row.reason, at=row.at)

    def record(self, recording: Recording) -> None:
        """See `StorePort.record`."""
        payload = _text("payload", recording.payload)
        self._recorded.add(_Kept(recording.cycle_id, recording.place, recording.kind, payload))

    def _record_all(self, recordings: Sequence[_Kept]) -> None:
        row = A_RECORDING[self._database.engine.dialect.name]
        last = {(kept.cycle_id, kept.place): kept for kept in recordings}
        # In one order everywhere: two processes that replace the same places do not wait for one another in a ring.
        ordered = [last[place] for place in sorted(last)]
        with self._database.guarded(), self._database.begin(write=True) as connection:
            for start in range(0, len(ordered), RECORDED_AT_ONCE):
                some = ordered[start : start + RECORDED_AT_ONCE]
                statement = RECORD.format(rows=",".join([row] * len(some)))
                connection.exec_driver_sql(statement, tuple(value for kept in some for value in kept))

    def claim(self, recording: Recording) -> bool:
        """See `StorePort.claim`. The unique constraint of the table decides between two that come at once."""
        new = {"kind": recording.kind, "payload": _plain("payload", recording.payload)}
        place = {"cycle_id": recording.cycle_id, "place": recording.place}
        same = (RecordingRow.cycle_id == recording.cycle_id, RecordingRow.place == recording.place)
        with self._database.guarded():
            try:
                with self._database.begin(write=True) as connection:
                    if connection.scalar(select(RecordingRow.id).where(*same)) is not None:
                        return False
                    connection.execute(insert(RecordingRow).values({**place, **new}))
            except IntegrityError:
                return False
        return True

    def recordings(self, cycle_id: str, prefix: str = "") -> Sequence[Recording]:
        """See `StorePort.recordings`."""
        wanted = select(RecordingRow).where(RecordingRow.cycle_id == cycle_id).order_by(RecordingRow.id)
        if prefix:
            # Not LIKE: it ignores case on SQLite and reads % and _ as wildcards.
            wanted = wanted.where(func.substr(RecordingRow.place, 1, len(prefix)) == prefix)
        with self._database.session() as session:
            return [
                Recording(cycle_id=row.cycle_id, place=row.place, kind=row.kind, payload=row.payload)
                for row in session.scalars(wanted)
            ]

    def check(self) -> str:
        """See `StorePort.check`."""
        with self._database.guarded(), self._database.begin(write=False) as connection:
            revision = current_revision(connection)
            count = connection.execute(select(func.count()).select_from(CycleRow)).scalar_one()
        place = self._database.engine.url.render_as_string(hide_password=True)
        return f"store: {place}, schema {revision}, {count} cycles"


def present_in(session: Session, alert: Alert) -> Cycle | None:
    """Return the open cycle of the alert's target and environment, or None, as the session's transaction sees it."""
    same = (CycleRow.target == alert.target, CycleRow.environment == alert.environment, CycleRow.is_open)
    found = session.scalars(select(CycleRow).where(*same)).first()
    return None if found is None else _cycle(found)


def open_in(session: Session, alert: Alert, at: datetime) -> tuple[Cycle, bool]:
    """As `StorePort.open_cycle`, inside the session's transaction, which is one that writes."""
    present = present_in(session, alert)
    if present is None and session.get_bind().dialect.name == "postgresql":
        session.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _OPENING})
        present = present_in(session, alert)
    if present is not None:
        return present, False
    day = at.astimezone(UTC).date()
    highest = session.scalar(select(func.max(CycleRow.number)).where(CycleRow.day == day)) or 0
    cycle = Cycle(
        id=cycle_id(day, highest + 1),
        alert=alert,
        target=alert.target,
        environment=alert.environment,
        stage=Stage.OBSERVE,
        opened_at=at,
        updated_at=at,
    )
    row = CycleRow(id=cycle.id, day=day, number=highest + 1, cancel_requested=False, opened_at=at)
    _fill(row, cycle)
    session.add(row)
    session.flush()
    return cycle, True


def _fill(row: CycleRow, cycle: Cycle) -> None:
    row.target = cycle.target
    row.environment = cycle.environment
    row.fingerprint = cycle.alert.fingerprint
    row.stage = cycle.stage.value
    row.is_open = not cycle.stage.terminal
    row.updated_at = cycle.updated_at
    row.action = cycle.action.value if cycle.action else None
    row.outcome = cycle.outcome.value if cycle.outcome else None
    row.reason = cycle.reason
    row.alert = cycle.alert.model_dump(mode="json")
    row.facts = _plain("facts", cycle.facts)
    row.timings = _plain("timings", cycle.timings)


def _flag(row: Any) -> FlagRow:
    return FlagRow(name=row.name, environment=row.environment, enabled=row.enabled, details=row.details)


def _cycle(row: Any) -> Cycle:
    return Cycle(
        id=row.id,
        alert=Alert.model_validate(row.alert),
        target=row.target,
        environment=row.environment,
        stage=Stage(row.stage),
        opened_at=row.opened_at,
        updated_at=row.updated_at,
        action=Action(row.action) if row.action else None,
        outcome=OutcomeKind(row.outcome) if row.outcome else None,
        reason=row.reason,
        cancel_requested=row.cancel_requested,
        facts=row.facts,
        timings=row.timings,
    )


def _plain(field: str, value: Mapping[str, Any]) -> dict[str, Any]:
    try:
        return json_ready(value)
    except (TypeError, ValueError) as error:
        raise InvalidInput(field, str(error), "Hand over plain JSON: no NaN, no infinities, no objects") from error


def _text(field: str, value: Mapping[str, Any]) -> str:
    try:
        return canonical_json(dict(value))
    except (TypeError, ValueError) as error:
        raise InvalidInput(field, str(error), "Hand over plain JSON: no NaN, no infinities, no objects") from error


def _no_such_cycle(cycle: str) -> InvalidInput:
    return InvalidInput("cycle_id", f"there is no cycle {cycle}", "Run `evercrew cycles list` for those there are")
