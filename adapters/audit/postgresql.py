"""The audit chain in PostgreSQL: one chain for many writers, on one machine or several.

Why an append that returned is on disk and in its place: a commit takes the one row of ``audit_head`` first (``SELECT
... FOR UPDATE``), so that no second writer can take the same place before it has committed or gone; with
``synchronous_commit`` on, COMMIT returns after the write-ahead log is flushed. A connection that breaks while
committing leaves it open whether the commit happened: the head's row is taken once more on a fresh connection, which
waits until the server is through with the old one, and the record is looked for.

Triggers refuse UPDATE, DELETE and TRUNCATE. The owner of the tables could drop them: let somebody else own them, and
grant the service SELECT and INSERT on ``audit_records``, SELECT and UPDATE on ``audit_head``.
"""

from __future__ import annotations

import select
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import timedelta
from typing import Any

import psycopg

from adapters.audit.base import Head, Link
from adapters.audit.chain import DatabaseChain, Prepared, RecordUnknown
from adapters.audit.lending import Lending
from adapters.audit.postgresql_schema import SCHEMA
from adapters.audit.walk import link_of
from adapters.sql import database_url, held_ms, milliseconds
from domain.clock import Clock
from domain.errors import AuditUnavailable, ConflictError
from domain.receipt import AuditRecord

FIELD = "audit_url"
# Held while the tables are made, so that two processes that start at once do not both make them.
_MAKING = 0x65637265
_COLUMNS = "sequence, kind, cycle_id, key, body, hash"
_INSERT = (
    f"INSERT INTO audit_records ({_COLUMNS})"
    " SELECT * FROM unnest(%s::bigint[], %s::text[], %s::text[], %s::text[], %s::text[], %s::text[])"
)
_HEAD = "SELECT count, hash FROM audit_head"
# What the server answers with (SQLSTATE, or words where the connection failed), and what to do.
_REMEDIES = (
    (("55P03", "57014", "25P03"), "Find the program that keeps the chain's head locked"),
    (("53100", "53200"), "Make room on the disk of the database server"),
    (("25006",), "Name the primary server: this one takes no writes"),
    (("42501",), "Grant SELECT and INSERT on audit_records, SELECT and UPDATE on audit_head"),
    (("28P01", "28000", "password authentication", "no password"), f"Mend the user or the password of {FIELD}"),
    (("3D000", "does not exist"), f"Create what is missing, or mend {FIELD}"),
    (("timeout", "timed out"), f"Check the host of {FIELD}, and what is between"),
)
_BATCH = 2000


class _Impatient(psycopg.Connection[tuple[Any, ...]]):
    """A connection that gives up on a server that says nothing, which a network can make of any."""

    patience = 70.0

    def wait(self, gen: Any, interval: float = 0.1, timeout: float | None = None) -> Any:
        """See `psycopg.Connection.wait`."""
        try:
            return super().wait(gen, interval, timeout or self.patience)
        except psycopg.errors._WaitTimeout as error:
            self.pgconn.finish()
            raise psycopg.OperationalError(f"timeout: no answer in {timeout or self.patience:g} s") from error


