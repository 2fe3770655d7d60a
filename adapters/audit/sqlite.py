"""The audit chain in a SQLite file of its own.

Why an append that returned is on disk and in its place: the file is in WAL with ``synchronous=FULL``, so COMMIT
returns after the log is flushed; the head is read and the next records are written inside one ``BEGIN IMMEDIATE``
transaction, so no second writer, thread or process, can take the same place. Threads that wait for one another share
a flush: whoever gets the pen writes everything that is queued.

What is stored is the canonical JSON of a record's content as text, and its SHA-256: any changed byte breaks the hash,
and the head row (count and last hash) gives away records cut off the end. Triggers refuse UPDATE and DELETE. Whoever
can write the file can still rebuild the whole chain: `head()` is what to anchor outside (a commit trailer, a tracking
tag).
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import datetime, timedelta
from pathlib import Path

from pydantic import ValidationError

from domain.canonical import canonical_json
from domain.clock import Clock
from domain.errors import AuditUnavailable, ChainBroken
from domain.receipt import AuditEntry, AuditRecord, RecordKind

GENESIS = "0" * 64
"""What the first record has as its `previous`."""

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
_Row = tuple[int, str, str, str, str, str]


class _Waiting:
    """An entry in the queue and, once somebody wrote it, what became of it."""

    def __init__(self, entry: AuditEntry) -> None:
        self.entry = entry
        self.record: AuditRecord | None = None
        self.failure: str = ""

    @property
    def settled(self) -> bool:
        return self.record is not None or bool(self.failure)


class SqliteAudit:
    """An `AuditPort` on one SQLite file. Safe for threads and for several processes on one machine.

    Raises:
        AuditUnavailable: the file cannot be opened or made.
    """

    def __init__(self, path: Path, clock: Clock, *, busy: timedelta = timedelta(seconds=10)) -> None:
        self._path = path
        self._clock = clock
        self._busy = busy
        self._queue: list[_Waiting] = []
        self._queueing = threading.Lock()
        self._pen = threading.Lock()
        with self._guarded("opened"):
            path.parent.mkdir(parents=True, exist_ok=True)
            self._connection = self._connect()
            self._connection.executescript(_SCHEMA)

    def close(self) -> None:
        """Close the file; appending afterwards is an `AuditUnavailable`."""
        with self._pen:
            self._connection.close()

    def append(self, entry: AuditEntry) -> AuditRecord:
        """See `AuditPort.append`."""
        try:
            # Of the body itself: a model's JSON form turns NaN into null without a word.
            canonical_json(dict(entry.body))
            canonical_json(entry)
        except (TypeError, ValueError) as error:
            raise AuditUnavailable(f"the record cannot be written: {error}; nothing was recorded") from error
        waiting = _Waiting(entry)
        with self._queueing:
            self._queue.append(waiting)
        with self._pen:
            # Whoever held the pen before may have written this entry too.
            if not waiting.settled:
                with self._queueing:
                    batch, self._queue = self._queue, []
                self._write(batch)
        if waiting.record is None:
            raise AuditUnavailable(f"{waiting.failure}; nothing was recorded")
        return waiting.record

    def records(self, cycle_id: str | None = None) -> Sequence[AuditRecord]:
        """See `AuditPort.records`."""
        return list(self._records(cycle_id))

    def of_key(self, key: str) -> Sequence[AuditRecord]:
        """See `AuditPort.of_key`."""
        return [_record(row) for row in self._rows("key = ?", (key,))]

    def open_intents(self, cycle_id: str | None = None) -> Sequence[AuditRecord]:
        """See `AuditPort.open_intents`."""
        closed = (
            "SELECT 1 FROM records AS later WHERE later.key = records.key"
            " AND later.kind = ? AND later.sequence > records.sequence"
        )
        where = f"kind = ? AND NOT EXISTS ({closed})"
        values: tuple[str, ...] = (RecordKind.INTENT.value, RecordKind.OUTCOME.value)
        if cycle_id is not None:
            where, values = f"{where} AND cycle_id = ?", (*values, cycle_id)
        return [_record(row) for row in self._rows(where, values)]

    def verify(self) -> int:
        """See `AuditPort.verify`. Reads the chain as a stream: memory does not grow with it."""
        previous, count = GENESIS, 0
        with self._reading() as connection:
            connection.execute("BEGIN")
            with _damage_named(lambda: count + 1):
                for row in connection.execute(f"SELECT {_COLUMNS} FROM records ORDER BY sequence"):
                    _check_link(row, count + 1, previous)
                    count, previous = count + 1, row[5]
                self._check_head(connection.execute("SELECT count, hash FROM head").fetchall(), count, previous)
        return count

    def head(self) -> tuple[int, str]:
        """Return the number of records and the hash of the last one: what to anchor outside of this file."""
        with self._reading() as connection:
            count, last = connection.execute("SELECT count, hash FROM head").fetchone()
        return int(count), str(last)

    def export_jsonl(self, cycle_id: str | None, path: Path) -> int:
        """Write a cycle's records (all for None), one JSON object a line, to `path` and return how many they are.

        Raises:
            AuditUnavailable: the store cannot be read or the file not written.
        """
        count = 0
        with self._guarded("exported"):
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("w", encoding="utf-8") as out:
                for record in self._records(cycle_id):
                    out.write(canonical_json(record) + "\n")
                    count += 1
        return count

    def _write(self, batch: Sequence[_Waiting]) -> None:
        try:
            with self._guarded("written"):
                sealed = self._commit([waiting.entry for waiting in batch])
        except AuditUnavailable as error:
            for waiting in batch:
                waiting.failure = str(error)
            return
        for waiting, record in zip(batch, sealed, strict=True):
            waiting.record = record

    def _commit(self, entries: Sequence[AuditEntry]) -> list[AuditRecord]:
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            count, previous = self._connection.execute("SELECT count, hash FROM head").fetchone()
            sealed: list[AuditRecord] = []
            for entry in entries:
                count += 1
                record = AuditRecord.seal(count, self._clock.now(), previous, entry)
                previous = record.hash
                sealed.append(record)
            self._connection.executemany(f"INSERT INTO records ({_COLUMNS}) VALUES (?,?,?,?,?,?)", map(_row, sealed))
            self._connection.execute("UPDATE head SET count = ?, hash = ?", (count, previous))
            self._connection.execute("COMMIT")
        finally:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
        return sealed

    def _records(self, cycle_id: str | None) -> Iterator[AuditRecord]:
        where, values = ("cycle_id = ?", (cycle_id,)) if cycle_id is not None else ("1", ())
        return (_record(row) for row in self._rows(where, values))

    def _rows(self, where: str, values: tuple[str, ...]) -> Iterator[_Row]:
        with self._reading() as connection:
            yield from connection.execute(f"SELECT {_COLUMNS} FROM records WHERE {where} ORDER BY sequence", values)

    @staticmethod
    def _check_head(rows: Sequence[tuple[int, str]], count: int, last: str) -> None:
        if len(rows) != 1:
            raise ChainBroken("the head of the audit chain is missing")
        anchored, anchor = rows[0]
        if anchored > count:
            raise ChainBroken(
                f"record {count + 1} is missing: the head counts {anchored} records, the chain ends at {count}"
            )
        if anchored < count:
            raise ChainBroken(f"record {anchored + 1} is beyond the head, which counts {anchored} records of {count}")
        if anchor != last:
            raise ChainBroken(f"the head does not carry the hash of the last record ({count})")

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        with self._guarded("read"), closing(self._connect()) as connection:
            yield connection

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


def head_of(path: Path) -> tuple[int, str]:
    """Return the number of records and the last hash of a chain's file that nobody writes, without changing it.

    Raises:
        AuditUnavailable: it is no such file.
    """
    try:
        with closing(sqlite3.connect(f"file:{path}?mode=ro&immutable=1", uri=True)) as connection:
            count, last = connection.execute("SELECT count, hash FROM head").fetchone()
    except (sqlite3.Error, TypeError) as error:
        raise AuditUnavailable(f"{path.name} holds no audit chain: {error}") from error
    return int(count), str(last)


@contextmanager
def _damage_named(place: Callable[[], int]) -> Iterator[None]:
    try:
        yield
    except sqlite3.OperationalError:
        raise
    except sqlite3.DatabaseError as error:
        raise ChainBroken(f"record {place()}: it cannot be read any more ({error})") from error


def _text(raw: bytes) -> str:
    return raw.decode(errors="surrogateescape")


def _body(record: AuditRecord) -> str:
    return canonical_json(record.model_dump(mode="python", exclude={"hash", "entry"}) | {"entry": record.entry})


def _row(record: AuditRecord) -> _Row:
    entry = record.entry
    return record.sequence, entry.kind.value, entry.cycle_id, entry.key, _body(record), record.hash


def _record(row: _Row) -> AuditRecord:
    try:
        content = json.loads(row[4])
        at = datetime.fromisoformat(content["at"])
        return AuditRecord(
            sequence=content["sequence"],
            at=at,
            previous=content["previous"],
            entry=AuditEntry.model_validate(content["entry"]),
            hash=row[5],
        )
    except (ValueError, KeyError, TypeError, ValidationError) as error:
        raise ChainBroken(f"record {row[0]}: its content cannot be read any more") from error


def _check_link(row: _Row, expected: int, previous: str) -> None:
    sequence, kind, cycle_id, key, body, digest = row
    if sequence != expected:
        raise ChainBroken(f"record {expected} is missing: the next one found is {sequence}")
    if hashlib.sha256(str(body).encode(errors="surrogateescape")).hexdigest() != digest:
        raise ChainBroken(f"record {sequence}: its content does not match its hash")
    record = _record(row)
    if record.sequence != sequence or record.previous != previous:
        raise ChainBroken(f"record {sequence}: it does not follow the record before it")
    if (kind, cycle_id, key) != (record.entry.kind.value, record.entry.cycle_id, record.entry.key):
        raise ChainBroken(f"record {sequence}: its index (kind, cycle, key) does not match its content")
