"""Names of nodes, and when they were last heard of."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Nodes that there are have no name, and were not heard of yet."""
    op.add_column("nodes", sa.Column("name", sa.String(63)))
    op.create_index("nodes_by_name", "nodes", ["name"], unique=True)
    op.create_table(
        "seen",
        sa.Column(
            "pair_id", sa.Integer, sa.ForeignKey("pairs.id"), primary_key=True, autoincrement=False
        ),
        sa.Column("update_ms", sa.BigInteger),
        sa.Column("data_ms", sa.BigInteger),
        sa.Column("key_id", sa.Integer),
        sa.Column("from_ms", sa.BigInteger),
        sa.Column("from_sequence", sa.Integer),
        sa.Column("mid_ms", sa.BigInteger),
        sa.Column("mid_sequence", sa.Integer),
    )
