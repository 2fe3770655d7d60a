"""Tables of approvals. Migrations make them; a test holds the two equal."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from adapters.store.models import Base, UtcDateTime


class ApprovalRow(Base):
    """A request. `body` is what was asked and stays; `ended` is empty, ``denied``, ``withdrawn`` or ``used``."""

    __tablename__ = "approval_requests"
    __table_args__ = (Index(None, "target", "environment"),)

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    cycle_id: Mapped[str] = mapped_column(String(32), index=True)
    target: Mapped[str] = mapped_column(String(200))
    environment: Mapped[str] = mapped_column(String(64))
    asked_at: Mapped[datetime] = mapped_column(UtcDateTime)
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime)
    body: Mapped[dict[str, Any]] = mapped_column(JSON)
    ended: Mapped[str] = mapped_column(String(16), index=True)
    withdrawn: Mapped[str] = mapped_column(Text)
    used_by: Mapped[str] = mapped_column(String(200), index=True)
    used_at: Mapped[datetime | None] = mapped_column(UtcDateTime, nullable=True)


class ApprovalVoteRow(Base):
    """One person's vote; `place` keeps the order in which they were given."""

    __tablename__ = "approval_votes"

    request: Mapped[str] = mapped_column(String(40), primary_key=True)
    person: Mapped[str] = mapped_column(String(200), primary_key=True)
    place: Mapped[int] = mapped_column()
    body: Mapped[dict[str, Any]] = mapped_column(JSON)
