"""The processes that run cycles."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision: str | None = "0006"
branch_labels: str | None = None
depends_on: str | None = None


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "executors",
        sa.Column("executor", sa.String(100), nullable=False),
        sa.Column("generation", sa.Integer, nullable=False),
        sa.Column("ttl_s", sa.Float, nullable=False),
        sa.Column("beat_at", sa.Float, nullable=False),
        sa.Column("fenced", sa.Boolean, nullable=False),
        sa.PrimaryKeyConstraint("executor", name="pk_executors"),
    )


def downgrade() -> None:
    """Drop it."""
    op.drop_table("executors")
