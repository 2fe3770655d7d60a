"""Every durable write of the gate and the engine, counted, and sudden death at one of them.

A write is a commit of the store's database (cycles, recordings, approvals, ledger ...), of the workflows, or of the
audit chain. The place to die at is right before its commit: then all that came before is there, and this is not. An
append to the chain has a second place, right after it: an intent is followed by an effect and not by another write. So
the numbers from 1 on enumerate every gap between two writes.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Engine, event

from adapters.audit.base import AuditPort
from domain.receipt import AuditEntry, AuditRecord

# What MLflow writes is an effect behind the door, and not a record of ours.
_NOT_OURS = ("mlflow.db",)
_WROTE = "evercrew_chaos_wrote"


class Writes:
    """Counts, and ends the process at place number `end` (0 for never)."""

    def __init__(self, end: int) -> None:
        self._end = end
        self._lock = threading.Lock()
        self.count = 0
        event.listen(Engine, "before_cursor_execute", _noted)
        event.listen(Engine, "commit", self._committing)

    def close(self) -> None:
        """Count no more."""
        event.remove(Engine, "before_cursor_execute", _noted)
        event.remove(Engine, "commit", self._committing)

    def passed(self) -> None:
        """Pass one place."""
        with self._lock:
            self.count += 1
            if self.count == self._end:
                os.kill(os.getpid(), signal.SIGKILL)

    def _committing(self, connection: Connection) -> None:
        if connection.info.pop(_WROTE, False) and _ours(connection):
            self.passed()


class CountedAudit:
    """Any chain; its appends are counted where it is no database of SQLAlchemy."""

    def __init__(self, audit: AuditPort, writes: Writes) -> None:
        self._audit = audit
        self._writes = writes

    def __getattr__(self, name: str) -> Any:
        return getattr(self._audit, name)

    def append(self, entry: AuditEntry) -> AuditRecord:
        """See `AuditPort.append`."""
        self._writes.passed()
        record = self._audit.append(entry)
        self._writes.passed()
        return record


def sample(count: int, size: int) -> Sequence[int]:
    """Return numbers spread evenly over all places, the first and the last among them."""
    if count <= size:
        return range(1, count + 1)
    return sorted({1 + round(n * (count - 1) / (size - 1)) for n in range(size)})


def _ours(connection: Connection) -> bool:
    return not str(connection.engine.url.database or "").endswith(_NOT_OURS)


def _noted(connection: Connection, _cursor: Any, statement: str, *_more: Any) -> None:
    """Reads end in a commit too: what a commit is of shows in the statements before it."""
    if statement.lstrip()[:6].upper() in ("INSERT", "UPDATE", "DELETE"):
        connection.info[_WROTE] = True
