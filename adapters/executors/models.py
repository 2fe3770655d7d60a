"""The table of executors."""

from __future__ import annotations

from sqlalchemy import Boolean, Float, Integer, String
from sqlalchemy.orm import Mapped, mapped_column

from adapters.store.models import Base


class ExecutorRow(Base):
    """An executor; times are seconds since 1970 by the database's clock."""

    __tablename__ = "executors"

    executor: Mapped[str] = mapped_column(String(100), primary_key=True)
    generation: Mapped[int] = mapped_column(Integer)
    ttl_s: Mapped[float] = mapped_column(Float)
    beat_at: Mapped[float] = mapped_column(Float)
    fenced: Mapped[bool] = mapped_column(Boolean)
