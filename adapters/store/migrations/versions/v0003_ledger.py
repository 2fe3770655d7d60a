"""The ledger of what is reserved and spent."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision: str | None = "0002"
branch_labels: str | None = None
depends_on: str | None = None

_KINDS = ("tokens", "usd_micros", "gpu_seconds", "cycles")


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "ledger_accounts",
        sa.Column("name", sa.String(200), nullable=False),
        *(sa.Column(f"limit_{kind}", sa.BigInteger, nullable=True) for kind in _KINDS),
        sa.Column("alarm_share", sa.Float, nullable=True),
        sa.Column("alarmed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        *_sums(),
        sa.PrimaryKeyConstraint("name", name="pk_ledger_accounts"),
    )
    op.create_table(
        "ledger_reservations",
        sa.Column("key", sa.String(200), nullable=False),
        sa.Column("accounts", sa.JSON, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("holder", sa.String(200), nullable=False),
        sa.Column("about", sa.Text, nullable=False),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        *_sums(),
        sa.PrimaryKeyConstraint("key", name="pk_ledger_reservations"),
    )
    op.create_index("ix_ledger_reservations_state", "ledger_reservations", ["state"])
    op.create_table(
        "ledger_entries",
        sa.Column("id", sa.Integer, autoincrement=True, nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("account", sa.String(200), nullable=False),
        sa.Column("key", sa.String(200), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("about", sa.Text, nullable=False),
        *_sums(),
        sa.PrimaryKeyConstraint("id", name="pk_ledger_entries"),
    )
    op.create_index("ix_ledger_entries_account", "ledger_entries", ["account"])
    op.create_index("ix_ledger_entries_key", "ledger_entries", ["key"])


def downgrade() -> None:
    """Drop them."""
    for table in ("ledger_entries", "ledger_reservations", "ledger_accounts"):
        op.drop_table(table)


def _sums() -> list[sa.Column[int]]:
    return [
        sa.Column(f"{what}_{kind}", sa.BigInteger, nullable=False) for what in ("reserved", "spent") for kind in _KINDS
    ]
