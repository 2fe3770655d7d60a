"""Bodies that come together share a transaction: one thread writes, and whoever comes meanwhile waits for it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import Executor

from adapters.inbox.base import InboxFull, InboxPort, NewLetter
from domain.errors import DependencyUnavailable, EvercrewError

_MOST = 1000  # letters in a transaction


class Batch:
    """Puts letters of many requests into the inbox together. Belongs to one event loop.

    Args:
        threads: where the inbox is written; one thread is enough.
    """

    def __init__(self, inbox: InboxPort, threads: Executor) -> None:
        self._inbox = inbox
        self._threads = threads
        self._waiting: list[tuple[Sequence[NewLetter], asyncio.Future[None]]] = []
        self._writing: asyncio.Task[None] | None = None

    async def put(self, letters: Sequence[NewLetter]) -> None:
        """Return when the letters are on disk.

        Raises:
            InboxFull: too many wait; none of these was accepted.
            DependencyError: the inbox cannot be used.
        """
        if not letters:
            return
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((letters, done))
        if self._writing is None or self._writing.done():
            self._writing = asyncio.create_task(self._write())
        await done

    async def _write(self) -> None:
        while self._waiting:
            batch = self._taken()
            try:
                await self._put_all(batch)
            finally:
                for _, done in batch:
                    if not done.done():
                        done.set_exception(DependencyUnavailable("inbox", "the write was broken off"))

    async def _put_all(self, batch: Sequence[tuple[Sequence[NewLetter], asyncio.Future[None]]]) -> None:
        problem = await self._put([letter for letters, _ in batch for letter in letters])
        full = isinstance(problem, InboxFull) and len(batch) > 1
        for letters, done in batch:
            # Together they are too many; one by one the first of them may find room.
            told = await self._put(letters) if full else problem
            if done.done():
                continue
            if told is None:
                done.set_result(None)
            else:
                done.set_exception(told)

    async def _put(self, letters: Sequence[NewLetter]) -> EvercrewError | None:
        try:
            await asyncio.get_running_loop().run_in_executor(self._threads, self._inbox.put, letters)
        except EvercrewError as problem:
            return problem
        return None

    def _taken(self) -> list[tuple[Sequence[NewLetter], asyncio.Future[None]]]:
        size = count = 0
        for letters, _ in self._waiting:
            size += len(letters)
            if count and size > _MOST:
                break
            count += 1
        batch, self._waiting = self._waiting[:count], self._waiting[count:]
        return batch
