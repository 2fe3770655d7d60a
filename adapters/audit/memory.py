"""The audit chain in memory: the same contract, gone with the process."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence

from adapters.audit.base import EMPTY, Anchor, Head, Link
from adapters.audit.walk import Walk, Watch, link_of
from domain.clock import Clock
from domain.errors import AuditUnavailable
from domain.receipt import AuditEntry, AuditRecord, RecordKind


class MemoryAudit:
    """A `ChainPort` for tests and embedding. With `broken` set, it fails as a full disk does."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._records: list[AuditRecord] = []
        self.broken = False

    def append(self, entry: AuditEntry) -> AuditRecord:
        """See `AuditPort.append`."""
        if self.broken:
            raise AuditUnavailable("the audit chain is switched off; nothing was recorded")
        try:
            text = entry.canonical()
        except (TypeError, ValueError) as error:
            raise AuditUnavailable(f"the record cannot be written: {error}; nothing was recorded") from error
        with self._lock:
            record = AuditRecord.seal(len(self._records) + 1, self._clock.now(), self.head().hash, entry, text)
            self._records.append(record)
        return record

    def records(self, cycle_id: str | None = None) -> Sequence[AuditRecord]:
        """See `AuditPort.records`."""
        with self._lock:
            return [record for record in self._records if cycle_id is None or record.entry.cycle_id == cycle_id]

    def of_key(self, key: str) -> Sequence[AuditRecord]:
        """See `AuditPort.of_key`."""
        return [record for record in self.records() if record.entry.key == key]

    def open_intents(self, cycle_id: str | None = None) -> Sequence[AuditRecord]:
        """See `AuditPort.open_intents`."""
        found = self.records(cycle_id)
        last_outcome = {r.entry.key: r.sequence for r in self.records() if r.entry.kind is RecordKind.OUTCOME}
        return [
            record
            for record in found
            if record.entry.kind is RecordKind.INTENT and last_outcome.get(record.entry.key, 0) < record.sequence
        ]

    def verify(self, watch: Watch | None = None, anchors: Sequence[Anchor] = ()) -> int:
        """See `ChainPort.verify`."""
        walk = Walk(watch, anchors)
        walk.through(self.links())
        walk.ends_at([self.head()])
        return walk.count

    def head(self) -> Head:
        """See `ChainPort.head`."""
        return Head(len(self._records), self._records[-1].hash) if self._records else EMPTY

    def after(self, sequence: int, *, cycle_id: str | None = None, limit: int = 500) -> Sequence[AuditRecord]:
        """See `FollowedPort.after`."""
        return [record for record in self.records(cycle_id) if record.sequence > sequence][:limit]

    def links(self, after: int = 0) -> Iterator[Link]:
        """See `ChainPort.links`."""
        return (link_of(record) for record in self.records() if record.sequence > after)
