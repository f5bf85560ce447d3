"""From one revision of the registry's tables to the next, by alembic.

A new database is made from `schema` as it is now, and marked with the latest revision; only an
older one comes here. `versions/` has a file for each step.
"""

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection

_CONNECTION = "connection"


def upgrade(connection: Connection, found: str, to: str = "head") -> None:
    """Bring a database that is of revision `found` (or empty: "") to revision `to`.

    Inside the caller's transaction, so whole or not at all.
    """
    config = Config()
    config.set_main_option("script_location", "roamkey.registry:migrations")
    config.attributes[_CONNECTION] = connection
    config.attributes["found"] = found
    command.upgrade(config, to)
