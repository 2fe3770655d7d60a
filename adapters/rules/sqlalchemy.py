"""Overrides in a table, on SQLite or PostgreSQL."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import select, update

from adapters.database import Database
from adapters.rules.models import OverrideRow
from domain.errors import InvalidInput
from domain.override import Override

NO_SUCH = "See `evercrew overrides list --all`"
_FIELDS = tuple(Override.model_fields)


class SqlRules:
    """A `RulesPort` on a `Database`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, override: Override) -> None:
        """See `RulesPort.add`."""
        with self._database.session(write=True) as session:
            known = session.get(OverrideRow, override.id)
            if known is None:
                session.add(OverrideRow(**override.__dict__, seen=False))
            elif _override(known) != override:
                raise InvalidInput("override", f"{override.id} is another one already", "Add it once more")

    def end(self, override_id: str, *, by: str, at: datetime) -> Override:
        """See `RulesPort.end`."""
        with self._database.session(write=True) as session:
            row = session.get(OverrideRow, override_id, with_for_update=True)
            if row is None:
                raise InvalidInput("override", f"{override_id} is not an override", NO_SUCH)
            if row.ended_at is None:
                if row.expires <= at:
                    raise InvalidInput("override", f"{override_id} has expired", NO_SUCH)
                row.ended_at, row.ended_by = at, by
            return _override(row)

    def overrides(self, *, environment: str = "", in_force_at: datetime | None = None) -> Sequence[Override]:
        """See `RulesPort.overrides`."""
        wanted = select(OverrideRow).order_by(OverrideRow.at, OverrideRow.id)
        if environment:
            wanted = wanted.where(OverrideRow.environment == environment)
        if in_force_at is not None:
            wanted = wanted.where(OverrideRow.expires > in_force_at)
        with self._database.session() as session:
            found = [_override(row) for row in session.scalars(wanted)]
        return [o for o in found if in_force_at is None or o.in_force(in_force_at)]

    def unseen(self, now: datetime) -> Sequence[Override]:
        """See `RulesPort.unseen`."""
        over = (OverrideRow.expires <= now, OverrideRow.ended_at.is_(None), OverrideRow.seen.is_(False))
        wanted = select(OverrideRow).where(*over).order_by(OverrideRow.at, OverrideRow.id)
        with self._database.session() as session:
            return [_override(row) for row in session.scalars(wanted)]

    def see_expiry(self, override_id: str) -> bool:
        """See `RulesPort.see_expiry`; the row that was still unseen is changed by one caller only."""
        same = (OverrideRow.id == override_id, OverrideRow.seen.is_(False))
        with self._database.session(write=True) as session:
            changed = session.execute(update(OverrideRow).where(*same).values(seen=True).returning(OverrideRow.id))
            return changed.scalar() is not None


def _override(row: OverrideRow) -> Override:
    return Override.model_validate({name: getattr(row, name) for name in _FIELDS})
