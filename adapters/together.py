"""Threads that write at the same time share one transaction, and its flush.

Whoever finds nobody writing writes everything that is queued; those who come meanwhile queue up, and the first of them
is the next to write. Nobody is answered before what they brought is written.

`Turns` is the queue. What a failure means is said by whoever stands behind it: `Together` lets those who shared the
transaction write alone, so that what one of them brought spoils nothing for the others; a chain of records, where
whether one was written may not be known, asks nobody to do it again.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Generic, TypeVar

from domain.clock import SystemClock
from domain.errors import DependencyError, EvercrewError

T = TypeVar("T")
# From so many in one transaction on it is worth while to wait for more, and so long: a small part of a flush.
COMPANY = 4
GATHER = timedelta(microseconds=700)


class Brought(Generic[T]):
    """What somebody brought, and what became of it.

    It is `written`, or has a `problem`; neither where the thread that was writing was stopped. `alone` says that nobody
    shared its transaction, `leads` that whoever brought it is the one to write.
    """

    __slots__ = ("alone", "item", "leads", "over", "problem", "turn", "written")

    def __init__(self, item: T) -> None:
        self.item = item
        # A bare lock, for there is one for every write: taken until it is its turn, or its time is over.
        self.turn = threading.Lock()
        self.turn.acquire()
        self.leads = self.over = self.written = self.alone = False
        self.problem: EvercrewError | None = None


class Turns(Generic[T]):
    """A queue before a writer. Safe for threads.

    Args:
        write: writes all it is given, in the order it came, in one transaction, or raises and has written nothing. It
            runs in the thread of one of those who brought something.
        most: at most so much is written at once, counted by `size`; what one brought is never parted.
        gather: so long whoever writes waits for company first, where the last transaction had much of it: the flush is
            shared by more, and another process gets its turn. With nobody else about, that is once at most.
    """

    def __init__(
        self,
        write: Callable[[Sequence[T]], None],
        *,
        most: int | None = None,
        size: Callable[[T], int] = lambda item: 1,
        gather: timedelta = timedelta(),
    ) -> None:
        self._write = write
        self._gather = gather
        self._company = 0
        self._clock = SystemClock()
        self._most = most
        self._size = size
        self._queue: list[Brought[T]] = []
        self._queueing = threading.Lock()
        self._writing = False

    def __len__(self) -> int:
        """How many wait for their turn."""
        return len(self._queue)

    def bring(self, item: T) -> Brought[T]:
        """Return what became of `item` when it is known; an error that is none of ours stops the thread that wrote.

        Whoever is stopped while it waits takes along what it brought, unless that is being written already.
        """
        mine, known = Brought(item), False
        try:
            with self._queueing:
                self._queue.append(mine)
                mine.leads, self._writing = not self._writing, True
            if not mine.leads:
                mine.turn.acquire()
            if not mine.over:
                self._lead()
            known = True
        finally:
            if not known:
                self._leave(mine)
        return mine

    def _leave(self, mine: Brought[T]) -> None:
        """Take out what waits still, and call the next where it would have led: nobody else would."""
        with self._queueing:
            if mine not in self._queue:
                return
            self._queue.remove(mine)
        if mine.leads:
            self._hand_over(())

    def _lead(self) -> None:
        """Write for those who wait, oneself among them, and call the next to lead."""
        batch: list[Brought[T]] = []
        written, problem = False, None
        try:
            if self._gather and self._company >= COMPANY:
                self._clock.sleep(self._gather)
            with self._queueing:
                self._take(batch)
            self._company = len(batch)
            self._write([brought.item for brought in batch])
            written = True
        except EvercrewError as error:
            problem = error
        finally:
            if not batch:  # stopped before it took any: it takes itself out, which is the first of the queue
                with self._queueing:
                    batch = [self._queue.pop(0)]
            for brought in batch:
                brought.over, brought.written, brought.problem = True, written, problem
                brought.alone = len(batch) == 1
            self._hand_over(batch)

    def _hand_over(self, batch: Sequence[Brought[T]]) -> None:
        """Answer, and wake the next to write last; nobody is called who has been answered.

        Whoever writes needs the interpreter many times in a row: woken first, it would take it from the others each
        time, and they from it.
        """
        with self._queueing:
            while self._queue and self._queue[0].over:
                del self._queue[0]
            following = self._queue[0] if self._queue else None
            self._writing = following is not None
            if following is not None:
                following.leads = True
        for brought in (*batch, *((following,) if following is not None else ())):
            brought.turn.release()

    def _take(self, batch: list[Brought[T]]) -> None:
        """Move those who are written next from the queue to `batch`; the queue changes last, should it be stopped."""
        count = len(self._queue)
        if self._most is not None:
            count = self._fitting(self._most)
        batch.extend(self._queue[:count])
        del self._queue[:count]

    def _fitting(self, most: int) -> int:
        """Return how many of those who wait go together; the first goes, however much it is."""
        size, count = 0, 0
        for brought in self._queue:
            size += self._size(brought.item)
            if count and size > most:
                break
            count += 1
        return count


class Together(Generic[T]):
    """Things that are written in one transaction, or else one by one. Safe for threads.

    Args:
        write: writes all it is given in one transaction, or raises and has written nothing. Things that were given
            twice may be written twice.
    """

    def __init__(self, write: Callable[[Sequence[T]], None]) -> None:
        self._write = write
        self._turns = Turns(write, gather=GATHER)

    def __len__(self) -> int:
        """How many wait for their turn."""
        return len(self._turns)

    def add(self, item: T) -> None:
        """Return when `item` is written.

        Raises:
            DependencyError: it was not; what `write` raises.
        """
        mine = self._turns.bring(item)
        if mine.written:
            return
        if mine.problem is not None and (mine.alone or not isinstance(mine.problem, DependencyError)):
            raise mine.problem
        self._write([item])
