"""The keys that open sealed boards."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """A table of their own: a board may be sealed that holds no keys."""
    op.create_table(
        "seals",
        sa.Column("board_id", sa.String(64), primary_key=True),
        sa.Column("seal_id", sa.LargeBinary(8), nullable=False),
        sa.Column("key", sa.LargeBinary, nullable=False),
        sa.Column("state", sa.String(9), nullable=False),
        sa.CheckConstraint("state IN ('sent', 'confirmed')", name="seal_state"),
    )
