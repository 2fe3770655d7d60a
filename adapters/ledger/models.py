"""Tables of the ledger. Sums and entries are whole numbers; what they mean is in `domain.budget.Amounts`."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import JSON, BigInteger, Float, Integer, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from adapters.store.models import Base, UtcDateTime


class _Sums:
    """What is set aside and what was spent, by kind."""

    reserved_tokens: Mapped[int] = mapped_column(BigInteger)
    reserved_usd_micros: Mapped[int] = mapped_column(BigInteger)
    reserved_gpu_seconds: Mapped[int] = mapped_column(BigInteger)
    reserved_cycles: Mapped[int] = mapped_column(BigInteger)
    spent_tokens: Mapped[int] = mapped_column(BigInteger)
    spent_usd_micros: Mapped[int] = mapped_column(BigInteger)
    spent_gpu_seconds: Mapped[int] = mapped_column(BigInteger)
    spent_cycles: Mapped[int] = mapped_column(BigInteger)


class AccountRow(_Sums, Base):
    """An account, its ceiling as it was when it was last drawn on, and the share that raises its alarm."""

    __tablename__ = "ledger_accounts"

    name: Mapped[str] = mapped_column(String(200), primary_key=True)
    limit_tokens: Mapped[int | None] = mapped_column(BigInteger)
    limit_usd_micros: Mapped[int | None] = mapped_column(BigInteger)
    limit_gpu_seconds: Mapped[int | None] = mapped_column(BigInteger)
    limit_cycles: Mapped[int | None] = mapped_column(BigInteger)
    alarm_share: Mapped[float | None] = mapped_column(Float)
    alarmed_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    updated_at: Mapped[datetime] = mapped_column(UtcDateTime)


class ReservationRow(_Sums, Base):
    """What is known under a key."""

    __tablename__ = "ledger_reservations"

    key: Mapped[str] = mapped_column(String(200), primary_key=True)
    accounts: Mapped[list[str]] = mapped_column(JSON)
    state: Mapped[str] = mapped_column(String(16), index=True)
    holder: Mapped[str] = mapped_column(String(200))
    about: Mapped[str] = mapped_column(Text)
    opened_at: Mapped[datetime] = mapped_column(UtcDateTime)
    updated_at: Mapped[datetime] = mapped_column(UtcDateTime)


class EntryRow(_Sums, Base):
    """One change of one account, by how much each sum moved; never changed."""

    __tablename__ = "ledger_entries"

    id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=True)
    at: Mapped[datetime] = mapped_column(UtcDateTime)
    account: Mapped[str] = mapped_column(String(200), index=True)
    key: Mapped[str] = mapped_column(String(200), index=True)
    kind: Mapped[str] = mapped_column(String(16))
    about: Mapped[str] = mapped_column(Text)
