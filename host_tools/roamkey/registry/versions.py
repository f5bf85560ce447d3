"""Which revision of the tables a database has: made, upgraded, or refused, before it is used."""

import sys

from sqlalchemy import Connection, Engine, inspect, select, text

from roamkey.errors import BadInputError
from roamkey.registry import database, schema
from roamkey.registry.records import AbsentError
from roamkey.registry.vault import Vault

_LATEST = schema.REVISIONS[-1]
_LOCK = 0x726F616D  # of PostgreSQL: whoever makes or upgrades tables does it alone


def ensure(engine: Engine, create: bool, vault: Vault) -> None:
    """See that the tables are there and as this roamkey knows them.

    Older ones are upgraded in one transaction, which a line on standard error says. Raises
    BadInputError for newer ones, and for none, without `create`.
    """
    with database.reading(engine) as c:
        found = revision_of(c)
        _refuse_unknown(found)
        if found == _LATEST:
            return
    if found is None and not create:
        raise AbsentError("the registry is empty: provision a board first")
    with database.writing(engine) as c:
        if c.dialect.name == "postgresql":
            c.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
        found = revision_of(c)  # another process may have been faster
        _refuse_unknown(found)
        if found is None:
            schema.metadata.create_all(c)
            c.execute(schema.version.insert().values(version_num=_LATEST))
            vault.create(c)
            return
        if found != _LATEST:
            _upgrade(c, found)
            line = f"registry {database.name(engine)}: tables upgraded from {found} to {_LATEST}"
            print(f"roamkey: {line}", file=sys.stderr)


def revision_of(c: Connection) -> str | None:
    """The revision of a database's tables; None where there are none."""
    tables = inspect(c)
    if not tables.has_table(schema.registry.name):
        return None
    if not tables.has_table(schema.version.name):
        return schema.REVISIONS[0]
    return c.scalar(select(schema.version.c.version_num)) or schema.REVISIONS[0]


def _refuse_unknown(found: str | None) -> None:
    if found is not None and found not in schema.REVISIONS:
        raise BadInputError(
            f"the registry's tables are of revision {found}, newer than this roamkey's {_LATEST}"
        )


def _upgrade(c: Connection, found: str) -> None:
    from roamkey.registry import migrations  # alembic: only where it is needed

    migrations.upgrade(c, found)
