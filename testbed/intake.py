"""Intake: documents dropped as files wait in a queue until the processor gets to them.

What a turn can take is the number of workers times their batch (`etl` in `values.yaml`). Files are worked off in the
order in which they came; a file leaves the drop folder once its last document is taken in. A restart begins the files
that were left anew: taking a document in twice does nothing.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from pathlib import Path

from testbed.corpus import Document, read_documents
from testbed.documents import DocumentStore
from testbed.errors import DataError
from testbed.jsonlog import JsonLog
from testbed.metrics import Metrics
from testbed.values import EtlValues

TURN_SECONDS = 0.3


@dataclass(frozen=True, slots=True)
class _Waiting:
    """A document of a dropped file, since when it waits (UNIX seconds), and whether it is the file's last."""

    document: Document | None
    since: float
    path: Path
    last: bool


class Intake:
    """The queue in front of the document store; for one thread."""

    def __init__(self, incoming: Path, documents: DocumentStore, metrics: Metrics, log: JsonLog) -> None:
        incoming.mkdir(parents=True, exist_ok=True)
        self._incoming = incoming
        self._documents = documents
        self._metrics = metrics
        self._log = log
        self._queue: deque[_Waiting] = deque()
        self._known: set[Path] = set()

    @property
    def pending(self) -> int:
        """How many documents wait."""
        return sum(item.document is not None for item in self._queue)

    def oldest(self, now: float) -> float:
        """For how many seconds the oldest document has been waiting; 0 when none does."""
        return max(now - self._queue[0].since, 0.0) if self._queue else 0.0

    def turn(self, etl: EtlValues, now: float) -> int:
        """Look for new files, take in what one turn can, and return how many documents were new."""
        self._look()
        left, taken, done = etl.workers * etl.batch, [], []
        while self._queue and (left > 0 or self._queue[0].document is None):
            item = self._queue.popleft()
            if item.document is not None:
                taken.append(item.document)
                left -= 1
            if item.last:
                done.append(item.path)
        fresh = self._documents.add(taken, now)
        self._metrics.taken_in(fresh, len(taken) - fresh)
        for path in done:
            path.unlink(missing_ok=True)
            self._known.discard(path)
        return fresh

    def _look(self) -> None:
        fresh = [(path.stat().st_mtime, path) for path in self._incoming.glob("*.jsonl") if path not in self._known]
        for since, path in sorted(fresh):
            try:
                rows: list[Document | None] = [*read_documents(path)]
            except DataError as error:
                path.rename(path.with_suffix(".refused"))
                self._log.write("error", "documents_refused", files=[path.name], reason=str(error))
                continue
            self._known.add(path)
            rows = rows or [None]
            end = len(rows) - 1
            self._queue.extend(_Waiting(row, since, path, place == end) for place, row in enumerate(rows))
