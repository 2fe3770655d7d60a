"""What the chains in a database share: threads that write at the same time share a flush, and reading is by SQL.

A record's canonical JSON is computed once, by the thread that brings it.
"""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import NamedTuple

from adapters.audit.base import Anchor, Head, Link
from adapters.audit.walk import Walk, Watch, record_of
from adapters.together import GATHER, Brought, Turns
from domain.clock import Clock
from domain.errors import AuditUnavailable, ChainBroken
from domain.receipt import AuditEntry, AuditRecord, RecordKind

_CLOSED_LATER = (
    "SELECT 1 FROM {records} AS later WHERE later.key = {records}.key"
    " AND later.kind = ? AND later.sequence > {records}.sequence"
)
_NOTHING = "nothing was recorded"


class Prepared(NamedTuple):
    """An entry and its canonical form."""

    entry: AuditEntry
    text: str


class RecordUnknown(AuditUnavailable):
    """Whether it was recorded is not known: the server went away while it was asked, and does not come back."""


class _Sought:
    """An entry, and its record once it is on disk."""

    __slots__ = ("prepared", "record")

    def __init__(self, prepared: Prepared) -> None:
        self.prepared = prepared
        self.record: AuditRecord | None = None


def _nothing() -> None:
    """There is nothing in the way."""


class DatabaseChain(ABC):
    """A `ChainPort` on a database. Safe for threads; a vendor makes it safe for processes by locking its head."""

    table = "records"

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._turns = Turns(self._write, gather=GATHER)
        self._pen = threading.Lock()
        # Asked before every record: it raises where this process may not write any more.
        self.guard: Callable[[], None] = _nothing

    def append(self, entry: AuditEntry) -> AuditRecord:
        """See `AuditPort.append`."""
        self.guard()
        brought = self._turns.bring(_Sought(prepared(entry)))
        if brought.item.record is None:
            raise AuditUnavailable(_failure(brought)) from brought.problem
        return brought.item.record

    def records(self, cycle_id: str | None = None) -> Sequence[AuditRecord]:
        """See `AuditPort.records`."""
        if cycle_id is None:
            return [record_of(link) for link in self.links()]
        return self._found("cycle_id = ?", (cycle_id,))

    def of_key(self, key: str) -> Sequence[AuditRecord]:
        """See `AuditPort.of_key`."""
        return self._found("key = ?", (key,))

    def open_intents(self, cycle_id: str | None = None) -> Sequence[AuditRecord]:
        """See `AuditPort.open_intents`."""
        where = f"kind = ? AND NOT EXISTS ({_CLOSED_LATER.format(records=self.table)})"
        values: tuple[str, ...] = (RecordKind.INTENT.value, RecordKind.OUTCOME.value)
        if cycle_id is not None:
            where, values = f"{where} AND cycle_id = ?", (*values, cycle_id)
        return self._found(where, values)

    def after(self, sequence: int, *, cycle_id: str | None = None, limit: int = 500) -> Sequence[AuditRecord]:
        """See `FollowedPort.after`."""
        mine, values = ("", ()) if cycle_id is None else ("cycle_id = ? AND ", (cycle_id,))
        wanted = f"{mine}sequence > {int(sequence)} ORDER BY sequence LIMIT {int(limit)}"
        return self._found(f"sequence IN (SELECT sequence FROM {self.table} WHERE {wanted})", values)

    def verify(self, watch: Watch | None = None, anchors: Sequence[Anchor] = ()) -> int:
        """See `ChainPort.verify`. Reads the chain as a stream: memory does not grow with it."""
        walk = Walk(watch, anchors)
        with self._moment() as (links, heads):
            walk.through(links)
            walk.ends_at(heads())
        return walk.count

    def links(self, after: int = 0) -> Iterator[Link]:
        """See `ChainPort.links`."""
        with self._moment(after) as (links, _):
            yield from links

    def head(self) -> Head:
        """See `ChainPort.head`."""
        with self._moment() as (_, heads):
            found = heads()
        if len(found) != 1:
            raise ChainBroken("the head of the audit chain is missing", why="removed")
        return found[0]

    def _found(self, where: str, values: tuple[str, ...]) -> list[AuditRecord]:
        return [record_of(link) for link in self._select(where, values)]

    def _write(self, batch: Sequence[_Sought]) -> None:
        with self._pen:
            sealed = self._commit([sought.prepared for sought in batch])
        for sought, record in zip(batch, sealed, strict=True):
            sought.record = record

    def _sealed(self, head: Head, entries: Sequence[Prepared]) -> list[AuditRecord]:
        """Return the records that follow the head."""
        count, previous = head
        sealed: list[AuditRecord] = []
        for entry, text in entries:
            count += 1
            sealed.append(AuditRecord.seal(count, self._clock.now(), previous, entry, text))
            previous = sealed[-1].hash
        return sealed

    def refill(self, links: Iterable[Link]) -> int:
        """Put the links of another chain into this one, which has to be empty, and return their number.

        Raises:
            ConflictError: it is not empty; nothing was changed.
            ChainBroken: the links are no chain; nothing was changed.
            AuditUnavailable: it cannot be written; nothing was changed.
        """
        walk = Walk()

        def walked() -> Iterator[Link]:
            for link in links:
                walk.step(link)
                yield link

        with self._pen:
            self._fill(walked(), lambda: Head(walk.count, walk.last))
        return walk.count

    @abstractmethod
    def _fill(self, links: Iterator[Link], head: Callable[[], Head]) -> None:
        """Write the links and then the head they come to, in one transaction, or raise a ConflictError."""

    @abstractmethod
    def close(self) -> None:
        """Let go of the database; appending afterwards is an `AuditUnavailable`."""

    @abstractmethod
    def _commit(self, entries: Sequence[Prepared]) -> list[AuditRecord]:
        """Write and flush the next records in one transaction that holds the head.

        Raises:
            AuditUnavailable: nothing was written.
        """

    @abstractmethod
    def _select(self, where: str, values: tuple[str, ...]) -> list[Link]:
        """Return the links that fulfil `where` (with ``?`` for values), in order."""

    @abstractmethod
    def _moment(self, after: int = 0) -> AbstractContextManager[tuple[Iterator[Link], Callable[[], list[Head]]]]:
        """Give a stream of links behind `after`, and the head rows, both as of one moment.

        Raises:
            AuditUnavailable: the store cannot be read. ChainBroken: a record cannot be.
        """


def _failure(brought: Brought[_Sought]) -> str:
    if brought.problem is None:
        return f"the thread that was writing was stopped; {_NOTHING}"
    known = "whether it was recorded is not known" if isinstance(brought.problem, RecordUnknown) else _NOTHING
    return f"{brought.problem}; {known}"


def prepared(entry: AuditEntry) -> Prepared:
    """Return the entry with its canonical form.

    Raises:
        AuditUnavailable: it has none.
    """
    try:
        if "\0" in entry.cycle_id or "\0" in entry.key:
            raise ValueError("a zero byte is in its cycle or key")
        return Prepared(entry, entry.canonical())
    except (TypeError, ValueError) as error:
        raise AuditUnavailable(f"the record cannot be written: {error}; {_NOTHING}") from error
