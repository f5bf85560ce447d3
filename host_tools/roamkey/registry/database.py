"""Opening the registry's database, and its failures as one line each.

SQLite is the default: one file, WAL, every commit on the disk before it returns (synchronous
FULL), mode 0600 in a folder of mode 0700. Any other SQLAlchemy URL works as its driver does.
"""

import os
import secrets
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from platformdirs import user_data_path
from sqlalchemy import Connection, Engine, create_engine, event, insert, inspect, select
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError

from roamkey.errors import BadInputError, RoamkeyError, SystemRefusedError
from roamkey.registry import schema

_BUSY_S = 10  # how long to wait for another writer
_WRITES = "roamkey_writes"


def default_path() -> Path:
    """Where the registry is when nobody says otherwise."""
    return user_data_path("roamkey", appauthor=False) / "registry.sqlite"


def open_engine(url_or_path: str | Path | None, create: bool) -> Engine:
    """The engine of the registry at a path or URL, its tables made where they were missing.

    Raises BadInputError (no registry there, damaged, readable by others), SystemRefusedError.
    """
    url = _url(url_or_path, create)
    try:
        # SQLAlchemy's errors would otherwise print parameters, and Kcn are among them.
        engine = create_engine(url, hide_parameters=True)
    except (NoSuchModuleError, ImportError):
        raise SystemRefusedError(f"no driver for a registry of kind {url.drivername}") from None
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
    try:
        _ensure_schema(engine, create)
    except BaseException:
        engine.dispose()
        raise
    return engine


def _url(url_or_path: str | Path | None, create: bool) -> URL:
    if url_or_path is not None and "://" in str(url_or_path):
        try:
            url = make_url(str(url_or_path))
        except ArgumentError:
            raise BadInputError("the registry's URL is malformed") from None
        if url.get_backend_name() != "sqlite" or not url.database or url.database == ":memory:":
            return url
        path = Path(url.database)
    else:
        path = default_path() if url_or_path is None else Path(url_or_path)
        url = URL.create("sqlite", database=str(path))
    try:
        if url_or_path is None and create:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _check_file(path, create)
    except OSError as error:
        raise SystemRefusedError(f"registry {path}: {error.strerror}") from None
    return url


def _check_file(path: Path, create: bool) -> None:
    """See that the file is there, and nobody's but the owner's. SQLite's own companion files
    (-wal, -shm) take its mode."""
    if create:
        with suppress(FileExistsError):
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
    except FileNotFoundError:
        raise BadInputError(f"no registry at {path}: provision a board first") from None
    if not path.is_file():
        raise BadInputError(f"registry {path} is no file")
    if mode & 0o077:
        raise BadInputError(f"registry {path} has mode {mode:04o}: it holds keys, chmod 600 it")


def _prepare_sqlite(connection: sqlite3.Connection, _record: Any) -> None:
    connection.isolation_level = None  # sqlite3 must not begin transactions by itself
    cursor = connection.cursor()
    for pragma in (
        f"busy_timeout = {_BUSY_S * 1000}",
        "journal_mode = WAL",
        "synchronous = FULL",
        "foreign_keys = ON",
        "secure_delete = ON",  # a retired Kcn is overwritten, not only unlinked
    ):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    # A writer that began as a reader is refused at once where somebody else wrote in between.
    writes = connection.get_execution_options().get(_WRITES)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _ensure_schema(engine: Engine, create: bool) -> None:
    with reading(engine) as connection:
        if inspect(connection).has_table(schema.registry.name):
            found = connection.scalar(select(schema.registry.c.schema))
            if found != schema.SCHEMA:
                raise BadInputError(
                    f"the registry has schema {found}, this roamkey knows {schema.SCHEMA}"
                )
            return
    if not create:
        raise BadInputError("the registry is empty: provision a board first")
    with writing(engine) as connection:
        schema.metadata.create_all(connection)
        if connection.scalar(select(schema.registry.c.id)) is None:
            row = {"id": 1, "schema": schema.SCHEMA, "revision": 0}
            row["fingerprint_key"] = secrets.token_bytes(32)  # type: ignore[assignment]
            connection.execute(insert(schema.registry), row)


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """A transaction that only reads."""
    with _translated(engine), engine.connect() as connection, connection.begin():
        yield connection


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """A transaction that writes: committed, and on the disk, when the block is left normally."""
    with _translated(engine), engine.connect() as connection:
        connection = connection.execution_options(**{_WRITES: True})
        with connection.begin():
            yield connection


@contextmanager
def _translated(engine: Engine) -> Iterator[None]:
    try:
        yield
    except DBAPIError as error:
        raise _one_line(engine, error) from None


def _one_line(engine: Engine, error: DBAPIError) -> RoamkeyError:
    """What went wrong, as the driver says it, without SQL and parameters."""
    name = engine.url.render_as_string(hide_password=True)
    if engine.dialect.name == "sqlite":
        name = str(engine.url.database)
    text = " ".join(str(error.orig).split())
    code = getattr(error.orig, "sqlite_errorname", "")  # from Python 3.11 on
    damaged = code.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")) or text in (
        "file is not a database",
        "database disk image is malformed",
    )
    if damaged:
        return BadInputError(f"registry {name} is damaged: {text}")
    return SystemRefusedError(f"registry {name}: {text}")
