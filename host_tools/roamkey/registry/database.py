"""The registry's database: how to reach it, its transactions, its failures as one line each.

SQLite is the default: one file, WAL, every commit on the disk before it returns (synchronous
FULL), mode 0600 in a folder of mode 0700.

PostgreSQL (`postgresql+psycopg://user@host/database`) serves many hosts and daemons. A commit
returns when it is durable, whatever the server's default says. libpq's own ways to name a password
work and keep it out of the URL: ~/.pgpass, a service file, PGPASSFILE, PGSERVICEFILE.
"""

import logging
import os
import pwd
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from platformdirs import user_data_path
from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError

from roamkey import extras, playground, privatefiles
from roamkey.errors import BadInputError, RefusedError, RoamkeyError, SystemRefusedError
from roamkey.registry.connections import Connections
from roamkey.registry.records import AbsentError

REGISTRY_VARIABLE = "ROAMKEY_REGISTRY"

BUSY_S = 10.0  # how long to wait for another writer
SILENT_S = 30.0  # how long a command waits for a server's answer
_SCRUB_S = 600.0  # and for this one: it writes whole tables anew
_DEADLOCKS = ("40001", "40P01")  # SQLSTATE: serialization failure, deadlock detected
_WRITES = "roamkey_writes"
_LOG_OCTETS = 64 << 20

# Where nobody listens, Python would print a library's record, with its traceback, on stderr: of a
# connection whose closing was interrupted, for one.
logging.getLogger("sqlalchemy").addHandler(logging.NullHandler())


def default_path() -> Path:
    """Where the registry is when nobody says otherwise: of a user who has none, and whose
    playground is up, the playground's."""
    own = user_data_path("roamkey", appauthor=False) / "registry.sqlite"
    return own if own.exists() or not playground.is_up() else playground.registry()


def file_of(url_or_path: str) -> Path | None:
    """The file of a registry that is one, None for one on a server. Raises BadInputError."""
    path: str | None = url_or_path
    if "://" in url_or_path:
        url = _parsed(url_or_path)
        path = url.database if url.get_backend_name() == "sqlite" else None
    if path and not Path(path).name:
        raise BadInputError(f"registry {path} is no file")
    return Path(path) if path else None


class ContendedError(SystemRefusedError):
    """Another transaction stood in the way: nothing has changed, the same may work at once."""


def reach(url_or_path: str | Path | None, create: bool, patience_s: float | None = None) -> Engine:
    """The engine of the database at a path or URL, else in ROAMKEY_REGISTRY, else the user's own.

    `patience_s`: how long it may wait for another writer, or for a server to be reached; where
    nothing is said, ten seconds, and a server's answers are waited for `SILENT_S` at most. Who
    says something looks after that: `Connections.cut_all`. Raises BadInputError (none there,
    readable by others), SystemRefusedError.
    """
    if url_or_path is None:
        url_or_path = os.environ.get(REGISTRY_VARIABLE) or None
    silent_s = SILENT_S if patience_s is None else None
    if patience_s is None:
        patience_s = BUSY_S
    url = _url(url_or_path, create)
    options: dict[str, Any] = {}
    if url.get_backend_name() == "postgresql":
        # A conditional update must see what another daemon has just committed.
        options = {
            "isolation_level": "READ COMMITTED",
            "connect_args": _connecting(patience_s),
        }
    try:
        # SQLAlchemy's errors would otherwise print parameters, and Kcn are among them.
        engine = create_engine(url, hide_parameters=True, pool_use_lifo=True, **options)
    except ModuleNotFoundError as error:
        said = extras.missing(error.name or "", f"a registry of kind {url.drivername}")
        raise SystemRefusedError(said) from None
    except (NoSuchModuleError, ImportError):
        raise SystemRefusedError(f"no driver for a registry of kind {url.drivername}") from None
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", partial(_prepare_sqlite, patience_s))
        event.listen(engine, "begin", _begin_sqlite)
    elif engine.dialect.name == "postgresql":
        event.listen(engine, "connect", partial(_prepare_postgresql, patience_s))
    else:
        raise SystemRefusedError(f"a registry of kind {url.drivername} is not supported")
    Connections(engine, silent_s)
    return engine


def name(engine: Engine) -> str:
    """What to call a database in a message: no user's password, no query."""
    url = engine.url
    if engine.dialect.name == "sqlite":
        return str(url.database)
    return URL.create(
        url.drivername, url.username, None, url.host, url.port, url.database
    ).render_as_string()


def user(engine: Engine) -> str | None:
    """Who owns a database's file, or is logged in on its server; None where nobody can tell."""
    if engine.dialect.name != "sqlite":
        return engine.url.username
    try:
        uid = Path(str(engine.url.database)).stat().st_uid
    except OSError:
        return None
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def scrub(engine: Engine) -> bool:
    """Overwrite what deleted and replaced rows left in the database's own files; False where
    somebody who reads an older state keeps it from being done."""
    statements = ["PRAGMA wal_checkpoint(TRUNCATE)", "VACUUM", "PRAGMA wal_checkpoint(TRUNCATE)"]
    if engine.dialect.name == "postgresql":
        statements = [f"VACUUM FULL {table}" for table in ("keys", "registry", "seals")]
    connections = Connections.of(engine)
    with translated(engine), connections.patient(_SCRUB_S):
        raw = engine.raw_connection()
        try:
            connection: Any = raw.driver_connection
            if engine.dialect.name == "postgresql":
                connection.autocommit = True  # SQLite's has it anyway: see `_prepare_sqlite`
            if engine.dialect.name == "postgresql":
                for statement in statements:
                    connection.execute(statement)
                return True
            # SQLite's answer to a checkpoint: whether it was held up, then two sizes.
            return not [connection.execute(one).fetchall() for one in statements][-1][0][0]
        except engine.dialect.loaded_dbapi.Error as error:
            raise SystemRefusedError(f"registry {name(engine)}: {_words(error)}") from None
        finally:
            raw.invalidate()


