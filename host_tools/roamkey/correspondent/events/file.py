"""The file of events: SQLite, apart from the registry, so that neither waits for the other.

    events   as in `kinds`, the earliest first
    nodes    for each correspondent and home address what holds now: made from the registry when a
             daemon starts or a board is provisioned, moved on by each batch of events in the same
             transaction. So a reader of this file needs no registry, and sees no key.

Many rows go with each statement: while SQLite works on them it holds nothing that the daemon needs
to serve packets, and it takes and leaves Python's lock once, not for every row. Commits don't wait
for the disk (synchronous NORMAL): a power cut may cost the last events, nothing else.

Mode 0600: where people's boards were is nobody else's business.
"""

import json
import socket
import sqlite3
from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import Any

from mip6 import addresses
from roamkey import privatefiles
from roamkey.correspondent.events import tables
from roamkey.errors import BadInputError, SystemRefusedError
from roamkey.registry import database
from roamkey.registry.place import Place

_BUSY_S = 5.0
_MARGIN = 5_000  # rows that go at a time, so that nobody waits long
_ADDRESSES = ("correspondent", "home_address", "care_of_address", "previous")


def place(registry: str | None) -> Path:
    """Where events are kept: beside the registry's file; for a registry on a server, in the
    service's own folder, else the user's data folder. Raises BadInputError."""
    return database.beside(registry, "events.sqlite")


class Writer:
    """The recorder's end. Methods raise sqlite3.Error."""

    def __init__(self, path: Path, correspondent: bytes) -> None:
        """For our address `correspondent`. Make the file where there is none; raises
        BadInputError, SystemRefusedError."""
        self.path = path
        self._correspondent = correspondent
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            privatefiles.create(path)
        except OSError as error:
            raise SystemRefusedError(f"events {path}: {error.strerror}") from None
        self._place = Place(str(path), "events")
        self._c = _open(path, self._place)
        try:
            self._c.execute("PRAGMA journal_mode = WAL")
            self._c.execute("PRAGMA synchronous = NORMAL")
            found = self._c.execute("PRAGMA user_version").fetchone()[0]
            if not found:
                self._c.executescript(f"BEGIN IMMEDIATE; {tables.TABLES} COMMIT;")
            elif found < tables.VERSION:
                mark = f"PRAGMA user_version = {tables.VERSION};"
                self._c.executescript(f"BEGIN IMMEDIATE; {tables.upgrade(found)} {mark} COMMIT;")
        except sqlite3.Error as error:
            # another daemon may have been faster
            if not any(text in str(error) for text in ("already exists", "duplicate column")):
                self._c.close()
                raise SystemRefusedError(f"events {path}: {error}") from None
            self._c.rollback()
        _check_version(self._c, path, (tables.VERSION,))

    def add(self, events: Sequence[tuple[Any, ...]], nodes: Sequence[tuple[Any, ...]]) -> None:
        """Append events (`FIELDS`) and move nodes on (`NODE_FIELDS`), together."""
        with self._c:
            self._c.execute("BEGIN IMMEDIATE")
            self._run(tables.add_events, events)
            self._run(tables.move_nodes, nodes)

    def know(self, rows: Sequence[tuple[Any, ...]], gone: Sequence[bytes] | None) -> None:
        """Take over nodes as the registry has them (`KNOWN_FIELDS`). `gone`: home addresses that
        it has no longer; None: all that aren't in `rows`."""
        listed, homes = "IN", gone
        if homes is None:
            listed, homes = "NOT IN", [row[0] for row in rows]
        named = json.dumps([home.hex().upper() for home in homes])
        with self._c:
            self._c.execute("BEGIN IMMEDIATE")
            self._run(tables.know_nodes, rows)
            self._c.execute(
                "DELETE FROM nodes WHERE correspondent = ? AND hex(home_address) "
                f"{listed} (SELECT value FROM json_each(?))",
                (self._correspondent, named),
            )

    def heard(self, rows: Sequence[tuple[bytes, int]]) -> None:
        """Note when data last flowed: home addresses, and milliseconds since 1970."""
        statement = "UPDATE nodes SET data_ms = ? WHERE home_address = ? AND correspondent = ?"
        with self._c:
            self._c.execute("BEGIN IMMEDIATE")
            self._c.executemany(
                statement, [(at_ms, home, self._correspondent) for home, at_ms in rows]
            )

    def forget(self, before_ms: int, rows_max: int) -> bool:
        """Remove some of what is older, or more than so many; whether there may be more."""
        newest = "(SELECT max(id) FROM events)"
        oldest = f"(SELECT id FROM events ORDER BY id LIMIT {_MARGIN})"
        with self._c:
            removed = self._c.execute(
                f"DELETE FROM events WHERE id IN {oldest} AND (at_ms < ? OR id <= {newest} - ?)",
                (before_ms, rows_max),
            ).rowcount
        return removed == _MARGIN

    def check(self) -> None:
        """See that the file is where it was opened; raises SystemRefusedError."""
        self._place.check()

    def close(self) -> None:
        """Close the file."""
        self._place.close(self._c)

    def _run(self, statements: dict[int, str], rows: Sequence[tuple[Any, ...]]) -> None:
        at = 0
        while at < len(rows):
            size = next(size for size in tables.CHUNKS if size <= len(rows) - at)
            given = chain.from_iterable(rows[at : at + size])
            self._c.execute(statements[size], (self._correspondent, *given))
            at += size


