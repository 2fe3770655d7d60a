"""Overrides in a table, on SQLite or PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

from sqlalchemy import select, update

from adapters.database import Database
from adapters.rules.models import OverrideRow
from adapters.seen import check_seen
from domain.errors import InvalidInput
from domain.override import Override

NO_SUCH = "See `evercrew overrides list --all`"
_ADDING = 7_031_452_121  # any constant: the key of the advisory lock that those who change overrides take
_FIELDS = tuple(Override.model_fields)


class SqlRules:
    """A `RulesPort` on a `Database`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(
        self,
        override: Override,
        *,
        seen: Sequence[Override] | None = None,
        first: Callable[[], object] | None = None,
    ) -> None:
        """See `RulesPort.add`."""
        here = select(OverrideRow).where(OverrideRow.environment == override.environment)
        with self._database.session(write=True) as session:
            self._database.alone(session, _ADDING)
            if seen is not None:
                check_seen("the overrides", seen, [_override(row) for row in session.scalars(here.with_for_update())])
            known = session.get(OverrideRow, override.id)
            if known is not None and _override(known) != override:
                raise InvalidInput("override", f"{override.id} is another one already", "Add it once more")
            if first is not None:
                first()
            if known is None:
                session.add(_row(override))

    def end(
        self,
        override_id: str,
        *,
        by: str,
        at: datetime,
        seen: Override | None = None,
        first: Callable[[], object] | None = None,
    ) -> Override:
        """See `RulesPort.end`."""
        with self._database.session(write=True) as session:
            row = session.get(OverrideRow, override_id, with_for_update=True)
            if row is None:
                raise InvalidInput("override", f"{override_id} is not an override", NO_SUCH)
            check_seen(override_id, None if seen is None else [seen], [_override(row)])
            if row.ended_at is None:
                if row.expires <= at:
                    raise InvalidInput("override", f"{override_id} has expired", NO_SUCH)
                if first is not None:
                    first()
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


def _row(override: Override) -> OverrideRow:
    fields = dict(override.__dict__)
    unit = fields.pop("unit")
    return OverrideRow(**{**fields, "of": f"{override.of} {unit}".strip()}, seen=False)


def _override(row: OverrideRow) -> Override:
    of, _, unit = row.of.partition(" ")
    kept = {name: getattr(row, name) for name in _FIELDS if name not in ("of", "unit")}
    return Override.model_validate({**kept, "of": of, "unit": unit})
