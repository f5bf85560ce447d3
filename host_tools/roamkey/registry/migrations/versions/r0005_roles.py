"""Home agents: what the peer of a pair is to its node."""

from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Pairs that there are, are with correspondents. In SQL, since SQLite, which others refer to
    this table in, would have to make it anew for the check, else."""
    op.execute(
        "ALTER TABLE pairs ADD COLUMN role VARCHAR(13) DEFAULT 'correspondent' NOT NULL "
        "CONSTRAINT pair_role CHECK (role IN ('correspondent', 'home agent'))"
    )
