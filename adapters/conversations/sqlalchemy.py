"""Conversations on a `Database`: SQLite or PostgreSQL.

A confirmation is one conditional update: the row whose proposal is open is changed, and of two that come at once the
second finds nothing to change.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import func, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from adapters.conversations.memory import no_such_conversation
from adapters.conversations.models import ConversationMessageRow, ConversationProposalRow, ConversationRow
from adapters.database import Database
from domain.canonical import json_ready
from domain.conversation import Conversation, Message, Proposal


class SqlConversations:
    """A `ConversationsPort` on a `Database`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def open(self, conversation: Conversation) -> Conversation:
        """See `ConversationsPort.open`."""
        insert = postgresql.insert if self._database.is_postgresql else sqlite.insert
        values = conversation.model_dump()
        with self._database.session(write=True) as session:
            session.execute(insert(ConversationRow).values(values).on_conflict_do_nothing(index_elements=["id"]))
            return _talk(session.get_one(ConversationRow, conversation.id))

    def conversation(self, identity: str) -> Conversation | None:
        """See `ConversationsPort.conversation`."""
        with self._database.session() as session:
            row = session.get(ConversationRow, identity)
            return None if row is None else _talk(row)

    def conversations(self, caller: str, *, limit: int = 50) -> Sequence[Conversation]:
        """See `ConversationsPort.conversations`."""
        newest = (ConversationRow.opened_at.desc(), ConversationRow.id.desc())
        wanted = select(ConversationRow).where(ConversationRow.caller == caller).order_by(*newest).limit(limit)
        with self._database.session() as session:
            return [_talk(row) for row in session.scalars(wanted)]

    def add(self, message: Message) -> None:
        """See `ConversationsPort.add`."""
        body = json_ready(message.model_dump(mode="json"))
        with self._database.session(write=True) as session:
            _check(session, message.conversation_id)
            row = ConversationMessageRow(conversation_id=message.conversation_id, at=message.at, body=body)
            session.add(row)

    def messages(self, identity: str, *, limit: int = 200) -> Sequence[Message]:
        """See `ConversationsPort.messages`."""
        mine = ConversationMessageRow.conversation_id == identity
        wanted = select(ConversationMessageRow).where(mine).order_by(ConversationMessageRow.place.desc()).limit(limit)
        with self._database.session() as session:
            return [Message.model_validate(row.body) for row in reversed(list(session.scalars(wanted)))]

    def propose(self, proposal: Proposal) -> Proposal:
        """See `ConversationsPort.propose`."""
        insert = postgresql.insert if self._database.is_postgresql else sqlite.insert
        values = {
            "id": proposal.id,
            "conversation_id": proposal.conversation_id,
            "caller": proposal.caller,
            "expires_at": proposal.expires_at,
            "confirmed_at": None,
            "body": json_ready(proposal.model_dump(mode="json", exclude={"confirmed_at"})),
        }
        with self._database.session(write=True) as session:
            _check(session, proposal.conversation_id)
            session.execute(
                insert(ConversationProposalRow).values(values).on_conflict_do_nothing(index_elements=["id"])
            )
            return _proposal(session.get_one(ConversationProposalRow, proposal.id))

    def proposal(self, identity: str) -> Proposal | None:
        """See `ConversationsPort.proposal`."""
        with self._database.session() as session:
            row = session.get(ConversationProposalRow, identity)
            return None if row is None else _proposal(row)

    def confirm(self, identity: str, *, caller: str, conversation_id: str, at: datetime) -> Proposal | None:
        """See `ConversationsPort.confirm`."""
        row = ConversationProposalRow
        open_still = (
            row.id == identity,
            row.caller == caller,
            row.conversation_id == conversation_id,
            row.confirmed_at.is_(None),
            row.expires_at > at,
        )
        with self._database.session(write=True) as session:
            taken = session.scalars(update(row).where(*open_still).values(confirmed_at=at).returning(row.id)).first()
            if taken is None:
                return None
            session.expire_all()
            return _proposal(session.get_one(row, identity))

    def check(self) -> str:
        """See `ConversationsPort.check`."""
        with self._database.session() as session:
            count = session.scalar(select(func.count()).select_from(ConversationRow)) or 0
        return f"conversations: {count}"


def _check(session: Session, identity: str) -> None:
    if session.get(ConversationRow, identity) is None:
        raise no_such_conversation(identity)


def _talk(row: ConversationRow) -> Conversation:
    return Conversation(id=row.id, caller=row.caller, opened_at=row.opened_at)


def _proposal(row: ConversationProposalRow) -> Proposal:
    return Proposal.model_validate({**row.body, "confirmed_at": row.confirmed_at})
