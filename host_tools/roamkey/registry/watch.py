"""What others change in a registry, as it happens: other daemons, and commands.

PostgreSQL tells by itself (LISTEN): whoever commits sends a notification along, with the pairs
whose bindings changed. SQLite has a counter that rises with every commit of others; it is looked
at four times a second, and says only that something changed.

It is a thread with a connection of its own: a database that hangs holds up nobody else.
"""

import os
import secrets
import select
import socket
import sqlite3
import threading
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, text

from roamkey.registry.place import uri

_CHANNEL = "roamkey"
_LOOK_S = 0.25  # how often at SQLite's counter
_PING_S = 5.0  # how often whether the server is still there
_AGAIN_S = 1.0  # before a connection is tried anew
_IN_TIME = {"connect_timeout": 10, "keepalives_idle": 10, "tcp_user_timeout": 20_000}
_PAIRS_IN_ONE = 700  # a notification has 8000 octets at most

_PAIRS_MAX = 10_000  # remembered one by one
_ID_MAX = 2**31 - 1

_notify = text(f"SELECT pg_notify('{_CHANNEL}', :told)")


def new_name() -> str:
    """A name for who commits: what one told oneself is no news."""
    return secrets.token_hex(8)


def tell(c: Connection, name: str, pair_ids: Collection[int] = ()) -> None:
    """Have others told, when this transaction is committed: of pairs whose bindings changed, or
    of a new revision. Where the database can't, they look for themselves."""
    if c.dialect.name != "postgresql":
        return
    ids = sorted(pair_ids)
    for at in range(0, max(1, len(ids)), _PAIRS_IN_ONE):
        listed = ",".join(map(str, ids[at : at + _PAIRS_IN_ONE]))
        c.execute(_notify, {"told": f"{name} {listed}"})


def version(c: Connection) -> int | None:
    """A number that is another once others committed something; None where there is none."""
    if c.dialect.name != "sqlite":
        return None
    return c.exec_driver_sql("PRAGMA data_version").scalar()


def _pairs(listed: str) -> set[int] | None:
    """The pairs of a notification. Whoever may connect to the database can send one: of what
    isn't ours it is only believed that something changed."""
    try:
        found = {int(pair) for pair in listed.split(",") if pair}
    except ValueError:
        return None
    return found if all(0 <= pair <= _ID_MAX for pair in found) else None


class Watch:
    """Select on it; then `take` what changed. `close` it."""

    def __init__(self, engine: Engine, name: str) -> None:
        """Watch from now on; `name`: who we are in `tell`."""
        self._engine = engine
        self._name = name
        self._readable, self._wake = socket.socketpair()
        self._readable.setblocking(False)
        self._wake.setblocking(False)
        self._ending, self._end = os.pipe()
        self._lock = threading.Lock()
        self._pairs: set[int] | None = set()
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)
        self._thread.start()

    def fileno(self) -> int:
        """For select."""
        return self._readable.fileno()

    def hear(self) -> None:
        """Not readable any more, until there is further news."""
        with suppress(BlockingIOError):
            self._readable.recv(4096)

    def take(self) -> set[int] | None:
        """The pairs whose bindings others changed since this was last asked; None: it may have
        been any. Provisioning shows in the registry's revision."""
        with self._lock:
            taken, self._pairs = self._pairs, set()
        return taken

    def again(self, name: str) -> None:
        """The registry was opened anew, and who we are is another now."""
        self._name = name
        os.write(self._end, b"\0")

    def close(self) -> None:
        """Stop; a database that doesn't answer isn't waited for."""
        os.close(self._end)
        self._thread.join(1.0)
        if not self._thread.is_alive():
            os.close(self._ending)
            self._readable.close()
            self._wake.close()

    def _changed(self, pairs: set[int] | None) -> None:
        with self._lock:
            if pairs is None or self._pairs is None or len(self._pairs) > _PAIRS_MAX:
                self._pairs = None
            else:
                self._pairs |= pairs
        with suppress(BlockingIOError):
            self._wake.send(b"\0")

    def _told_to_stop(self, timeout_s: float, other: Any = None) -> bool:
        """Wait, for `other` to become readable too; whether it is time to connect anew or end."""
        watched = [self._ending] if other is None else [self._ending, other]
        return self._ending in select.select(watched, [], [], timeout_s)[0]

    def _run(self) -> None:
        look = self._look if self._engine.dialect.name == "sqlite" else self._listen
        while True:
            # A database that fails is tried again; nobody knows what happened meanwhile.
            with suppress(sqlite3.Error, OSError, self._engine.dialect.loaded_dbapi.Error):
                look()
            if self._told_to_stop(_AGAIN_S) and not os.read(self._ending, 1):
                return

    def _connect(self) -> Any:
        dialect = self._engine.dialect
        if dialect.name == "sqlite":  # never made where it is gone
            return sqlite3.connect(uri(Path(str(self._engine.url.database))), uri=True)
        arguments, options = dialect.create_connect_args(self._engine.url)
        if dialect.name == "postgresql":
            options = {**_IN_TIME, **options}
        return dialect.loaded_dbapi.connect(*arguments, **options)

    def _look(self) -> None:
        connection = self._connect()
        try:
            (seen,) = connection.execute("PRAGMA data_version").fetchone()
            self._changed(None)
            while not self._told_to_stop(_LOOK_S):
                (version,) = connection.execute("PRAGMA data_version").fetchone()
                if version != seen:
                    seen = version
                    self._changed(None)
        finally:
            connection.close()

    def _listen(self) -> None:
        connection = self._connect()
        try:
            connection.autocommit = True
            connection.execute(f"LISTEN {_CHANNEL}")
            self._changed(None)
            while not self._told_to_stop(_PING_S, connection.fileno()):
                heard = False
                connection.pgconn.consume_input()
                while (one := connection.pgconn.notifies()) is not None:
                    heard = True
                    name, _, listed = one.extra.decode(errors="replace").partition(" ")
                    if name != self._name:
                        self._changed(_pairs(listed))
                if not heard:
                    connection.execute("SELECT 1")  # whether the server is still there
        finally:
            connection.close()
