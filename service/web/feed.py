"""What happened, live and resumable, from the audit chain.

The number of a record is the identity of its event, so that a client that was away, a page that was drawn a moment ago,
and another process all go on at the same place, and nothing is told twice or left out.

One poller a process looks at the chain while anybody listens, and hands what is new to all of them. A client that does
not keep up is let go: it comes back with the number of the last event it has seen, and is given the rest.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import timedelta

from anyio import to_thread

from adapters.audit.base import FollowedPort
from domain.errors import AuditUnavailable, ChainBroken
from domain.receipt import AuditRecord
from service.api.problems import RETRY_AFTER, Problem
from service.web.feed_items import FeedItem, item_of

EVERY = timedelta(milliseconds=250)
# A stream ends after so long, so that who listens is asked again who they are.
LONGEST = timedelta(minutes=10)
MOST_CLIENTS = 200
ROOM = 256
AT_ONCE = 200


class Feed:
    """Reads what happened from a chain."""

    def __init__(self, chain: FollowedPort) -> None:
        self._chain = chain

    def head(self) -> int:
        """Return the number of the last record.

        Raises:
            AuditUnavailable: the chain cannot be read.
        """
        return self._chain.head().records

    def after(self, seq: int, cycle_id: str | None = None, limit: int = 500) -> list[FeedItem]:
        """Return the first `limit` things that happened after the record `seq`, of a cycle or of all, oldest first.

        Raises:
            AuditUnavailable: the chain cannot be read.
        """
        return [item_of(record) for record in self.records(seq, cycle_id, limit)]

    def records(self, seq: int, cycle_id: str | None = None, limit: int = 500) -> Sequence[AuditRecord]:
        """Return the records themselves; see `after`."""
        return self._chain.after(seq, cycle_id=cycle_id, limit=limit)


class _Listener:
    """One client: what it has not taken yet, and whether it fell behind."""

    def __init__(self, room: int) -> None:
        self.queue: asyncio.Queue[FeedItem | None] = asyncio.Queue(room)
        self.behind = False

    def give(self, items: Sequence[FeedItem]) -> None:
        """Hand items over; a client without room for them is let go."""
        for item in items:
            if self.queue.full():
                self.behind = True
                return
            self.queue.put_nowait(item)


class Hub:
    """Hands what is new to everybody who listens in this process, from one poller.

    Args:
        every: how often the chain is looked at. most: how many may listen. room: how many items may wait for a client.
        longest: how long a stream lasts.
    """

    def __init__(
        self,
        feed: Feed,
        *,
        every: timedelta = EVERY,
        most: int = MOST_CLIENTS,
        room: int = ROOM,
        longest: timedelta = LONGEST,
    ) -> None:
        self.feed = feed
        self._every = every.total_seconds()
        self._most = most
        self._room = room
        self._longest = longest.total_seconds()
        self._listeners: set[_Listener] = set()
        self._poller: asyncio.Task[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._seen = 0
        self._starting = asyncio.Lock()
        self.dropped = 0

    @property
    def listening(self) -> int:
        """How many listen."""
        return len(self._listeners)

    def close(self) -> None:
        """Let everybody go, within a second; for a server that shuts down, from any thread."""
        for listener in tuple(self._listeners):
            listener.behind = True

    @asynccontextmanager
    async def joined(self, after: int | None, cycle_id: str | None = None) -> AsyncIterator[AsyncIterator[FeedItem]]:
        """Listen: give a stream of what happened after the record `after`, or from now on, until it ends.

        Raises:
            Problem: too many listen already.
            AuditUnavailable: the chain cannot be read.
        """
        if len(self._listeners) >= self._most:
            raise Problem(
                503,
                "Too many listen",
                f"{self._most} streams of events are open in this process",
                remedy="Close one, or ask for events as JSON",
                headers=RETRY_AFTER,
            )
        listener = _Listener(self._room)
        self._listeners.add(listener)
        try:
            head = await self._running()
            start = head if after is None or after > head else max(after, 0)
            yield self._stream(listener, start, cycle_id)
        finally:
            self._listeners.discard(listener)

    async def _running(self) -> int:
        """Start the poller where it does not run in this loop, and return the number of the last record."""
        loop = asyncio.get_running_loop()
        if self._loop is not loop:
            self._loop, self._poller, self._starting = loop, None, asyncio.Lock()
        async with self._starting:
            head = await to_thread.run_sync(self.feed.head)
            if self._poller is None or self._poller.done():
                self._seen = head
                self._poller = loop.create_task(self._poll(), name="events of the audit chain")
        return head

    async def _poll(self) -> None:
        while self._listeners:
            # A chain that does not answer is asked again: who listens misses nothing by it.
            with suppress(AuditUnavailable, ChainBroken):
                found = await to_thread.run_sync(self.feed.after, self._seen, None, AT_ONCE)
                if found:
                    self._seen = found[-1].sequence
                    for listener in tuple(self._listeners):
                        listener.give(found)
                if len(found) == AT_ONCE:
                    continue
            await asyncio.sleep(self._every)

    async def _stream(self, listener: _Listener, after: int, cycle_id: str | None) -> AsyncIterator[FeedItem]:
        ends = asyncio.get_running_loop().time() + self._longest
        seen, missed = after, AT_ONCE
        while missed == AT_ONCE:
            try:
                found = await to_thread.run_sync(self.feed.after, seen, cycle_id, AT_ONCE)
            except (AuditUnavailable, ChainBroken):
                return  # it comes back, and is given the rest then
            missed = len(found)
            for item in found:
                seen = item.sequence
                yield item
        while not listener.behind:
            left = ends - asyncio.get_running_loop().time()
            if left <= 0:
                return
            with suppress(TimeoutError):
                item_or_none = await asyncio.wait_for(listener.queue.get(), min(left, 1.0))
                if item_or_none is not None and item_or_none.sequence > seen:
                    seen = item_or_none.sequence
                    if cycle_id is None or item_or_none.cycle_id == cycle_id:
                        yield item_or_none
        self.dropped += 1
