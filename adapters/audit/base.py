"""The audit port: an append-only chain with one head.

Contract: `append` returns only when the record is on disk (flushed), its `previous` is the hash of the record before
it, and no two records have the same sequence number, whoever appends. There is no update and no delete.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from domain.receipt import AuditEntry, AuditRecord

GENESIS = "0" * 64
"""What the first record has as its `previous`."""


class Link(NamedTuple):
    """A record as it is stored: `text` is its canonical JSON, `hash` the SHA-256 of that, the rest an index into it."""

    sequence: int
    kind: str
    cycle_id: str
    key: str
    text: str
    hash: str


class Head(NamedTuple):
    """How many records there are, and the hash of the last one."""

    records: int
    hash: str


EMPTY = Head(0, GENESIS)
"""The head of a chain without records."""


class Anchor(NamedTuple):
    """What somebody outside of the chain has seen of it: a record's number and its hash, or how that begins."""

    where: str
    record: int
    hash: str


class AuditPort(Protocol):
    """Appends and reads records."""

    def append(self, entry: AuditEntry) -> AuditRecord:
        """Write and flush the next record.

        Raises:
            AuditUnavailable: it could not be written; nothing was recorded.
        """
        ...

    def records(self, cycle_id: str | None = None) -> Sequence[AuditRecord]:
        """Return all records, or a cycle's, oldest first.

        Raises:
            AuditUnavailable: the store cannot be read.
        """
        ...

    def of_key(self, key: str) -> Sequence[AuditRecord]:
        """Return the records under an idempotency key, oldest first, without reading any other.

        Raises:
            AuditUnavailable: the store cannot be read.
        """
        ...

    def open_intents(self, cycle_id: str | None = None) -> Sequence[AuditRecord]:
        """Return intents that have no outcome under the same key after them, oldest first."""
        ...

    def verify(self) -> int:
        """Return the number of records when the whole chain is intact.

        Raises:
            ChainBroken: names the first record that does not fit and why.
        """
        ...


class FollowedPort(Protocol):
    """A chain as somebody follows it: how far it is, and what came after a record."""

    def head(self) -> Head:
        """Return the number of records and the hash of the last one: what to anchor elsewhere."""
        ...

    def after(self, sequence: int, *, cycle_id: str | None = None, limit: int = 500) -> Sequence[AuditRecord]:
        """Return the first `limit` records behind the record `sequence`, of a cycle or of all, oldest first.

        Only so many are read, however long the chain is.

        Raises:
            AuditUnavailable: the store cannot be read.
        """
        ...


class ChainPort(AuditPort, FollowedPort, Protocol):
    """A chain as its keeper sees it: its head, and its links as they are stored."""

    def links(self, after: int = 0) -> Iterator[Link]:
        """Return the links behind the record `after`, in order, as a stream of one moment.

        Raises:
            AuditUnavailable: the store cannot be read.
        """
        ...

    def verify(
        self, watch: Callable[[Any, int, Mapping[str, Any]], None] | None = None, anchors: Sequence[Anchor] = ()
    ) -> int:
        """See `AuditPort.verify`.

        `watch` is told of every checkpoint: the walk so far, its place, and its body; `anchors` are held against the
        records they speak of.
        """
        ...


class SignedPort(AuditPort, Protocol):
    """A chain with signed checkpoints."""

    def vouched(self) -> tuple[int, int]:
        """Return the number of records, and the last one that a signed checkpoint vouches for (zero: none does).

        The chain is walked, signatures included, as `verify` does.

        Raises:
            ChainBroken: see `verify`.
        """
        ...
