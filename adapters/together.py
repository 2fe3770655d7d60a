"""Threads that write at the same time share one transaction, and its flush.

Whoever finds nobody writing writes everything that is queued; those who come meanwhile queue up, and the first of them
is the next to write. Nobody is answered before what they brought is written. Where a shared transaction fails, each of
those in it writes alone: what one of them brought spoils nothing for the others, and each is told what became of its
own.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from domain.errors import DependencyError

T = TypeVar("T")


class _Waiting(Generic[T]):
    """Something in the queue."""

    def __init__(self, item: T) -> None:
        self.item = item
        self.turn = threading.Event()
        self.written = False
        self.alone = False


class Together(Generic[T]):
    """A queue before a writer. Safe for threads.

    Args:
        write: writes all it is given in one transaction, or raises and has written nothing. Things that were given
            twice may be written twice.
    """

    def __init__(self, write: Callable[[Sequence[T]], None]) -> None:
        self._write = write
        self._queue: list[_Waiting[T]] = []
        self._queueing = threading.Lock()
        self._writing = False

    def __len__(self) -> int:
        """How many wait for their turn."""
        return len(self._queue)

    def add(self, item: T) -> None:
        """Return when `item` is written.

        Raises:
            DependencyError: it was not; what `write` raises.
        """
        waiting = _Waiting(item)
        with self._queueing:
            self._queue.append(waiting)
            follows, self._writing = self._writing, True
        if follows:
            waiting.turn.wait()
        if not (waiting.written or waiting.alone):
            self._write_queued()
        if not waiting.written:
            self._write([item])

    def _write_queued(self) -> None:
        with self._queueing:
            batch, self._queue = self._queue, []
        try:
            self._write([waiting.item for waiting in batch])
            for waiting in batch:
                waiting.written = True
        except DependencyError:
            if len(batch) == 1:
                raise
        finally:
            with self._queueing:
                following = self._queue[0] if self._queue else None
                self._writing = following is not None
            for waiting in batch:
                waiting.alone = not waiting.written
                waiting.turn.set()
            if following is not None:
                following.turn.set()