def _parsed(text: str) -> URL:
    try:
        return make_url(text)
    except (ArgumentError, ValueError):
        raise BadInputError("the registry's URL is malformed") from None


def _url(url_or_path: str | Path | None, create: bool) -> URL:
    if url_or_path is not None and "://" in str(url_or_path):
        url = _parsed(str(url_or_path))
        if url.drivername == "postgresql":  # ours, whichever SQLAlchemy would take
            url = url.set(drivername="postgresql+psycopg")
        if "password" in url.query:  # to where it is hidden
            password = url.normalized_query["password"][0]
            url = url.difference_update_query(["password"]).set(password=password)
        if url.get_backend_name() != "sqlite" or not url.database or url.database == ":memory:":
            return url
        path = Path(url.database)
    else:
        path = default_path() if url_or_path is None else Path(url_or_path)
        if url_or_path is None and create and path == playground.registry():
            raise RefusedError(
                "a playground is up, whose registry ends with it: type this in `roamkey lab "
                "shell`, name a --registry, or take the playground down (`roamkey lab down`)"
            )
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
        privatefiles.create(path)
    try:
        mode = privatefiles.open_to_others(path)
    except FileNotFoundError:
        raise AbsentError(f"no registry at {path}: provision a board first") from None
    if not path.is_file():
        raise BadInputError(f"registry {path} is no file")
    if mode is not None:
        raise BadInputError(f"registry {path} has mode {mode:04o}: it holds keys, chmod 600 it")


def _connecting(patience_s: float) -> dict[str, Any]:
    """How a server is reached: one that went away without a word is missed in time, too."""
    seconds = max(2, round(patience_s))
    return {
        "connect_timeout": seconds,
        "keepalives_idle": seconds,
        "keepalives_interval": 1,
        "keepalives_count": seconds,
        "tcp_user_timeout": 2000 * seconds,
    }


def _prepare_sqlite(patience_s: float, connection: sqlite3.Connection, _record: Any) -> None:
    # One row's damaged text is that row's, and keeps no other from being read.
    connection.text_factory = partial(str, encoding="utf-8", errors="replace")
    connection.isolation_level = None  # sqlite3 must not begin transactions by itself
    cursor = connection.cursor()
    for pragma in (
        f"busy_timeout = {round(patience_s * 1000)}",
        "journal_mode = WAL",
        "synchronous = FULL",
        "foreign_keys = ON",
        f"journal_size_limit = {_LOG_OCTETS}",  # once whoever kept it from being reused has gone
        "secure_delete = ON",  # a retired Kcn is overwritten, not only unlinked
    ):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _prepare_postgresql(patience_s: float, connection: Any, _record: Any) -> None:
    durable = (
        "SELECT set_config('synchronous_commit', 'on', false) "
        "WHERE current_setting('synchronous_commit') = 'off'"
    )
    connection.execute(durable)
    connection.execute(f"SET lock_timeout = '{round(patience_s * 1000)}ms'")
    connection.commit()


def _begin_sqlite(connection: Connection) -> None:
    # A writer that began as a reader is refused at once where somebody else wrote in between.
    writes = connection.get_execution_options().get(_WRITES)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """A transaction that only reads."""
    with translated(engine), engine.connect() as connection, connection.begin():
        Connections.of(engine).check()
        yield connection


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """A transaction that writes: committed, and on the disk, when the block is left normally."""
    with translated(engine), engine.connect() as connection:
        connection = connection.execution_options(**{_WRITES: True})
        with connection.begin():
            Connections.of(engine).check()
            yield connection


@contextmanager
def translated(engine: Engine) -> Iterator[None]:
    """Have the driver's errors come as ours, one line each."""
    try:
        yield
    except DBAPIError as error:
        raise _one_line(engine, error) from None


def _one_line(engine: Engine, error: DBAPIError) -> RoamkeyError:
    """What went wrong, as the driver says it, without SQL and parameters."""
    silent_s = Connections.of(engine).cut_after_s
    if silent_s is not None:
        return SystemRefusedError(f"registry {name(engine)}: no answer for {silent_s:.0f} s")
    text = _words(error.orig)
    code = getattr(error.orig, "sqlite_errorname", "")  # from Python 3.11 on
    damaged = code.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")) or text in (
        "file is not a database",
        "database disk image is malformed",
    )
    if damaged:
        return BadInputError(f"registry {name(engine)} is damaged: {text}")
    contended = getattr(error.orig, "sqlstate", "") in _DEADLOCKS
    kind = ContendedError if contended else SystemRefusedError
    return kind(f"registry {name(engine)}: {text}")


def _words(error: object) -> str:
    return " ".join(str(error).split())


def beside(registry: str | None, name: str) -> Path:
    """Where a file of this name (an ending) belongs that goes with a registry: beside its own
    file; for one on a server, in the service's own folder, else the user's data folder.

    Raises BadInputError.
    """
    registry = registry or os.environ.get(REGISTRY_VARIABLE) or None
    path = default_path() if registry is None else file_of(registry)
    if path is None:
        folder = os.environ.get("STATE_DIRECTORY") or user_data_path("roamkey", False)
        return Path(folder) / name
    return path.with_suffix(f".{name}")
