"""The audit port: an append-only chain with one head.

Contract: `append` returns only when the record is on disk (flushed), its `previous` is the hash of the record before
it, and no two records have the same sequence number, whoever appends. There is no update and no delete.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from domain.receipt import AuditEntry, AuditRecord


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
