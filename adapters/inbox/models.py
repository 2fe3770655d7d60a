"""Tables of the inbox. Migrations make them; a test holds the two equal."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, BigInteger, Boolean, Index, Integer, String, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from adapters.store.models import Base, UtcDateTime

# SQLite numbers rows by itself for this type only.
Number = BigInteger().with_variant(Integer, "sqlite")


class LaneRow(Base):
    """A lane; whoever takes a turn locks its row, and `served` grows with every turn of any lane."""

    __tablename__ = "inbox_lanes"

    lane: Mapped[str] = mapped_column(String(300), primary_key=True)
    served: Mapped[int] = mapped_column(BigInteger)


class LetterRow(Base):
    """An alert that was accepted. `again` is when one that is held is looked at again."""

    __tablename__ = "inbox_letters"
    __table_args__ = (
        Index(
            "ix_inbox_letters_waiting",
            "lane",
            "number",
            sqlite_where=text("waiting"),
            postgresql_where=text("waiting"),
        ),
    )

    number: Mapped[int] = mapped_column(Number, primary_key=True, autoincrement=True)
    lane: Mapped[str] = mapped_column(String(300))
    accepted_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)
    body: Mapped[dict[str, Any]] = mapped_column(JSON)
    waiting: Mapped[bool] = mapped_column(Boolean)
    again: Mapped[datetime | None] = mapped_column(UtcDateTime)
    fate: Mapped[str] = mapped_column(String(16))
    cycle_id: Mapped[str] = mapped_column(String(32))
    reason: Mapped[str] = mapped_column(Text)


class IncidentRow(Base):
    """What is known of an alert by its fingerprint."""

    __tablename__ = "inbox_incidents"

    lane: Mapped[str] = mapped_column(String(300), primary_key=True)
    fingerprint: Mapped[str] = mapped_column(String(200), primary_key=True)
    status: Mapped[str] = mapped_column(String(16))
    starts_at: Mapped[datetime] = mapped_column(UtcDateTime)
    changed_at: Mapped[datetime] = mapped_column(UtcDateTime)
    cycle_id: Mapped[str] = mapped_column(String(32))
    flaps: Mapped[int] = mapped_column(Integer)
    letters: Mapped[int] = mapped_column(Integer)
    held_until: Mapped[datetime | None] = mapped_column(UtcDateTime)
    handled_at: Mapped[datetime] = mapped_column(UtcDateTime)


class AsideRow(Base):
    """What was sent and is no letter."""

    __tablename__ = "inbox_aside"

    number: Mapped[int] = mapped_column(Number, primary_key=True, autoincrement=True)
    at: Mapped[datetime] = mapped_column(UtcDateTime)
    reason: Mapped[str] = mapped_column(Text)
    text: Mapped[str] = mapped_column(Text)
