"""Executors in a table, and the fence that every write of a fenced process runs into.

Why a process that was paused cannot write after its work was taken over: each of its write transactions first locks
its row in the table of executors against being fenced (``FOR KEY SHARE``, which a beat does not wait for, and fencing,
which takes the row whole, does). So a write either commits before the fence, and whoever takes over sees it, or finds
the fence and is undone. What is open in a process that is paused in the middle of a transaction is ended by the server
before whoever waits for it gives up. On SQLite, where one process writes at a time, the write lock does the same.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta

from sqlalchemy import ColumnElement, Connection, Float, cast, func, select, update
from sqlalchemy.dialects import postgresql, sqlite

from adapters.database import Database
from adapters.executors.base import Fenced, Lease, Member
from adapters.executors.memory import lease_of, parsed, taken
from adapters.executors.models import ExecutorRow

_ROW = ExecutorRow


class SqlExecutors:
    """An `ExecutorsPort` on a `Database` of its own: one whose writes are fenced could not be told so by `beat`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._now: ColumnElement[float] = (
            cast(func.extract("epoch", func.clock_timestamp()), Float)
            if database.is_postgresql
            else (func.julianday("now") - 2440587.5) * 86400.0
        )
        self._silent = self._now - _ROW.beat_at

    def join(self, executor: str, ttl: timedelta) -> Lease:
        """See `ExecutorsPort.join`."""
        lease, seconds = lease_of(executor, 1), ttl.total_seconds()
        insert = postgresql.insert if self._database.is_postgresql else sqlite.insert
        new = insert(_ROW).values(executor=executor, generation=1, ttl_s=seconds, beat_at=self._now, fenced=False)
        again = {"generation": _ROW.generation + 1, "ttl_s": seconds, "beat_at": self._now, "fenced": False}
        free = _ROW.fenced | (self._silent >= _ROW.ttl_s)
        statement = new.on_conflict_do_update(index_elements=[_ROW.executor], set_=again, where=free)
        with self._database.guarded(), self._database.begin(write=True) as connection:
            generation = connection.scalar(statement.returning(_ROW.generation))
        if generation is None:
            raise taken(executor, ttl)
        return lease.model_copy(update={"generation": generation})

    def beat(self, lease: Lease) -> bool:
        """See `ExecutorsPort.beat`."""
        with self._database.guarded(), self._database.begin(write=True) as connection:
            return connection.execute(update(_ROW).where(*_held(lease)).values(beat_at=self._now)).rowcount == 1

    def holds(self, lease: Lease) -> bool:
        """See `ExecutorsPort.holds`."""
        with self._database.guarded(), self._database.begin(write=False) as connection:
            return connection.scalar(select(_ROW.executor).where(*_held(lease))) is not None

    def fence(self, owner: str) -> bool:
        """See `ExecutorsPort.fence`."""
        executor, generation = parsed(owner)
        mine = (_ROW.executor == executor, _ROW.generation == generation, ~_ROW.fenced)
        with self._database.guarded(), self._database.begin(write=True) as connection:
            # Whole, so that it waits for the writes of the holder that are under way, and they for it.
            silent = connection.scalar(select(self._silent >= _ROW.ttl_s).where(*mine).with_for_update())
            if silent:
                connection.execute(update(_ROW).where(*mine).values(fenced=True))
            return silent is None or bool(silent)

    def leave(self, lease: Lease) -> None:
        """See `ExecutorsPort.leave`."""
        with self._database.guarded(), self._database.begin(write=True) as connection:
            connection.execute(select(_ROW.executor).where(*_held(lease)).with_for_update())
            connection.execute(update(_ROW).where(*_held(lease)).values(fenced=True))

    def members(self) -> Sequence[Member]:
        """See `ExecutorsPort.members`."""
        wanted = select(_ROW.executor, _ROW.generation, _ROW.ttl_s, self._silent.label("silent"))
        with self._database.guarded(), self._database.begin(write=False) as connection:
            rows = connection.execute(wanted.where(~_ROW.fenced).order_by(_ROW.executor)).all()
        return [
            Member(
                lease=Lease(executor=row.executor, generation=row.generation),
                alive=row.silent < row.ttl_s,
                silent=timedelta(seconds=max(row.silent, 0.0)),
            )
            for row in rows
        ]


def fence_of(lease: Lease) -> Callable[[Connection], None]:
    """Return what `Database.fence` runs first in every write transaction of the lease's holder."""
    held = select(_ROW.executor).where(*_held(lease)).with_for_update(key_share=True, read=True)

    def check(connection: Connection) -> None:
        if connection.scalar(held) is None:
            raise Fenced(f"{lease.owner} was taken for dead, and others go on with its cycles")

    return check


def _held(lease: Lease) -> tuple[ColumnElement[bool], ...]:
    return _ROW.executor == lease.executor, _ROW.generation == lease.generation, ~_ROW.fenced
