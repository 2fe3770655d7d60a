"""Proving the whole audit chain while somebody looks on: how far the walk has come, and what it found."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from domain.errors import ChainBroken, ConflictError, EvercrewError
from service.auditing import seen_elsewhere
from service.wiring import App


@dataclass(frozen=True)
class Progress:
    """So many records of so many were walked."""

    done: int
    total: int


@dataclass(frozen=True)
class Proven:
    """What came of it: `ok`, or the first record that does not fit and why; `facts` are told in words."""

    ok: bool
    said: str
    record: int | None = None
    why: str = ""
    facts: Mapping[str, str] = field(default_factory=dict)


class Prover:
    """Proves one chain; one walk at a time, for each of them reads every record there is."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._walking = threading.Lock()

    def prove(self) -> Iterator[Progress | Proven]:
        """Walk the chain, and tell of it until the result.

        Raises:
            ConflictError: somebody has it walked already.
        """
        if not self._walking.acquire(blocking=False):
            raise ConflictError("the chain is being verified already; wait for that result")
        told: queue.SimpleQueue[Progress | Proven] = queue.SimpleQueue()
        threading.Thread(target=self._walk, args=(told,), name="audit-verify", daemon=True).start()
        return self._told(told)

    def _told(self, told: queue.SimpleQueue[Progress | Proven]) -> Iterator[Progress | Proven]:
        while True:
            step = told.get()
            yield step
            if isinstance(step, Proven):
                return

    def _walk(self, told: queue.SimpleQueue[Progress | Proven]) -> None:
        found = Proven(False, "the walk was stopped before its end; nothing is proved", why="stopped")
        try:
            found = self._proved(told)
        except ChainBroken as problem:
            found = Proven(False, str(problem), problem.record, problem.why)
        except EvercrewError as problem:
            found = Proven(False, f"the chain could not be read to its end: {problem}", why="unreadable")
        finally:
            self._walking.release()
            told.put(found)

    def _proved(self, told: queue.SimpleQueue[Progress | Proven]) -> Proven:
        audit = self._app.audit
        total = audit.head().records
        told.put(Progress(0, total))

        def watch(walk: Any, place: int, body: Mapping[str, Any]) -> None:
            told.put(Progress(place, total))

        app = self._app
        seen, elsewhere = seen_elsewhere(app.config, app.clock, lambda target: app.at(target).ports.vcs)
        count, found = audit.proven(seen, watch)
        if found.checkpoints and not audit.anchors():
            said = "audit.head is missing, the file that has seen the newest checkpoint from outside of the chain"
            return Proven(False, said, why="anchor missing")
        open_end = count - found.covered - int(found.newest == found.covered + 1)
        facts = {
            "records": f"{count:,}",
            "signed checkpoints": f"{found.checkpoints:,}",
            "not covered by a signature yet": f"{open_end:,}",
            "key": found.active or "none",
            **elsewhere,
        }
        return Proven(True, f"All {count:,} records are whole, in order and unchanged.", facts=facts)
