"""The registry as it was first."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make the tables; they need not be as they are in later revisions."""
    op.create_table(
        "registry",
        sa.Column("id", sa.SmallInteger, sa.CheckConstraint("id = 1"), primary_key=True),
        sa.Column("schema", sa.Integer, nullable=False),
        sa.Column("revision", sa.BigInteger, nullable=False),
        sa.Column("fingerprint_key", sa.LargeBinary(32), nullable=False),
    )
    op.create_table(
        "nodes",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("board_id", sa.String(64), index=True),
        sa.Column("home_address", sa.LargeBinary(16), nullable=False, unique=True),
        sa.Column("refused", sa.Boolean, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "pairs",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("node_id", sa.Integer, sa.ForeignKey("nodes.id"), nullable=False),
        sa.Column("correspondent", sa.LargeBinary(16), nullable=False),
        sa.Column("revision", sa.BigInteger, nullable=False),
        sa.UniqueConstraint("node_id", "correspondent"),
        sa.Index("pairs_by_correspondent", "correspondent", "revision"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "keys",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("pair_id", sa.Integer, sa.ForeignKey("pairs.id"), nullable=False),
        sa.Column("set_id", sa.LargeBinary(8), nullable=False, index=True),
        sa.Column("generation", sa.Integer, nullable=False),
        sa.Column("kcn", sa.LargeBinary),
        sa.Column("fingerprint", sa.LargeBinary(32), nullable=False, unique=True),
        sa.Column("home_nonce", sa.LargeBinary(32), nullable=False),
        sa.Column("care_of_nonce", sa.LargeBinary(32), nullable=False),
        sa.Column("lifetime", sa.Integer, nullable=False),
        sa.Column("state", sa.String(9), nullable=False),
        sa.Column("last_sequence", sa.Integer),
        sa.UniqueConstraint("pair_id", "generation"),
        sa.CheckConstraint("state IN ('sent', 'confirmed', 'retired')", name="key_state"),
        sa.CheckConstraint("(kcn IS NULL) = (state = 'retired')", name="retired_has_no_kcn"),
        sa.CheckConstraint("last_sequence BETWEEN 0 AND 65535", name="sequence_range"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "bindings",
        sa.Column(
            "pair_id", sa.Integer, sa.ForeignKey("pairs.id"), primary_key=True, autoincrement=False
        ),
        sa.Column("key_id", sa.Integer, sa.ForeignKey("keys.id"), nullable=False),
        sa.Column("care_of_address", sa.LargeBinary(16), nullable=False),
        sa.Column("lifetime", sa.Integer, nullable=False),
        sa.Column("registered_ms", sa.BigInteger, nullable=False),
        sa.Column("expires_ms", sa.BigInteger, nullable=False, index=True),
    )
