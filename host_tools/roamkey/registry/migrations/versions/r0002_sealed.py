"""Encryption at rest, and the tables' revision kept where alembic keeps it."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """A place for the sealed keys of the registry; until it is used, nothing is encrypted."""
    with op.batch_alter_table("registry") as table:
        table.drop_column("schema")
        table.alter_column("fingerprint_key", existing_type=sa.LargeBinary(32), nullable=True)
        table.add_column(sa.Column("sealed", sa.LargeBinary))
        table.create_check_constraint(
            "one_key_place", "(fingerprint_key IS NULL) <> (sealed IS NULL)"
        )
