"""What is to be told to people, until it is told."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision: str | None = "0009"
branch_labels: str | None = None
depends_on: str | None = None

_NUMBER = sa.BigInteger().with_variant(sa.Integer, "sqlite")
_WAITING = sa.text("state = 'waiting'")


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "notices",
        sa.Column("number", _NUMBER, autoincrement=True, nullable=False),
        sa.Column("channel", sa.String(40), nullable=False),
        sa.Column("key", sa.String(200), nullable=False),
        sa.Column("rank", sa.Integer, nullable=False),
        sa.Column("content", sa.JSON, nullable=False),
        sa.Column("put_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("settled_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("folded_into", sa.String(200), nullable=False),
        sa.PrimaryKeyConstraint("number", name="pk_notices"),
        sa.UniqueConstraint("channel", "key", name="uq_notices_channel_key"),
    )
    op.create_index(
        "ix_notices_due",
        "notices",
        ["channel", "rank", "number"],
        sqlite_where=_WAITING,
        postgresql_where=_WAITING,
    )
    op.create_index("ix_notices_settled_at", "notices", ["settled_at"])
    op.create_table(
        "notice_cursors",
        sa.Column("name", sa.String(80), nullable=False),
        sa.Column("place", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_notice_cursors"),
    )
    op.create_table(
        "notice_register",
        sa.Column("channel", sa.String(40), nullable=False),
        sa.Column("key", sa.String(200), nullable=False),
        sa.Column("progress", sa.String(16), nullable=False),
        sa.PrimaryKeyConstraint("channel", "key", name="pk_notice_register"),
    )


def downgrade() -> None:
    """Drop them."""
    for table in ("notice_register", "notice_cursors", "notices"):
        op.drop_table(table)
