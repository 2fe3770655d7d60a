"""Approvals on a `Database`: SQLite or PostgreSQL.

A change takes the request first: on SQLite by the write lock of its transaction, on PostgreSQL by the lock on its row.
The rules of voting and of use are those of `domain.approval`; here they are only made to hold between processes.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from adapters.approvals.memory import no_such_request
from adapters.approvals.models import ApprovalRow, ApprovalVoteRow
from adapters.database import Database
from domain.approval import ApprovalRequest, Vote
from domain.canonical import json_ready
from domain.people import same

_CHANGING = {"votes", "withdrawn", "used_by", "used_at"}


class SqlApprovals:
    """An `ApprovalsPort` on a `Database`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def open(self, request: ApprovalRequest) -> ApprovalRequest:
        """See `ApprovalsPort.open`. Of two that open the same request at once, one finds the other's."""
        insert = postgresql.insert if self._database.is_postgresql else sqlite.insert
        values = {
            "id": request.id,
            "cycle_id": request.binding.cycle_id,
            "target": request.binding.target,
            "environment": request.binding.environment,
            "asked_at": request.asked_at,
            "expires_at": request.expires_at,
            "body": json_ready(request.model_dump(mode="json", exclude=_CHANGING)),
            "ended": "",
            "withdrawn": "",
            "used_by": "",
        }
        with self._database.session(write=True) as session:
            session.execute(insert(ApprovalRow).values(values).on_conflict_do_nothing(index_elements=["id"]))
            return self._taken(session, request.id)

    def request(self, identity: str) -> ApprovalRequest | None:
        """See `ApprovalsPort.request`."""
        with self._database.session() as session:
            row = session.get(ApprovalRow, identity)
            return None if row is None else _request(row, session)

    def requests(
        self, *, cycle_id: str = "", waiting_at: datetime | None = None, limit: int = 100
    ) -> Sequence[ApprovalRequest]:
        """See `ApprovalsPort.requests`."""
        wanted = select(ApprovalRow)
        if cycle_id:
            wanted = wanted.where(ApprovalRow.cycle_id == cycle_id)
        if waiting_at is not None:
            wanted = wanted.where(ApprovalRow.ended == "", ApprovalRow.expires_at > waiting_at)
        return self._found(wanted, limit)

    def denied(self, target: str, environment: str, limit: int = 5) -> Sequence[ApprovalRequest]:
        """See `ApprovalsPort.denied`."""
        there = (ApprovalRow.target == target, ApprovalRow.environment == environment)
        return self._found(select(ApprovalRow).where(*there, ApprovalRow.ended == "denied"), limit)

    def vote(self, identity: str, vote: Vote) -> ApprovalRequest:
        """See `ApprovalsPort.vote`."""
        with self._database.session(write=True) as session:
            before = self._taken(session, identity)
            after = before.voted(vote)
            if after is not before:
                place = session.scalar(select(func.count()).select_from(ApprovalVoteRow)) or 0
                body = json_ready(vote.model_dump(mode="json"))
                session.merge(ApprovalVoteRow(request=identity, person=same(vote.person), place=place, body=body))
                _settle(session, after)
            return after

    def withdraw(self, identity: str, reason: str) -> ApprovalRequest:
        """See `ApprovalsPort.withdraw`."""
        with self._database.session(write=True) as session:
            after = self._taken(session, identity).taken_back(reason)
            _settle(session, after)
            return after

    def use(self, identity: str, *, key: str, at: datetime) -> ApprovalRequest | None:
        """See `ApprovalsPort.use`."""
        with self._database.session(write=True) as session:
            after = self._taken(session, identity).used(key, at)
            if after is not None:
                _settle(session, after)
            return after

    def used_by(self, key: str) -> Sequence[ApprovalRequest]:
        """See `ApprovalsPort.used_by`."""
        return self._found(select(ApprovalRow).where(ApprovalRow.used_by == key), 100) if key else []

    def check(self) -> str:
        """See `ApprovalsPort.check`."""
        with self._database.session() as session:
            count = session.scalar(select(func.count()).select_from(ApprovalRow)) or 0
            waiting = session.scalar(select(func.count()).where(ApprovalRow.ended == "")) or 0
        return f"approvals: {count} requests, {waiting} not ended"

    def _found(self, wanted: Any, limit: int) -> list[ApprovalRequest]:
        newest = wanted.order_by(ApprovalRow.asked_at.desc(), ApprovalRow.id.desc()).limit(limit)
        with self._database.session() as session:
            return [_request(row, session) for row in session.scalars(newest)]

    def _taken(self, session: Session, identity: str) -> ApprovalRequest:
        row = session.get(ApprovalRow, identity, with_for_update=self._database.is_postgresql or None)
        if row is None:
            raise no_such_request(identity)
        return _request(row, session)


def _settle(session: Session, request: ApprovalRequest) -> None:
    row = session.get_one(ApprovalRow, request.id)
    row.withdrawn, row.used_by, row.used_at = request.withdrawn, request.used_by, request.used_at
    denied = "denied" if request.denial is not None else ""
    row.ended = "used" if request.used_by else denied or ("withdrawn" if request.withdrawn else "")


def _request(row: ApprovalRow, session: Session) -> ApprovalRequest:
    wanted = select(ApprovalVoteRow).where(ApprovalVoteRow.request == row.id).order_by(ApprovalVoteRow.place)
    votes = tuple(Vote.model_validate(vote.body) for vote in session.scalars(wanted))
    changing = {"votes": votes, "withdrawn": row.withdrawn, "used_by": row.used_by, "used_at": row.used_at}
    found = ApprovalRequest.model_validate({**row.body, **changing})
    if found.id != row.id:
        raise ValueError(f"the request {row.id} was altered: what it is for has the identity {found.id}")
    return found