class Reader:
    """Whoever looks. Raises BadInputError where there is no such file."""

    def __init__(self, path: Path) -> None:
        """Open the file at `path`."""
        if not path.is_file():
            raise BadInputError(f"no events at {path}: no daemon has recorded any yet")
        self._c = _open(path, Place(str(path), "events"))
        self._has_names = _check_version(self._c, path) >= tables.NAMED
        name = "n.name" if self._has_names else "NULL"
        self._events = (
            f"SELECT e.*, {name} AS name FROM events e "
            "LEFT JOIN nodes n USING (home_address, correspondent)"
        )

    def version(self) -> int:
        """Another number whenever a writer changed something. Cheap."""
        number: int = self._c.execute("PRAGMA data_version").fetchone()[0]
        return number

    def last_id(self) -> int:
        """The latest event's, or 0."""
        row = self._c.execute("SELECT ifnull(max(id), 0) FROM events").fetchone()
        return int(row[0])

    def first_id(self) -> int:
        """The earliest event's that is still kept, or 0."""
        return int(self._c.execute("SELECT ifnull(min(id), 0) FROM events").fetchone()[0])

    def after(self, event_id: int, limit: int) -> list[dict[str, Any]]:
        """The events after one, the earliest first. `name`: what the node is called now."""
        return self._rows(f"{self._events} WHERE id > ? ORDER BY id LIMIT ?", event_id, limit)

    def latest(
        self, limit: int, since_ms: int = 0, home_addresses: Sequence[str] | None = None
    ) -> list[dict[str, Any]]:
        """The latest events, of some nodes or all, the earliest of them first; as in `after`."""
        where = "at_ms >= ?"
        given: list[Any] = [since_ms]
        if home_addresses is not None:
            marks = ", ".join("?" * len(home_addresses))
            where += f" AND e.home_address IN ({marks})"
            given += [_octets(one) for one in home_addresses]
        statement = f"{self._events} WHERE {where} ORDER BY id DESC LIMIT ?"
        return self._rows(statement, *given, limit)[::-1]

    def homes(self, called: str) -> list[str]:
        """The home addresses of a board, or of the node with a name."""
        mine = "SELECT DISTINCT home_address FROM nodes WHERE board = ?1"
        rows = self._rows(f"{mine} OR name = ?1" if self._has_names else mine, called)
        return [row["home_address"] for row in rows]

    def nodes(
        self,
        limit: int,
        find: str = "",
        home_addresses: Sequence[str] | None = None,
        order: tuple[str, Any] | None = None,
    ) -> list[dict[str, Any]]:
        """Nodes in the order of their addresses: those with `find` in name, board, addresses or
        state, or those with these home addresses. `order`: an expression that goes before
        addresses, and its parameter."""
        statement = "SELECT * FROM nodes"
        given: list[Any] = []
        if home_addresses is not None:
            marks = ", ".join("?" * len(home_addresses))
            statement += f" WHERE home_address IN ({marks})"
            given = [_octets(one) for one in home_addresses]
        elif find:
            more = ", name" if self._has_names else ""
            self._c.create_function("contains", -1, _contains, deterministic=True)
            statement += f" WHERE contains(?, board, state, home_address, care_of_address{more})"
            given = [find.lower()]
        return self._rows(
            f"{statement} ORDER BY {order[0] + ', ' if order else ''}home_address, correspondent "
            "LIMIT ?",
            *(*given, *(order[1:] if order else ()), limit),
        )

    def totals(self) -> dict[str, int]:
        """Nodes, those bound, accepted updates and moves since recording began."""
        (row,) = self._rows(
            "SELECT count(*) AS nodes, ifnull(sum(state = 'bound'), 0) AS bound, "
            "ifnull(sum(updates), 0) AS updates, ifnull(sum(moves), 0) AS moves FROM nodes"
        )
        return row

    def begin(self) -> None:
        """Have what is read next hold at one instant; then `end`."""
        self._c.execute("BEGIN")

    def end(self) -> None:
        """Let go of that instant."""
        self._c.rollback()

    def close(self) -> None:
        """Close the file."""
        self._c.close()

    def _rows(self, statement: str, *given: Any) -> list[dict[str, Any]]:
        rows = self._c.execute(statement, given)
        names = [column[0] for column in rows.description]
        return [_plain(names, row) for row in rows]


def _plain(names: list[str], row: tuple[Any, ...]) -> dict[str, Any]:
    """What isn't NULL, addresses as text."""
    return {
        name: _text(value) if name in _ADDRESSES else value
        for name, value in zip(names, row, strict=True)
        if value is not None
    }


def _contains(wanted: str, *values: Any) -> bool:
    texts = (_text(value) if isinstance(value, bytes) else value or "" for value in values)
    return any(wanted in text.lower() for text in texts)


def _text(address: bytes) -> str:
    return str(addresses.text(address))


def _octets(address: str) -> bytes:
    return socket.inet_pton(socket.AF_INET6, address)


def _open(path: Path, place: Place) -> sqlite3.Connection:
    try:
        mode = privatefiles.open_to_others(path)
        if mode is not None:
            raise BadInputError(f"events {path} has mode {mode:04o}: chmod 600 it")
        # A connection wanders between threads, and only one of them uses it at a time.
        options = {"timeout": _BUSY_S, "isolation_level": None, "check_same_thread": False}
        c: sqlite3.Connection = place.connect(sqlite3, options)
    except (OSError, sqlite3.Error) as error:
        text = getattr(error, "strerror", None) or str(error)
        raise SystemRefusedError(f"events {path}: {text}") from None
    return c


def _check_version(
    c: sqlite3.Connection, path: Path, known: Sequence[int] = tables.READABLE
) -> int:
    try:
        found: int = c.execute("PRAGMA user_version").fetchone()[0]
    except sqlite3.Error as error:
        c.close()
        raise BadInputError(f"events {path}: {error}") from None
    if found not in known:
        c.close()
        raise BadInputError(
            f"events {path} is of version {found}, not {tables.VERSION}: move it away, a new one "
            "is made"
        )
    return found
