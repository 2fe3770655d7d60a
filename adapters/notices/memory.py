"""The outbox in memory: the same contract, for threads of one process."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from datetime import datetime, timedelta

from adapters.notices.base import SEVERITIES, NewNotice, Notice, NoticeCounts, NoticeState, Progress


class MemoryNotices:
    """A `NoticesPort` for tests and embedding."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: dict[int, Notice] = {}
        self._numbers: dict[tuple[str, str], int] = {}
        self._cursors: dict[str, int] = {}
        self._register: dict[tuple[str, str], Progress] = {}

    def put(self, notices: Sequence[NewNotice], *, now: datetime) -> int:
        """See `NoticesPort.put`."""
        with self._lock:
            return self._put(notices, now)

    def take(self, channel: str, *, now: datetime, lease: timedelta, most: int) -> Sequence[Notice]:
        """See `NoticesPort.take`."""
        with self._lock:
            due = [n for n in self._of(channel) if n.state is NoticeState.WAITING and n.due_at <= now]
            taken = sorted(due, key=lambda n: (SEVERITIES.index(n.severity), n.number))[:most]
            for notice in taken:
                self._change(notice.number, due_at=now + lease)
            return taken

    def sent(self, numbers: Sequence[int], *, at: datetime) -> None:
        """See `NoticesPort.sent`."""
        self._settle(numbers, state=NoticeState.SENT, settled_at=at, reason="")

    def folded(self, numbers: Sequence[int], into: str, *, at: datetime) -> None:
        """See `NoticesPort.folded`."""
        self._settle(numbers, state=NoticeState.FOLDED, settled_at=at, folded_into=into, reason="")

    def again(self, number: int, *, due: datetime, reason: str, counted: bool = True) -> None:
        """See `NoticesPort.again`."""
        with self._lock:
            known = self._kept.get(number)
            if known is not None and known.state is NoticeState.WAITING:
                self._change(number, due_at=due, reason=reason, attempts=known.attempts + int(counted))

    def dead(self, number: int, *, at: datetime, reason: str) -> None:
        """See `NoticesPort.dead`."""
        with self._lock:
            known = self._kept.get(number)
            if known is not None and known.state is NoticeState.WAITING:
                changes = {"state": NoticeState.DEAD, "settled_at": at, "reason": reason}
                self._change(number, attempts=known.attempts + 1, **changes)

    def revive(self, number: int, *, at: datetime) -> bool:
        """See `NoticesPort.revive`."""
        with self._lock:
            known = self._kept.get(number)
            if known is None or known.state is not NoticeState.DEAD:
                return False
            self._change(number, state=NoticeState.WAITING, settled_at=None, due_at=at, attempts=0)
            return True

    def told_since(self, channel: str, since: datetime) -> int:
        """See `NoticesPort.told_since`."""
        with self._lock:
            told = [n for n in self._of(channel) if n.settled_at is not None and n.settled_at > since]
            digests = {n.folded_into for n in told if n.state is NoticeState.FOLDED}
            return sum(n.state is NoticeState.SENT for n in told) + len(digests)

    def listed(self, *, state: NoticeState | None = None, limit: int = 100) -> Sequence[Notice]:
        """See `NoticesPort.listed`."""
        with self._lock:
            newest = sorted(self._kept.values(), key=lambda n: -n.number)
            return [n for n in newest if state is None or n.state is state][:limit]

    def counts(self, channel: str = "", *, now: datetime | None = None) -> NoticeCounts:
        """See `NoticesPort.counts`."""
        with self._lock:
            mine = self._of(channel) if channel else list(self._kept.values())
            waiting = [n.due_at for n in mine if n.state is NoticeState.WAITING]
            due = [at for at in waiting if now is not None and at <= now]
            by_state = {state.value: sum(n.state is state for n in mine) for state in NoticeState}
            return NoticeCounts(**by_state, oldest_due=min(due, default=None))

    def prune(self, before: datetime) -> int:
        """See `NoticesPort.prune`."""
        over = (NoticeState.SENT, NoticeState.FOLDED)
        with self._lock:
            old = [n for n in self._kept.values() if n.state in over and n.settled_at and n.settled_at < before]
            for notice in old:
                del self._kept[notice.number]
                for key in (notice.key, notice.folded_into):
                    self._numbers.pop((notice.channel, key), None)
                    self._register.pop((notice.channel, key), None)
            return len(old)

    def cursor(self, name: str) -> int | None:
        """See `NoticesPort.cursor`."""
        with self._lock:
            return self._cursors.get(name)

    def follow(self, name: str, *, after: int | None, upto: int, notices: Sequence[NewNotice], now: datetime) -> bool:
        """See `NoticesPort.follow`."""
        with self._lock:
            if self._cursors.get(name) != after:
                return False
            self._cursors[name] = upto
            self._put(notices, now)
            return True

    def begin(self, channel: str, key: str) -> Progress:
        """See `NoticesPort.begin`."""
        with self._lock:
            known = self._register.get((channel, key), Progress.NONE)
            self._register[channel, key] = Progress.SENT if known is Progress.SENT else Progress.BEGUN
            return known

    def settle(self, channel: str, key: str) -> None:
        """See `NoticesPort.settle`."""
        with self._lock:
            self._register[channel, key] = Progress.SENT

    def forget(self, channel: str, key: str) -> None:
        """See `NoticesPort.forget`."""
        with self._lock:
            if self._register.get((channel, key)) is Progress.BEGUN:
                del self._register[channel, key]

    def progress(self, channel: str, key: str) -> Progress:
        """See `NoticesPort.progress`."""
        with self._lock:
            return self._register.get((channel, key), Progress.NONE)

    def check(self) -> str:
        """See `NoticesPort.check`."""
        return f"notices: in memory, {len(self._kept)} kept"

    def _of(self, channel: str) -> list[Notice]:
        return [notice for notice in self._kept.values() if notice.channel == channel]

    def _put(self, notices: Sequence[NewNotice], now: datetime) -> int:
        before = len(self._numbers)
        for notice in notices:
            if (notice.channel, notice.key) in self._numbers:
                continue
            number = max(self._kept, default=0) + 1
            self._numbers[notice.channel, notice.key] = number
            self._kept[number] = Notice(**notice.model_dump(), number=number, put_at=now)
        return len(self._numbers) - before

    def _settle(self, numbers: Sequence[int], **changes: object) -> None:
        with self._lock:
            for number in numbers:
                if number in self._kept and self._kept[number].state is NoticeState.WAITING:
                    self._change(number, **changes)

    def _change(self, number: int, **changes: object) -> None:
        self._kept[number] = self._kept[number].model_copy(update=changes)
