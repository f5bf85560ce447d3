"""Peers that a board knows without a key, and the site's home agent."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Sets that there are, hold keys alone; a site that is there has no home agent."""
    op.create_table(
        "keyless",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("node_id", sa.Integer, sa.ForeignKey("nodes.id"), nullable=False, index=True),
        sa.Column("set_id", sa.LargeBinary(8), nullable=False),
        sa.Column("peer", sa.LargeBinary(16), nullable=False),
        sa.Column("role", sa.String(13), nullable=False),
        sa.Column("lifetime", sa.Integer, nullable=False),
        sa.Column("state", sa.String(9), nullable=False),
        sa.Column("after_key", sa.Integer, nullable=False),
        sa.UniqueConstraint("set_id", "peer"),
        sa.CheckConstraint("role IN ('correspondent', 'home agent')", name="keyless_role"),
        sa.CheckConstraint("state IN ('sent', 'confirmed')", name="keyless_state"),
        sqlite_autoincrement=True,
    )
    op.add_column("sites", sa.Column("home_agent", sa.LargeBinary(16)))
    op.add_column(
        "sites", sa.Column("home_agent_reach", sa.String, nullable=False, server_default="[]")
    )
