"""Requests in a table, on SQLite or PostgreSQL."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import delete, func, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from adapters.database import Database
from adapters.requests.base import Answer
from adapters.requests.memory import check, in_flight, new_ticket
from adapters.requests.models import RequestRow
from domain.canonical import json_ready


class SqlRequests:
    """A `RequestsPort` on a `Database`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def begin(self, caller: str, key: str, request: str, *, at: datetime, lease: timedelta) -> str | Answer:
        """See `RequestsPort.begin`. Of two that come at once one inserts the row, the other waits and finds it."""
        insert = postgresql.insert if self._database.is_postgresql else sqlite.insert
        mine = {"request": request, "ticket": new_ticket(), "begun_at": at, "until": at + lease, "answer": None}
        with self._database.session(write=True) as session:
            new = insert(RequestRow).values(caller=caller, key=key, **mine).on_conflict_do_nothing()
            session.execute(new)
            row = self._taken(session, caller, key)
            if row.ticket == mine["ticket"]:
                return row.ticket
            check(key, row.request, request)
            if row.answer is not None:
                return Answer.model_validate(row.answer)
            if at < row.until:
                raise in_flight(key, row.begun_at)
            row.ticket, row.begun_at, row.until = str(mine["ticket"]), at, at + lease
            return row.ticket

    def finish(self, ticket: str, answer: Answer, *, at: datetime) -> bool:
        """See `RequestsPort.finish`."""
        same = (RequestRow.ticket == ticket, RequestRow.answer.is_(None))
        kept = json_ready(answer.model_dump(mode="json"))
        with self._database.session(write=True) as session:
            found = session.execute(update(RequestRow).where(*same).values(answer=kept).returning(RequestRow.key))
            return found.scalar() is not None

    def abandon(self, ticket: str) -> None:
        """See `RequestsPort.abandon`."""
        with self._database.session(write=True) as session:
            session.execute(delete(RequestRow).where(RequestRow.ticket == ticket, RequestRow.answer.is_(None)))

    def prune(self, before: datetime) -> int:
        """See `RequestsPort.prune`."""
        old = RequestRow.begun_at < before
        with self._database.session(write=True) as session:
            count = session.scalar(select(func.count()).select_from(RequestRow).where(old)) or 0
            session.execute(delete(RequestRow).where(old))
            return count

    def _taken(self, session: Session, caller: str, key: str) -> RequestRow:
        locked = self._database.is_postgresql or None
        return session.get_one(RequestRow, (caller, key), with_for_update=locked)
