"""Sudden death at a named point: the process kills itself as ``kill -9`` would, from the wiring around the real parts.

Points are written as

    before TOOL          the intent is on disk, nothing has been done
    inside TOOL METHOD   in the middle of the adapter's work: after METHOD of the adapter returned
    after TOOL METHOD    the adapter's METHOD returned, nothing has been recorded
    recorded TOOL        the outcome is on disk, the stage does not know of it
    moved STAGE          the move to STAGE is on record, and not in the store
    entered STAGE        the move to STAGE is in the store, the workflow does not know of it
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from functools import reduce
from typing import Any

from adapters.audit.sqlite import SqliteAudit
from adapters.store.sqlalchemy import SqlStore
from domain.cycle import Cycle
from domain.receipt import AuditEntry, AuditRecord, RecordKind


class Reaper:
    """Knows the point; `tool` is the one whose permit was last handed over."""

    def __init__(self, point: str) -> None:
        self._point = point
        self.tool = ""

    def passes(self, point: str) -> None:
        """Die when this is the point."""
        if point == self._point:
            os.kill(os.getpid(), signal.SIGKILL)

    def hook(self, adapter: object, method: str) -> None:
        """Let a method inside an adapter, or of a part of it (``branch.commit_tree``), be the middle of its work."""
        *parts, name = method.split(".")
        owner = reduce(getattr, parts, adapter)
        found: Callable[..., Any] = getattr(owner, name)

        def called(*args: Any, **kwargs: Any) -> Any:
            result = found(*args, **kwargs)
            self.passes(f"inside {self.tool} {name}")
            return result

        setattr(owner, name, called)


class Mortal:
    """Any port; its methods that take a permit die after they returned, when their time has come."""

    def __init__(self, port: object, reaper: Reaper) -> None:
        self._port = port
        self._reaper = reaper

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._port, name)
        if not callable(found):
            return found

        def called(*args: Any, **kwargs: Any) -> Any:
            permit = kwargs.get("permit")
            if permit is None:
                return found(*args, **kwargs)
            self._reaper.tool = permit.tool
            result = found(*args, **kwargs)
            self._reaper.passes(f"after {permit.tool} {name}")
            return result

        return called


class MortalAudit(SqliteAudit):
    """The real chain; dies after an intent, an outcome or a move was flushed."""

    reaper: Reaper

    def append(self, entry: AuditEntry) -> AuditRecord:
        """See `AuditPort.append`."""
        record = super().append(entry)
        if entry.kind is RecordKind.INTENT:
            self.reaper.passes(f"before {entry.tool}")
        if entry.kind is RecordKind.OUTCOME and entry.status == "done":
            self.reaper.passes(f"recorded {entry.tool}")
        if entry.kind is RecordKind.TRANSITION:
            self.reaper.passes(f"moved {entry.status}")
        return record


class MortalStore(SqlStore):
    """The real store; dies after a cycle was saved in another stage."""

    reaper: Reaper
    _stage = ""

    def save(self, cycle: Cycle) -> None:
        """See `StorePort.save`."""
        super().save(cycle)
        moved = self._stage not in ("", cycle.stage.value)
        self._stage = cycle.stage.value
        if moved:
            self.reaper.passes(f"entered {cycle.stage.value}")
