"""The table of overrides. Migrations make it; a test holds the two equal."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Boolean, Float, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from adapters.store.models import Base, UtcDateTime


class OverrideRow(Base):
    """An override; `seen` once somebody noticed that it has expired. `of` has the unit of a level behind it."""

    __tablename__ = "overrides"

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    kind: Mapped[str] = mapped_column(String(16))
    name: Mapped[str] = mapped_column(String(120))
    of: Mapped[str] = mapped_column(String(32))
    threshold: Mapped[float] = mapped_column(Float)
    environment: Mapped[str] = mapped_column(String(64), index=True)
    by: Mapped[str] = mapped_column(String(200))
    reason: Mapped[str] = mapped_column(Text)
    at: Mapped[datetime] = mapped_column(UtcDateTime)
    expires: Mapped[datetime] = mapped_column(UtcDateTime, index=True)
    ended_at: Mapped[datetime | None] = mapped_column(UtcDateTime, nullable=True)
    ended_by: Mapped[str] = mapped_column(String(200))
    seen: Mapped[bool] = mapped_column(Boolean)
