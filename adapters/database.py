"""The database of Evercrew's own records, for every adapter that keeps tables there: SQLite in WAL or PostgreSQL.

Every write is one transaction that takes the write lock first (``BEGIN IMMEDIATE`` on SQLite), so that what it reads
and what it writes cannot interleave with another writer, thread or process. On PostgreSQL a write that depends on what
it read locks the rows, or the table, itself.
"""

from __future__ import annotations

import secrets
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError
from sqlalchemy.orm import Session

from adapters.sql import database_url, explained, impatient
from adapters.sqlite_turn import BEGIN, begun
from adapters.store.migrations import migrate
from domain.canonical import canonical_json
from domain.clock import SystemClock
from domain.errors import ConfigurationError, DependencyLied, DependencyUnavailable

FIELD = "store_url"
# To a file. More are opened when they are needed, and closed again.
_CONNECTIONS = 16
_SWITCHING_MS = 50
_DAMAGED = "Restore a backup of the database: somebody else has written into it"


class Database:
    """A database by URL, e.g. ``sqlite:////var/lib/evercrew/store.db`` or ``postgresql://...``; threads share it.

    Migrates the database when constructed. `busy` is how long a write waits for another; a PostgreSQL server has 5 s to
    answer, unless the URL says otherwise (``connect_timeout``).

    Raises:
        ConfigurationError: the URL is not one.
        DependencyUnavailable: the database cannot be reached. DependencyTimeout: another program keeps it locked.
        DependencyLied: it is of another schema.
    """

    def __init__(self, url: str, *, busy: timedelta = timedelta(seconds=10)) -> None:
        self.engine = _engine(url, busy)
        self._busy = busy.total_seconds()
        # SQLite has those who wait for the write lock look for it in growing pauses: threads of ours queue up instead.
        self._writing = None if self.is_postgresql else threading.Lock()
        # Run first in every write transaction: it raises where this process may not write any more.
        self.fence: Callable[[Connection], None] | None = None
        with self.guarded(), self.begin(write=True) as connection:
            migrate(connection)

    @property
    def is_postgresql(self) -> bool:
        """Whether it is PostgreSQL, and not SQLite."""
        return self.engine.dialect.name == "postgresql"

    def close(self) -> None:
        """Give the connections back."""
        self.engine.dispose()

    @contextmanager
    def session(self, *, write: bool = False) -> Iterator[Session]:
        """A transaction with a session on it, committed at the end.

        Raises:
            DependencyError: the database cannot be used, or holds rows that none of ours can be.
        """
        with (
            self.guarded(),
            self.begin(write=write) as connection,
            Session(connection, expire_on_commit=False) as session,
        ):
            yield session
            session.flush()

    @contextmanager
    def begin(self, *, write: bool) -> Iterator[Connection]:
        """A transaction, committed at the end; its errors are those of the driver, unless it is `guarded`."""
        with (
            self._turn(write),
            self.engine.connect().execution_options(evercrew_write=write) as connection,
            connection.begin(),
        ):
            if write and self.fence is not None:
                self.fence(connection)
            yield connection

    @contextmanager
    def _turn(self, write: bool) -> Iterator[None]:
        """Wait for the threads of this process that write; after `busy` the database itself says that it is locked."""
        taken = write and self._writing is not None and self._writing.acquire(timeout=self._busy)
        try:
            yield
        finally:
            if taken and self._writing is not None:
                self._writing.release()

    def alone(self, session: Session, key: int) -> None:
        """Wait until nobody else writes under `key`, any constant, and let nobody until the transaction is over.

        On SQLite a transaction that writes is alone as it is.
        """
        if self.is_postgresql:
            session.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": key})

    @contextmanager
    def reading(self) -> Iterator[Any]:
        """A cursor of the driver, for a `Query`; each one that it runs sees the database as it is then.

        Raises:
            DependencyError: as `session`.
        """
        driver: Any = self.engine.dialect.loaded_dbapi
        with self.guarded():
            connection = self.engine.raw_connection()
            try:
                yield connection.cursor()
            except driver.Error as error:
                raise DBAPIError.instance("reading", {}, error, driver.Error, dialect=self.engine.dialect) from error
            finally:
                connection.close()

    @contextmanager
    def guarded(self) -> Iterator[None]:
        """Turn what the driver raises into errors of ours."""
        try:
            yield
        except SQLAlchemyError as error:
            raise explained(error, name="store", field=FIELD) from error
        except (ValueError, TypeError) as error:
            raise DependencyLied(
                "store", f"a row cannot be read: {' '.join(str(error).split())[:300]}", _DAMAGED
            ) from error


def _engine(url: str, busy: timedelta) -> Engine:
    parsed = database_url(url, field=FIELD)
    try:
        # A file does not go away between two uses of a connection, as a server may.
        served = parsed.get_backend_name() != "sqlite"
        kept = {} if served else {"pool_size": _CONNECTIONS}
        engine = create_engine(parsed, json_serializer=canonical_json, pool_pre_ping=served, **kept)
    except (ArgumentError, ImportError) as error:
        remedy = "Install evercrew[postgres] for postgresql://, and leave the driver out"
        raise ConfigurationError(FIELD, f"its driver cannot be used ({error})", remedy) from error
    if parsed.get_backend_name() == "sqlite":
        _prepare_sqlite(engine, busy)
    else:
        impatient(engine, busy)
    return engine


def _prepare_sqlite(engine: Engine, busy: timedelta) -> None:
    path = engine.url.database
    if path and path != ":memory:":
        try:
            Path(path).parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise DependencyUnavailable(
                "store", f"{path} cannot be made: {error}", f"Mend {FIELD}, or make the folder of `state` writable"
            ) from error

    @event.listens_for(engine, "connect")
    def _prepare(connection: Any, _record: object) -> None:
        # The driver must not open transactions by itself: `_begin` says which kind.
        connection.isolation_level = None
        _write_ahead(connection, busy)
        connection.execute(f"PRAGMA busy_timeout={int(busy.total_seconds() * 1000)}")
        connection.execute("PRAGMA synchronous=FULL")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        write = connection.get_execution_options().get("evercrew_write", False)
        if write:
            _begin_writing(connection, busy)
        else:
            connection.exec_driver_sql("BEGIN")


def _begin_writing(connection: Connection, busy: timedelta) -> None:
    """Begin a transaction that no other process writes during."""
    driver: Any = connection.connection.dbapi_connection
    driver.execute("PRAGMA busy_timeout=0")
    try:
        if not begun(lambda: driver.execute(BEGIN), busy):
            connection.exec_driver_sql(BEGIN)
    finally:
        driver.execute(f"PRAGMA busy_timeout={int(busy.total_seconds() * 1000)}")


def _write_ahead(connection: Any, busy: timedelta) -> None:
    """Switch a new file to the write-ahead log.

    Two who switch it at the same moment wait for one another until both give up: so they give up soon, and try again
    after a while of their own.
    """
    clock = SystemClock()
    until = clock.monotonic() + busy.total_seconds()
    connection.execute(f"PRAGMA busy_timeout={_SWITCHING_MS}")
    while True:
        try:
            if connection.execute("PRAGMA journal_mode").fetchone() != ("wal",):
                connection.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as problem:
            if "locked" not in str(problem) or clock.monotonic() >= until:
                raise
            clock.sleep(timedelta(milliseconds=secrets.randbelow(_SWITCHING_MS)))
