"""Tables of the outbox. Migrations make them; a test holds the two equal."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, BigInteger, Index, Integer, String, Text, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from adapters.store.models import Base, UtcDateTime

# SQLite numbers rows by itself for this type only.
Number = BigInteger().with_variant(Integer, "sqlite")


class NoticeRow(Base):
    """A notice. `rank` is its severity as a number, the most severe first; `content` is the rest of it."""

    __tablename__ = "notices"
    __table_args__ = (
        UniqueConstraint("channel", "key"),
        Index(
            "ix_notices_due",
            "channel",
            "rank",
            "number",
            sqlite_where=text("state = 'waiting'"),
            postgresql_where=text("state = 'waiting'"),
        ),
    )

    number: Mapped[int] = mapped_column(Number, primary_key=True, autoincrement=True)
    channel: Mapped[str] = mapped_column(String(40))
    key: Mapped[str] = mapped_column(String(200))
    rank: Mapped[int] = mapped_column(Integer)
    content: Mapped[dict[str, Any]] = mapped_column(JSON)
    put_at: Mapped[datetime] = mapped_column(UtcDateTime)
    due_at: Mapped[datetime] = mapped_column(UtcDateTime)
    state: Mapped[str] = mapped_column(String(16))
    attempts: Mapped[int] = mapped_column(Integer)
    reason: Mapped[str] = mapped_column(Text)
    settled_at: Mapped[datetime | None] = mapped_column(UtcDateTime, index=True)
    folded_into: Mapped[str] = mapped_column(String(200))


class NoticeCursorRow(Base):
    """How far something was read, e.g. the audit chain."""

    __tablename__ = "notice_cursors"

    name: Mapped[str] = mapped_column(String(80), primary_key=True)
    place: Mapped[int] = mapped_column(BigInteger)


class NoticeSentRow(Base):
    """What is known of a message at a channel: ``begun`` or ``sent``."""

    __tablename__ = "notice_register"

    channel: Mapped[str] = mapped_column(String(40), primary_key=True)
    key: Mapped[str] = mapped_column(String(200), primary_key=True)
    progress: Mapped[str] = mapped_column(String(16))
