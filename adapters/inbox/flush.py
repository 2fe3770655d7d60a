"""Many callers, one flush: whoever comes while a transaction is under way shares the next one."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

T = TypeVar("T")


class _Waiting(Generic[T]):
    def __init__(self, items: Sequence[T]) -> None:
        self.items = items
        self.turn = threading.Event()
        self.over = False
        self.problem: BaseException | None = None


class _Shared(Generic[T]):
    """Around writing: what it raises is raised in all whose items were written, and then the next may write."""

    def __init__(self, batch: Sequence[_Waiting[T]], then: Callable[[Sequence[_Waiting[T]]], None]) -> None:
        self._batch = batch
        self._then = then

    def __enter__(self) -> None:
        return None

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        for waiting in self._batch:
            waiting.problem = error
        self._then(self._batch)


class SharedFlush(Generic[T]):
    """Hands what callers bring to `write`, in the order they came, at most `most` items at once.

    What one caller brought is never parted. `write` runs in the thread of one of the callers; what it raises is raised
    in all that it wrote for.
    """

    def __init__(self, write: Callable[[Sequence[T]], None], *, most: int = 2000) -> None:
        self._write = write
        self._most = most
        self._lock = threading.Lock()
        self._queue: list[_Waiting[T]] = []
        self._writing = False

    def put(self, items: Sequence[T]) -> None:
        """Return when the items are written; raises what writing them raised."""
        mine = _Waiting(items)
        with self._lock:
            self._queue.append(mine)
            follows, self._writing = self._writing, True
        if follows:
            mine.turn.wait()
        if not mine.over:
            self._lead()
        if mine.problem is not None:
            raise mine.problem

    def _lead(self) -> None:
        """Write for those who wait, oneself among them, and call the next to lead."""
        with self._lock:
            batch = self._taken()
        with _Shared(batch, self._hand_over):
            self._write([item for waiting in batch for item in waiting.items])

    def _hand_over(self, batch: Sequence[_Waiting[T]]) -> None:
        with self._lock:
            for waiting in batch:
                waiting.over = True
            following = self._queue[0] if self._queue else None
            self._writing = following is not None
        for waiting in (*batch, *([following] if following else [])):
            waiting.turn.set()

    def _taken(self) -> list[_Waiting[T]]:
        size, count = 0, 0
        for waiting in self._queue:
            size += len(waiting.items)
            if count and size > self._most:
                break
            count += 1
        batch, self._queue = self._queue[:count], self._queue[count:]
        return batch