class PostgresAudit(DatabaseChain):
    """A `ChainPort` on PostgreSQL by URL, e.g. ``postgresql://user@host/name``. Safe for threads, processes, machines.

    `busy` is how long a writer waits for another, and `held_ms` of it how long it may hold the head itself.

    Raises:
        ConfigurationError: the URL is not one.
        AuditUnavailable: the server cannot be reached, or the tables not made.
    """

    table = "audit_records"

    def __init__(self, url: str, clock: Clock, *, busy: timedelta = timedelta(seconds=10)) -> None:
        super().__init__(clock)
        parsed = database_url(url, field=FIELD)
        self._address = parsed.set(drivername="postgresql").render_as_string(hide_password=False)
        self._name = f"{parsed.host or parsed.query.get('host', '')}/{parsed.database or ''}"
        self._busy = busy
        self._writer: _Impatient | None = None
        self._readers = Lending(self._connect, _alive)
        self._closed = False
        with self._guarded("opened"), closing(self._connect()) as connection:
            _make(connection)

    def close(self) -> None:
        """Close the connections; appending afterwards is an `AuditUnavailable`."""
        with self._pen:
            self._closed = True
            if self._writer is not None:
                self._writer.close()
            self._writer = None
            self._readers.close()

    def check(self) -> str:
        """Return one line for `doctor`: the server, and whether what it says is on disk is."""
        with self._guarded("read"), self._readers.lent() as connection:
            ((version,), (fsync,)) = (_rows(connection, f"SHOW {name}")[0] for name in ("server_version", "fsync"))
        lasting = "" if fsync == "on" else "; its fsync is off: a record may be lost with the power"
        return f"PostgreSQL {version} at {self._name}{lasting}"

    def head(self) -> Head:
        """See `ChainPort.head`."""
        return _only([Head(int(count), str(last)) for count, last in self._asked(_HEAD)])

    def _commit(self, entries: Sequence[Prepared]) -> list[AuditRecord]:
        if self._writer is not None and not _alive(self._writer):
            self._writer = None
        reused = self._writer is not None
        sealed: list[AuditRecord] = []
        try:
            with self._guarded("written"):
                self._write_rows(entries, sealed)
        except AuditUnavailable:
            broken = self._drop_if_broken()
            if broken and sealed:
                return self._arrived(sealed)
            if broken and reused:
                # It died while it lay idle, and nothing was written: a fresh one says how the server is now.
                return self._commit(entries)
            raise
        return sealed

    def _write_rows(self, entries: Sequence[Prepared], sealed: list[AuditRecord]) -> None:
        """Write in two trips to the server; `sealed` is filled as soon as anything may be written."""
        connection = self._writer = self._writer or self._connect()
        with connection.pipeline(), connection.transaction():
            head = _only(_heads(connection, " FOR UPDATE"))
            sealed += self._sealed(head, entries)
            links = [link_of(record, text) for record, (_, text) in zip(sealed, entries, strict=True)]
            connection.execute(_INSERT, [list(column) for column in zip(*links, strict=True)])
            connection.execute("UPDATE audit_head SET count = %s, hash = %s", (links[-1].sequence, links[-1].hash))

    def _drop_if_broken(self) -> bool:
        if self._writer is None or not (self._writer.closed or self._writer.broken):
            return False
        self._writer = None
        return True

    def _arrived(self, sealed: list[AuditRecord]) -> list[AuditRecord]:
        """Return the records when the broken connection committed them.

        Raises:
            AuditUnavailable: it did not. RecordUnknown: nobody can say.
        """
        last = sealed[-1]
        try:
            with self._guarded("asked"), closing(self._connect()) as connection, connection.transaction():
                _heads(connection, " FOR UPDATE")
                found = _rows(connection, "SELECT hash FROM audit_records WHERE sequence = %s", (last.sequence,))
        except AuditUnavailable as error:
            raise RecordUnknown(f"the connection broke while the record was written: {error}") from error
        if found != [(last.hash,)]:
            raise AuditUnavailable(f"the connection to {self._name} broke before the record was written")
        return sealed

    def _fill(self, links: Iterator[Link], head: Callable[[], Head]) -> None:
        with self._guarded("written"), closing(self._connect()) as connection, connection.transaction():
            if _only(_heads(connection, " FOR UPDATE")).records:
                raise ConflictError("the audit chain there is not empty")
            with connection.cursor() as cursor, cursor.copy(f"COPY audit_records ({_COLUMNS}) FROM STDIN") as copy:
                for link in links:
                    copy.write_row(link)
            values = (*head(), head().records)
            connection.execute("UPDATE audit_head SET count = %s, hash = %s WHERE count < %s", values)

    def _select(self, where: str, values: tuple[str, ...]) -> list[Link]:
        statement = f"SELECT {_COLUMNS} FROM audit_records WHERE {where.replace('?', '%s')} ORDER BY sequence"
        return [Link(*row) for row in self._asked(statement, values)]

    def _asked(self, statement: str, values: tuple[str, ...] = ()) -> list[Any]:
        """Return rows; a connection that died while it lay idle is not the server's last word."""
        spare = self._readers.spare()
        try:
            with self._guarded("read"), self._readers.lent() as connection:
                return _rows(connection, statement, values)
        except AuditUnavailable:
            if not spare:
                raise
        self._readers.forget()
        with self._guarded("read"), self._readers.lent() as connection:
            return _rows(connection, statement, values)

    @contextmanager
    def _moment(self, after: int = 0) -> Iterator[tuple[Iterator[Link], Callable[[], list[Head]]]]:
        with self._guarded("read"), closing(self._connect()) as connection:
            connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
            heads = _heads(connection)

            def links() -> Iterator[Link]:
                with connection.cursor("audit") as rows:
                    rows.itersize = _BATCH
                    statement = f"SELECT {_COLUMNS} FROM audit_records WHERE sequence > %s ORDER BY sequence"
                    for row in rows.execute(statement, (after,)):
                        yield Link._make(row)

            yield links(), lambda: heads

    @contextmanager
    def _guarded(self, verb: str) -> Iterator[None]:
        try:
            yield
        except psycopg.Error as error:
            told = " ".join(str(error).split())[:300] or type(error).__name__
            problem = f"the audit chain at {self._name} could not be {verb}: {told}"
            raise AuditUnavailable(f"{problem}. {_remedy(error)}") from error

    def _connect(self) -> _Impatient:
        if self._closed:
            raise psycopg.OperationalError("it is closed")
        connection = _Impatient.connect(self._address, autocommit=True)
        connection.execute(
            "SELECT set_config('lock_timeout', %(busy)s, false), set_config('statement_timeout', '60s', false),"
            " set_config('idle_in_transaction_session_timeout', %(held)s, false),"
            " CASE WHEN current_setting('synchronous_commit') IN ('off', 'local', 'remote_write')"
            " THEN set_config('synchronous_commit', 'on', false) END",
            {"busy": str(milliseconds(self._busy)), "held": str(held_ms(self._busy))},
        )
        return connection


def _make(connection: _Impatient) -> None:
    """Make the tables where they are missing; whoever may only use them is asked for nothing more."""
    with connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(%s)", (_MAKING,))
        if _rows(connection, "SELECT to_regclass('audit_head')") == [(None,)]:
            connection.execute(SCHEMA)


def _rows(connection: _Impatient, statement: str, values: Sequence[Any] = ()) -> list[Any]:
    return connection.execute(statement.encode(), values).fetchall()


def _heads(connection: _Impatient, lock: str = "") -> list[Head]:
    return [Head(int(count), str(last)) for count, last in _rows(connection, _HEAD + lock)]


def _only(heads: list[Head]) -> Head:
    if len(heads) != 1:
        raise AuditUnavailable("the head of the audit chain is missing. Restore the database from a backup")
    return heads[0]


def _alive(connection: _Impatient) -> bool:
    """Whether an idle connection is still one: a server that went away has said so, and nothing else is said to it."""
    if not connection.closed and not select.select([connection.fileno()], [], [], 0)[0]:
        return True
    connection.close()
    return False


def _remedy(error: psycopg.Error) -> str:
    told, state = str(error), error.sqlstate or ""
    found = (remedy for words, remedy in _REMEDIES if state in words or any(word in told for word in words))
    return next(found, f"Check {FIELD}, the server and its disk")
