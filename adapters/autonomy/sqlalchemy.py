"""The record of autonomy on a `Database`: SQLite or PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.dialects import postgresql, sqlite

from adapters.autonomy.models import CapRow, TrialRow
from adapters.database import Database
from adapters.seen import check_seen
from domain.autonomy import Cap, Level, Trial
from domain.outcome import OutcomeKind

_CAPPING = 7_031_452_122  # any constant: the key of the advisory lock that those who cap take


class SqlAutonomy:
    """An `AutonomyPort` on a `Database`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, trial: Trial) -> None:
        """See `AutonomyPort.add`."""
        insert = postgresql.insert if self._database.is_postgresql else sqlite.insert
        values = {**trial.model_dump(), "outcome": trial.outcome.value}
        with self._database.session(write=True) as session:
            session.execute(insert(TrialRow).values(values).on_conflict_do_nothing())

    def trials(self, kind: str, environment: str, since: datetime) -> Sequence[Trial]:
        """See `AutonomyPort.trials`."""
        mine = (TrialRow.kind == kind, TrialRow.environment == environment, TrialRow.at > since)
        with self._database.session() as session:
            rows = session.scalars(select(TrialRow).where(*mine).order_by(TrialRow.at, TrialRow.cycle_id))
            return [_trial(row) for row in rows]

    def cap(self, kind: str, environment: str, made: Callable[[], Cap], *, seen: Sequence[Cap] | None = None) -> Cap:
        """See `AutonomyPort.cap`."""
        here = select(CapRow).where(CapRow.kind == kind, CapRow.environment == environment)
        with self._database.session(write=True) as session:
            self._database.alone(session, _CAPPING)
            check_seen(f"the cap of {kind}", seen, [_cap(row) for row in session.scalars(here)])
            cap = made()
            session.add(CapRow(**{**cap.model_dump(), "level": cap.level.value if cap.level else None}))
        return cap

    def caps(self, kind: str = "", environment: str = "") -> Sequence[Cap]:
        """See `AutonomyPort.caps`."""
        wanted = select(CapRow).order_by(CapRow.id)
        if kind:
            wanted = wanted.where(CapRow.kind == kind)
        if environment:
            wanted = wanted.where(CapRow.environment == environment)
        with self._database.session() as session:
            return [_cap(row) for row in session.scalars(wanted)]


def _trial(row: TrialRow) -> Trial:
    return Trial(
        cycle_id=row.cycle_id,
        kind=row.kind,
        environment=row.environment,
        outcome=OutcomeKind(row.outcome),
        harmful=row.harmful,
        at=row.at,
        record=row.record,
        record_hash=row.record_hash,
    )


def _cap(row: CapRow) -> Cap:
    return Cap(
        kind=row.kind,
        environment=row.environment,
        level=Level(row.level) if row.level else None,
        by=row.by,
        reason=row.reason,
        at=row.at,
        record=row.record,
        record_hash=row.record_hash,
    )
