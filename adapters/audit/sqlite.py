"""The audit chain in a SQLite file of its own.

Why an append that returned is on disk and in its place: the file is in WAL with ``synchronous=FULL``, so COMMIT
returns after the log is flushed; the head is read and the next records are written inside one ``BEGIN IMMEDIATE``
transaction, so no second writer, thread or process, can take the same place.

What is stored is the canonical JSON of a record's content as text, and its SHA-256: any changed byte breaks the hash,
and the head row (count and last hash) gives away records cut off the end. Triggers refuse UPDATE and DELETE. Whoever
can write the file can still rebuild the whole chain: signed checkpoints (`signed`) and what is anchored outside of the
file are against that.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import timedelta
from pathlib import Path

from adapters.audit.base import Head, Link
from adapters.audit.chain import DatabaseChain, Prepared
from adapters.audit.lending import Lending
from adapters.audit.walk import link_of
from adapters.sqlite_turn import BEGIN, begun
from domain.clock import Clock
from domain.errors import AuditUnavailable, ChainBroken, ConflictError
from domain.receipt import AuditRecord

_SCHEMA = """
CREATE TABLE IF NOT EXISTS records (
    sequence INTEGER PRIMARY KEY,
    kind TEXT NOT NULL,
    cycle_id TEXT NOT NULL,
    key TEXT NOT NULL,
    body TEXT NOT NULL,
    hash TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS records_cycle ON records (cycle_id, sequence);
CREATE INDEX IF NOT EXISTS records_key ON records (key, sequence);
CREATE TABLE IF NOT EXISTS head (id INTEGER PRIMARY KEY CHECK (id = 1), count INTEGER NOT NULL, hash TEXT NOT NULL);
INSERT OR IGNORE INTO head VALUES (1, 0, '0000000000000000000000000000000000000000000000000000000000000000');
CREATE TRIGGER IF NOT EXISTS records_no_update BEFORE UPDATE ON records
    BEGIN SELECT RAISE(ABORT, 'the audit chain is append-only'); END;
CREATE TRIGGER IF NOT EXISTS records_no_delete BEFORE DELETE ON records
    BEGIN SELECT RAISE(ABORT, 'the audit chain is append-only'); END;
CREATE TRIGGER IF NOT EXISTS head_no_delete BEFORE DELETE ON head
    BEGIN SELECT RAISE(ABORT, 'the audit chain is append-only'); END;
CREATE TRIGGER IF NOT EXISTS head_only_grows BEFORE UPDATE ON head WHEN NEW.count <= OLD.count
    BEGIN SELECT RAISE(ABORT, 'the audit chain is append-only'); END;
"""

_REMEDIES = (
    ("locked", "End the other program that holds it"),
    ("full", "Make room on the disk of `state`"),
    ("readonly", "Make the folder of `state` writable by this user"),
    ("unable to open", "Make the folder of `state` writable by this user"),
    ("not a database", "Restore `state` from a backup"),
    ("closed", "Open it again: this process has closed it"),
)
_COLUMNS = "sequence, kind, cycle_id, key, body, hash"
_ROWS = 64


class SqliteAudit(DatabaseChain):
    """A `ChainPort` on one SQLite file. Safe for threads and for several processes on one machine.

    Raises:
        AuditUnavailable: the file cannot be opened or made.
    """

    def __init__(self, path: Path, clock: Clock, *, busy: timedelta = timedelta(seconds=10)) -> None:
        super().__init__(clock)
        self._path = path
        self._busy = busy
        self._readers = Lending(self._connect)
        with self._guarded("opened"):
            path.parent.mkdir(parents=True, exist_ok=True)
            self._connection = self._connect()
            self._connection.executescript(_SCHEMA)
            self._connection.execute("PRAGMA busy_timeout=0")  # `_begin` waits

    def close(self) -> None:
        """Close the file; appending afterwards is an `AuditUnavailable`."""
        with self._pen:
            self._connection.close()
            self._readers.close()

    def _commit(self, entries: Sequence[Prepared]) -> list[AuditRecord]:
        with self._guarded("written"):
            self._begin()
            try:
                head = Head(*self._connection.execute("SELECT count, hash FROM head").fetchone())
                sealed = self._sealed(head, entries)
                links = [link_of(record, text) for record, (_, text) in zip(sealed, entries, strict=True)]
                self._insert(links)
                last = sealed[-1]
                self._connection.execute("UPDATE head SET count = ?, hash = ?", (last.sequence, last.hash))
                self._connection.execute("COMMIT")
            finally:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
        return sealed

    def _begin(self) -> None:
        """Take the head: no other process writes until this transaction is over."""
        if not begun(lambda: self._connection.execute(BEGIN), self._busy):
            self._connection.execute(BEGIN)

    def _insert(self, links: Sequence[Link]) -> None:
        """Insert with few statements: in each of them the driver lets go of the interpreter, and has to get it back."""
        for start in range(0, len(links), _ROWS):
            some = links[start : start + _ROWS]
            places = ",".join(["(?,?,?,?,?,?)"] * len(some))
            values = [value for link in some for value in link]
            self._connection.execute(f"INSERT INTO records ({_COLUMNS}) VALUES {places}", values)

    def _fill(self, links: Iterator[Link], head: Callable[[], Head]) -> None:
        with self._guarded("written"):
            self._begin()
            try:
                if self._connection.execute("SELECT count FROM head").fetchone() != (0,):
                    raise ConflictError("the audit chain there is not empty")
                self._connection.executemany(f"INSERT INTO records ({_COLUMNS}) VALUES (?,?,?,?,?,?)", links)
                self._connection.execute(
                    "UPDATE head SET count = ?, hash = ? WHERE count < ?", (*head(), head().records)
                )
                self._connection.execute("COMMIT")
            finally:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")

    def _select(self, where: str, values: tuple[str, ...]) -> list[Link]:
        with self._guarded("read"), self._readers.lent() as connection:
            found = connection.execute(f"SELECT {_COLUMNS} FROM records WHERE {where} ORDER BY sequence", values)
            return [Link(*row) for row in found.fetchall()]

    @contextmanager
    def _moment(self, after: int = 0) -> Iterator[tuple[Iterator[Link], Callable[[], list[Head]]]]:
        place = after

        def links() -> Iterator[Link]:
            nonlocal place
            for row in connection.execute(
                f"SELECT {_COLUMNS} FROM records WHERE sequence > ? ORDER BY sequence", (after,)
            ):
                yield Link._make(row)
                place = row[0]

        def heads() -> list[Head]:
            return [Head(int(count), str(last)) for count, last in connection.execute("SELECT count, hash FROM head")]

        # A connection of its own: whoever breaks a stream off leaves its moment open, and closing ends it.
        with self._guarded("read"), closing(self._connect()) as connection:
            connection.execute("BEGIN")
            with _damage_named(lambda: place + 1):
                yield links(), heads

    @contextmanager
    def _guarded(self, verb: str) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            problem = f"the audit chain at {self._path} could not be {verb}: {error}"
            raise AuditUnavailable(f"{problem}. {_remedy(error)}") from error

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self._path, timeout=self._busy.total_seconds(), isolation_level=None, check_same_thread=False
        )
        # Text that is no UTF-8 any more must reach `verify`, which names it, and not fail in the driver.
        connection.text_factory = _text
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        return connection


def _remedy(error: Exception) -> str:
    told = str(error)
    return next((remedy for words, remedy in _REMEDIES if words in told), "Check the folder of `state` and its disk")


def head_of(path: Path) -> Head:
    """Return the number of records and the last hash of a chain's file that nobody writes, without changing it.

    Raises:
        AuditUnavailable: it is no such file.
    """
    try:
        with closing(sqlite3.connect(f"file:{path}?mode=ro&immutable=1", uri=True)) as connection:
            count, last = connection.execute("SELECT count, hash FROM head").fetchone()
    except (sqlite3.Error, TypeError) as error:
        raise AuditUnavailable(f"{path.name} holds no audit chain: {error}") from error
    return Head(int(count), str(last))


@contextmanager
def _damage_named(place: Callable[[], int]) -> Iterator[None]:
    try:
        yield
    except sqlite3.OperationalError:
        raise
    except sqlite3.DatabaseError as error:
        told = f"record {place()}: it cannot be read any more ({error})"
        raise ChainBroken(told, record=place()) from error


def _text(raw: bytes) -> str:
    return raw.decode(errors="surrogateescape")
