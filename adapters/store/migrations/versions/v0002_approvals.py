"""Approvals, and who gave them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision: str | None = "0001"
branch_labels: str | None = None
depends_on: str | None = None


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "approval_requests",
        sa.Column("id", sa.String(40), nullable=False),
        sa.Column("cycle_id", sa.String(32), nullable=False),
        sa.Column("target", sa.String(200), nullable=False),
        sa.Column("environment", sa.String(64), nullable=False),
        sa.Column("asked_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("body", sa.JSON, nullable=False),
        sa.Column("ended", sa.String(16), nullable=False),
        sa.Column("withdrawn", sa.Text, nullable=False),
        sa.Column("used_by", sa.String(200), nullable=False),
        sa.Column("used_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_approval_requests"),
    )
    op.create_index("ix_approval_requests_cycle_id", "approval_requests", ["cycle_id"])
    op.create_index("ix_approval_requests_ended", "approval_requests", ["ended"])
    op.create_index("ix_approval_requests_used_by", "approval_requests", ["used_by"])
    op.create_index("ix_approval_requests_target_environment", "approval_requests", ["target", "environment"])
    op.create_table(
        "approval_votes",
        sa.Column("request", sa.String(40), nullable=False),
        sa.Column("person", sa.String(200), nullable=False),
        sa.Column("place", sa.Integer, nullable=False),
        sa.Column("body", sa.JSON, nullable=False),
        sa.PrimaryKeyConstraint("request", "person", name="pk_approval_votes"),
    )


def downgrade() -> None:
    """Drop them."""
    op.drop_table("approval_votes")
    op.drop_table("approval_requests")
