"""Alerts that were accepted and not yet taken."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision: str | None = "0004"
branch_labels: str | None = None
depends_on: str | None = None

_NUMBER = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "inbox_lanes",
        sa.Column("lane", sa.String(300), nullable=False),
        sa.Column("served", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("lane", name="pk_inbox_lanes"),
    )
    _letters()
    op.create_table(
        "inbox_incidents",
        sa.Column("lane", sa.String(300), nullable=False),
        sa.Column("fingerprint", sa.String(200), nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("starts_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("cycle_id", sa.String(32), nullable=False),
        sa.Column("flaps", sa.Integer, nullable=False),
        sa.Column("letters", sa.Integer, nullable=False),
        sa.Column("held_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("handled_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("lane", "fingerprint", name="pk_inbox_incidents"),
    )
    op.create_table(
        "inbox_aside",
        sa.Column("number", _NUMBER, autoincrement=True, nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("number", name="pk_inbox_aside"),
    )


def downgrade() -> None:
    """Drop them."""
    for table in ("inbox_aside", "inbox_incidents", "inbox_letters", "inbox_lanes"):
        op.drop_table(table)


def _letters() -> None:
    op.create_table(
        "inbox_letters",
        sa.Column("number", _NUMBER, autoincrement=True, nullable=False),
        sa.Column("lane", sa.String(300), nullable=False),
        sa.Column("accepted_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("body", sa.JSON, nullable=False),
        sa.Column("waiting", sa.Boolean, nullable=False),
        sa.Column("again", sa.DateTime(timezone=True), nullable=True),
        sa.Column("fate", sa.String(16), nullable=False),
        sa.Column("cycle_id", sa.String(32), nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("number", name="pk_inbox_letters"),
    )
    op.create_index("ix_inbox_letters_accepted_at", "inbox_letters", ["accepted_at"])
    op.create_index(
        "ix_inbox_letters_waiting",
        "inbox_letters",
        ["lane", "number"],
        sqlite_where=sa.text("waiting"),
        postgresql_where=sa.text("waiting"),
    )
