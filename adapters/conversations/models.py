"""Tables of conversations. Migrations make them; a test holds the two equal."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from adapters.store.models import Base, UtcDateTime


class ConversationRow(Base):
    """A talk of one caller."""

    __tablename__ = "conversations"
    __table_args__ = (Index(None, "caller", "opened_at"),)

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    caller: Mapped[str] = mapped_column(String(200))
    opened_at: Mapped[datetime] = mapped_column(UtcDateTime)


class ConversationMessageRow(Base):
    """One thing that was said; `place` keeps the order."""

    __tablename__ = "conversation_messages"

    place: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    conversation_id: Mapped[str] = mapped_column(String(32), index=True)
    at: Mapped[datetime] = mapped_column(UtcDateTime)
    body: Mapped[dict[str, Any]] = mapped_column(JSON)


class ConversationProposalRow(Base):
    """A proposal. `body` is what was proposed and stays; `confirmed_at` is set once."""

    __tablename__ = "conversation_proposals"

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    conversation_id: Mapped[str] = mapped_column(String(32), index=True)
    caller: Mapped[str] = mapped_column(String(200))
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime)
    confirmed_at: Mapped[datetime | None] = mapped_column(UtcDateTime, nullable=True)
    body: Mapped[dict[str, Any]] = mapped_column(JSON)
