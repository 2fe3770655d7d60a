"""The outbox on a `Database`: SQLite or PostgreSQL.

Why no notice is told by two at once: taking moves `due_at` of the rows it lends in one transaction, which skips rows
that another one has locked. Why none is lost or doubled on the way from the chain: the cursor moves, from exactly where
its reader saw it, in the transaction that puts what was found; and channel and key are unique.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, delete, func, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from adapters.database import Database
from adapters.notices.base import SEVERITIES, NewNotice, Notice, NoticeCounts, NoticeState, Progress
from adapters.notices.models import NoticeCursorRow, NoticeRow, NoticeSentRow

_LONGEST_REASON = 2000
_WAITS = NoticeRow.state == NoticeState.WAITING.value
_OVER = (NoticeState.SENT.value, NoticeState.FOLDED.value)
# Columns of their own; everything else of a notice is in `content`.
_COLUMNS = frozenset({"channel", "key", "due_at"})


class SqlNotices:
    """A `NoticesPort` on the `Database` that the store is on."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._insert = postgresql.insert if database.is_postgresql else sqlite.insert

    def put(self, notices: Sequence[NewNotice], *, now: datetime) -> int:
        """See `NoticesPort.put`."""
        with self._database.session(write=True) as session:
            return self._put(session, notices, now)

    def take(self, channel: str, *, now: datetime, lease: timedelta, most: int) -> Sequence[Notice]:
        """See `NoticesPort.take`."""
        wanted = select(NoticeRow).where(NoticeRow.channel == channel, _WAITS, NoticeRow.due_at <= now)
        first = wanted.order_by(NoticeRow.rank, NoticeRow.number).limit(most).with_for_update(skip_locked=True)
        with self._database.session(write=True) as session:
            taken = [_notice(row) for row in session.scalars(first)]
            numbers = [notice.number for notice in taken]
            session.execute(update(NoticeRow).where(NoticeRow.number.in_(numbers)).values(due_at=now + lease))
            return taken

    def sent(self, numbers: Sequence[int], *, at: datetime) -> None:
        """See `NoticesPort.sent`."""
        self._settle(NoticeRow.number.in_(numbers), {"state": NoticeState.SENT.value, "settled_at": at, "reason": ""})

    def folded(self, numbers: Sequence[int], into: str, *, at: datetime) -> None:
        """See `NoticesPort.folded`."""
        values = {"state": NoticeState.FOLDED.value, "settled_at": at, "folded_into": into, "reason": ""}
        self._settle(NoticeRow.number.in_(numbers), values)

    def again(self, number: int, *, due: datetime, reason: str, counted: bool = True) -> None:
        """See `NoticesPort.again`."""
        attempts = NoticeRow.attempts + int(counted)
        values = {"due_at": due, "reason": reason[:_LONGEST_REASON], "attempts": attempts}
        self._settle(NoticeRow.number == number, values)

    def dead(self, number: int, *, at: datetime, reason: str) -> None:
        """See `NoticesPort.dead`."""
        values = {"state": NoticeState.DEAD.value, "settled_at": at, "reason": reason[:_LONGEST_REASON]}
        self._settle(NoticeRow.number == number, {**values, "attempts": NoticeRow.attempts + 1})

    def revive(self, number: int, *, at: datetime) -> bool:
        """See `NoticesPort.revive`."""
        mine = update(NoticeRow).where(NoticeRow.number == number, NoticeRow.state == NoticeState.DEAD.value)
        values = {"state": NoticeState.WAITING.value, "settled_at": None, "due_at": at, "attempts": 0}
        with self._database.guarded(), self._database.begin(write=True) as connection:
            return connection.execute(mine.values(values)).rowcount == 1

    def told_since(self, channel: str, since: datetime) -> int:
        """See `NoticesPort.told_since`."""
        mine = (NoticeRow.channel == channel, NoticeRow.settled_at > since)
        alone = select(func.count()).select_from(NoticeRow).where(*mine, NoticeRow.state == NoticeState.SENT.value)
        digests = select(func.count(func.distinct(NoticeRow.folded_into))).where(
            *mine, NoticeRow.state == NoticeState.FOLDED.value
        )
        with self._database.session() as session:
            return (session.scalar(alone) or 0) + (session.scalar(digests) or 0)

    def listed(self, *, state: NoticeState | None = None, limit: int = 100) -> Sequence[Notice]:
        """See `NoticesPort.listed`."""
        wanted = select(NoticeRow).order_by(NoticeRow.number.desc()).limit(limit)
        if state is not None:
            wanted = wanted.where(NoticeRow.state == state.value)
        with self._database.session() as session:
            return [_notice(row) for row in session.scalars(wanted)]

    def counts(self, channel: str = "", *, now: datetime | None = None) -> NoticeCounts:
        """See `NoticesPort.counts`."""
        mine = (NoticeRow.channel == channel,) if channel else ()
        states = select(NoticeRow.state, func.count()).where(*mine).group_by(NoticeRow.state)
        oldest = select(func.min(NoticeRow.due_at)).where(*mine, _WAITS)
        with self._database.session() as session:
            found = {state: count for state, count in session.execute(states)}  # noqa: C416  rows are no pairs to mypy
            due = None if now is None else session.scalar(oldest.where(NoticeRow.due_at <= now))
            return NoticeCounts(**{state.value: found.get(state.value, 0) for state in NoticeState}, oldest_due=due)

    def prune(self, before: datetime) -> int:
        """See `NoticesPort.prune`."""
        old = (NoticeRow.state.in_(_OVER), NoticeRow.settled_at < before)
        keys = select(NoticeRow.channel, NoticeRow.key, NoticeRow.folded_into).where(*old)
        with self._database.session(write=True) as session:
            for channel, key, digest in session.execute(keys).all():
                mine = (NoticeSentRow.channel == channel, NoticeSentRow.key.in_((key, digest)))
                session.execute(delete(NoticeSentRow).where(*mine))
            return int(session.connection().execute(delete(NoticeRow).where(*old)).rowcount)

    def cursor(self, name: str) -> int | None:
        """See `NoticesPort.cursor`."""
        with self._database.session() as session:
            return session.scalar(select(NoticeCursorRow.place).where(NoticeCursorRow.name == name))

    def follow(self, name: str, *, after: int | None, upto: int, notices: Sequence[NewNotice], now: datetime) -> bool:
        """See `NoticesPort.follow`."""
        with self._database.session(write=True) as session:
            connection = session.connection()
            if after is None:
                new = self._insert(NoticeCursorRow).values(name=name, place=upto)
                made = new.on_conflict_do_nothing(index_elements=["name"]).returning(NoticeCursorRow.place)
                moved = len(connection.execute(made).all())
            else:
                here = (NoticeCursorRow.name == name, NoticeCursorRow.place == after)
                moved = connection.execute(update(NoticeCursorRow).where(*here).values(place=upto)).rowcount
            if moved != 1:
                return False
            self._put(session, notices, now)
            return True

    def begin(self, channel: str, key: str) -> Progress:
        """See `NoticesPort.begin`."""
        mine = (NoticeSentRow.channel == channel, NoticeSentRow.key == key)
        with self._database.session(write=True) as session:
            known = session.scalar(select(NoticeSentRow.progress).where(*mine).with_for_update())
            if known is None:
                new = self._insert(NoticeSentRow).values(channel=channel, key=key, progress=Progress.BEGUN.value)
                session.execute(new.on_conflict_do_nothing(index_elements=["channel", "key"]))
            return Progress(known) if known is not None else Progress.NONE

    def settle(self, channel: str, key: str) -> None:
        """See `NoticesPort.settle`."""
        new = self._insert(NoticeSentRow).values(channel=channel, key=key, progress=Progress.SENT.value)
        sent = {"progress": Progress.SENT.value}
        with self._database.guarded(), self._database.begin(write=True) as connection:
            connection.execute(new.on_conflict_do_update(index_elements=["channel", "key"], set_=sent))

    def forget(self, channel: str, key: str) -> None:
        """See `NoticesPort.forget`."""
        mine = (NoticeSentRow.channel == channel, NoticeSentRow.key == key)
        with self._database.guarded(), self._database.begin(write=True) as connection:
            connection.execute(delete(NoticeSentRow).where(*mine, NoticeSentRow.progress == Progress.BEGUN.value))

    def progress(self, channel: str, key: str) -> Progress:
        """See `NoticesPort.progress`."""
        mine = (NoticeSentRow.channel == channel, NoticeSentRow.key == key)
        with self._database.session() as session:
            known = session.scalar(select(NoticeSentRow.progress).where(*mine))
            return Progress(known) if known is not None else Progress.NONE

    def check(self) -> str:
        """See `NoticesPort.check`."""
        counts = self.counts()
        return f"notices: {counts.waiting} wait, {counts.sent + counts.folded} told, {counts.dead} dead"

    def _put(self, session: Session, notices: Sequence[NewNotice], now: datetime) -> int:
        fresh = {(notice.channel, notice.key): _row(notice, now) for notice in reversed(notices)}
        if not fresh:
            return 0
        new = self._insert(NoticeRow).on_conflict_do_nothing(index_elements=["channel", "key"])
        before = session.scalar(select(func.count()).select_from(NoticeRow)) or 0
        session.execute(new, list(reversed(fresh.values())))
        return (session.scalar(select(func.count()).select_from(NoticeRow)) or 0) - before

    def _settle(self, which: ColumnElement[bool], values: Mapping[str, Any]) -> None:
        with self._database.guarded(), self._database.begin(write=True) as connection:
            connection.execute(update(NoticeRow).where(which, _WAITS).values(dict(values)))


def _row(notice: NewNotice, now: datetime) -> dict[str, Any]:
    return {
        "channel": notice.channel,
        "key": notice.key,
        "rank": SEVERITIES.index(notice.severity),
        "content": notice.model_dump(mode="json", exclude=set(_COLUMNS)),
        "put_at": now,
        "due_at": notice.due_at,
        "state": NoticeState.WAITING.value,
        "attempts": 0,
        "reason": "",
        "folded_into": "",
    }


def _notice(row: NoticeRow) -> Notice:
    return Notice(
        **row.content,
        channel=row.channel,
        key=row.key,
        due_at=row.due_at,
        number=row.number,
        put_at=row.put_at,
        state=NoticeState(row.state),
        attempts=row.attempts,
        reason=row.reason,
        settled_at=row.settled_at,
        folded_into=row.folded_into,
    )
