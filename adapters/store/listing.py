"""The statement that finds the cycles somebody asks for."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, or_, select

from adapters.store.models import CycleRow
from domain.wanted import Wanted, place_of

_COLUMNS = {
    "target": CycleRow.target,
    "environment": CycleRow.environment,
    "stage": CycleRow.stage,
    "action": CycleRow.action,
    "outcome": CycleRow.outcome,
    "fingerprint": CycleRow.fingerprint,
}


def listing(wanted: Wanted, before: str, limit: int) -> Select[Any]:
    """Return the statement for cycles that are wanted and older than the one named, newest first."""
    newest = (CycleRow.day.desc(), CycleRow.number.desc())
    return select(CycleRow).where(*_conditions(wanted, before)).order_by(*newest).limit(limit)


def _conditions(wanted: Wanted, before: str) -> Iterator[ColumnElement[bool]]:
    for name, column in _COLUMNS.items():
        if value := getattr(wanted, name):
            yield column == value
    if wanted.signal:
        yield CycleRow.alert["signal"].as_string() == wanted.signal
    if wanted.open is not None:
        yield CycleRow.is_open.is_(wanted.open)
    if wanted.since is not None:
        yield CycleRow.opened_at >= wanted.since
    if wanted.until is not None:
        yield CycleRow.opened_at < wanted.until
    if before:
        day, number = place_of(before)
        earlier = date.fromisoformat(day)
        yield or_(CycleRow.day < earlier, and_(CycleRow.day == earlier, CycleRow.number < number))
