"""Answers to requests that may be sent again."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision: str | None = "0008"
branch_labels: str | None = None
depends_on: str | None = None


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "requests",
        sa.Column("caller", sa.String(200), nullable=False),
        sa.Column("key", sa.String(128), nullable=False),
        sa.Column("request", sa.String(64), nullable=False),
        sa.Column("ticket", sa.String(32), nullable=False),
        sa.Column("begun_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("until", sa.DateTime(timezone=True), nullable=False),
        sa.Column("answer", sa.JSON, nullable=True),
        sa.PrimaryKeyConstraint("caller", "key", name="pk_requests"),
    )
    op.create_index("ix_requests_ticket", "requests", ["ticket"])
    op.create_index("ix_requests_begun_at", "requests", ["begun_at"])


def downgrade() -> None:
    """Drop it."""
    op.drop_table("requests")
