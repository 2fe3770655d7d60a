"""Statements of the store that are built once, for what happens at every call through the door."""

from __future__ import annotations

from sqlalchemy import bindparam, exists, func, select

from adapters.store.models import CycleRow, FlagTableRow, TombstoneRow

RECORD = (
    "INSERT INTO recordings (cycle_id, place, kind, payload) VALUES {rows}"
    " ON CONFLICT (cycle_id, place) DO UPDATE SET kind = excluded.kind, payload = excluded.payload"
)
A_RECORDING = {"sqlite": "(?,?,?,?)", "postgresql": "(%s,%s,%s,CAST(%s AS JSON))"}
RECORDED_AT_ONCE = 64
_CYCLES, _FLAGS = CycleRow.__table__.c, FlagTableRow.__table__.c
_same_day = CycleRow.__table__.alias("same_day")
MOMENT = select(
    CycleRow.__table__,
    select(func.count())
    .select_from(_same_day)
    .where(_same_day.c.day == _CYCLES.day)
    .scalar_subquery()
    .label("that_day"),
    exists().where(TombstoneRow.__table__.c.digest == bindparam("digest")).label("entombed"),
).where(_CYCLES.id == bindparam("cycle_id"))
ALL_FLAGS = select(_FLAGS.name, _FLAGS.environment, _FLAGS.enabled, _FLAGS.metadata.label("details")).order_by(
    _FLAGS.name, _FLAGS.environment
)
