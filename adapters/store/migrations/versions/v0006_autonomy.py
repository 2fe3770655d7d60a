"""What was earned, by class of action."""

from __future__ import annotations

revision = "0006"
down_revision: str | None = "0005"
branch_labels: str | None = None
depends_on: str | None = None


def upgrade() -> None:
    """Make the tables."""


def downgrade() -> None:
    """Drop them."""
