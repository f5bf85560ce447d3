"""Bindings through UDP, and the site that boards are provisioned for."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Bindings that there are, are native; there is no site until one is made."""
    with op.batch_alter_table("bindings") as table:
        table.add_column(sa.Column("endpoint", sa.LargeBinary(34)))
    op.create_table(
        "sites",
        sa.Column("id", sa.SmallInteger, sa.CheckConstraint("id = 1"), primary_key=True),
        sa.Column("correspondent", sa.LargeBinary(16), nullable=False),
        sa.Column("home_prefix", sa.LargeBinary(16), nullable=False),
        sa.Column("home_prefix_length", sa.SmallInteger, nullable=False),
        sa.Column("reach", sa.String, nullable=False),
    )
