"""Encryption at rest, and the tables' revision kept where alembic keeps it."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """A place for the sealed keys of the registry; until it is used, nothing is encrypted."""
    # SQLite makes the table anew, and a check without a name isn't carried over by itself.
    one_row = sa.CheckConstraint("id = 1")
    with op.batch_alter_table("registry", table_args=(one_row,)) as table:
        table.drop_column("schema")
        table.alter_column("fingerprint_key", existing_type=sa.LargeBinary(32), nullable=True)
        table.add_column(sa.Column("sealed", sa.LargeBinary))
        table.create_check_constraint(
            "one_key_place", "(fingerprint_key IS NULL) <> (sealed IS NULL)"
        )
