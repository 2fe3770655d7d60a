"""The audit chain in memory: the same contract, gone with the process."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from domain.canonical import canonical_json
from domain.clock import Clock
from domain.errors import AuditUnavailable, ChainBroken
from domain.receipt import AuditEntry, AuditRecord, RecordKind

GENESIS = "0" * 64


class MemoryAudit:
    """An `AuditPort` for tests and embedding. With `broken` set, it fails as a full disk does."""

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
            # Of the body itself: a model's JSON form turns NaN into null without a word.
            canonical_json(dict(entry.body))
            canonical_json(entry)
        except (TypeError, ValueError) as error:
            raise AuditUnavailable(f"the record cannot be written: {error}; nothing was recorded") from error
        with self._lock:
            previous = self._records[-1].hash if self._records else GENESIS
            record = AuditRecord.seal(len(self._records) + 1, self._clock.now(), previous, entry)
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

    def verify(self) -> int:
        """See `AuditPort.verify`."""
        previous = GENESIS
        records = self.records()
        for expected, record in enumerate(records, start=1):
            if record.sequence != expected or record.previous != previous or not record.intact():
                raise ChainBroken(f"record {expected}: its content does not match its hash or the record before it")
            previous = record.hash
        return len(records)
