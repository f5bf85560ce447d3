"""The file of an SQLite database, which somebody may move or replace while it is open.

SQLite goes by names where it should go by files. A connection that is opened while the file is
away makes an empty one, and removes the log (NAME-wal) that the one before left for others; the
connection that is closed last removes the log under that name, be it another file's by now; and
whoever opens a file beside another one's log applies it. What is written to a file that nobody
finds any more is lost.

So a file is never made by opening it; nothing is written, or read, that isn't in its place; what
is out of its place is never closed; and the log that a replaced file left behind is set aside, or,
where other processes use it, the file isn't opened beside it.
"""

import ctypes
import fcntl
import os
import sqlite3
import struct
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import quote
from weakref import WeakSet

from roamkey.errors import SystemRefusedError

_COMPANIONS = ("-wal", "-shm")
_ASIDE = ".before"
_IN_USE_AT = 128  # in NAME-shm: whoever uses it has a shared lock on this octet (os_unix.c)
_FLOCK = struct.Struct("@hhqqi")  # struct flock: type, whence, start, length, pid

_Identity = tuple[int, int]


def uri(path: Path) -> str:
    """What SQLite opens a file by that is never made; names needn't be UTF-8."""
    return f"file:{quote(os.fsencode(path.absolute()))}?mode=rw"


class Place:
    """Of one engine, for all its connections; or of one connection."""

    _all: ClassVar["WeakSet[Place]"] = WeakSet()

    def __init__(self, path: str, what: str = "registry") -> None:
        """Nothing is opened yet. `what`: it is, in messages."""
        self._path = Path(path).absolute()
        self._name = f"{what} {path}"
        self._identity: _Identity | None = None  # of the file that was opened first
        self._is_replaced = False
        self._all.add(self)

    def connect(self, dialect: Any, options: dict[str, Any]) -> Any:
        """Open the file. Raises SystemRefusedError where it isn't the one opened before."""
        self.check()
        if self._identity is None:
            for other in self._others():  # whose log may lie there
                with suppress(SystemRefusedError):
                    other.check()
            self._refuse_anothers_log()
        connection = dialect.connect(uri(self._path), **{**options, "uri": True})
        if self._identity is None:
            self._identity = _identity_of(self._path)
        return connection

    def check(self) -> None:
        """See that the file is where it was. Raises SystemRefusedError."""
        found = _identity_of(self._path) if self._identity is not None else None
        if found == self._identity:
            return
        if found is None:
            raise SystemRefusedError(f"{self._name} was moved away while it was open")
        if not self._is_replaced:
            self._is_replaced = True
            if not self._is_open_elsewhere(found) and not _is_used_by_others(self._path):
                _set_aside(self._path)
        raise SystemRefusedError(
            f"{self._name} was replaced while it was open: whoever has it open must read "
            "it anew (a daemon: SIGHUP)"
        )

    def log_octets(self) -> int:
        """How large the log beside the file is."""
        try:
            return _beside(self._path, "-wal").stat().st_size
        except OSError:
            return 0

    def close(self, connection: Any) -> None:
        """Close a connection, if that harms no other file."""
        try:
            self.check()
        except SystemRefusedError:
            with suppress(sqlite3.Error):  # what is in the log goes along with the file
                connection.execute("PRAGMA wal_checkpoint")
        if self._is_replaced:
            # Its end would remove the log of what is there now: it stays, until the process ends.
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(connection))
            return
        connection.close()

    def _refuse_anothers_log(self) -> None:
        replaced = any(other._is_replaced for other in self._others())
        if not replaced or self._is_open_elsewhere(_identity_of(self._path)):
            return
        if _identity_of(_beside(self._path, "-wal")) in _ours():
            raise SystemRefusedError(
                f"{self._name} was replaced, and the log of the one before is in use: "
                "end whatever has it open"
            )

    def _is_open_elsewhere(self, identity: _Identity | None) -> bool:
        return any(other._identity == identity for other in self._others())

    def _others(self) -> list["Place"]:
        return [one for one in list(self._all) if one is not self and one._path == self._path]


def _identity_of(path: Path) -> _Identity | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _beside(path: Path, end: str) -> Path:
    """Beside the file that a link leads to, as SQLite sees it."""
    path = path.resolve()
    return path.with_name(path.name + end)


def _ours() -> dict[_Identity, int]:
    """The files that this process has open, and their descriptors."""
    found: dict[_Identity, int] = {}
    with suppress(OSError):
        for link in Path("/proc/self/fd").iterdir():
            identity = _identity_of(link)
            if identity is not None:
                found[identity] = int(link.name)
    return found


def _is_used_by_others(path: Path) -> bool:
    """Whether other processes may use the log beside a file, which we have open."""
    identity = _identity_of(_beside(path, "-shm"))
    descriptor = None if identity is None else _ours().get(identity)
    if descriptor is None:
        return False
    asked = _FLOCK.pack(fcntl.F_WRLCK, 0, _IN_USE_AT, 1, 0)
    try:
        kind, *_ = _FLOCK.unpack_from(fcntl.fcntl(descriptor, fcntl.F_GETLK, asked))
    except OSError:
        return True
    return bool(kind != fcntl.F_UNLCK)


def _set_aside(path: Path) -> None:
    """Rename the log beside a file that is another one's: one that we have open, since we opened
    that other one."""
    ours = _ours()
    for end in _COMPANIONS:
        log = _beside(path, end)
        if _identity_of(log) in ours:
            with suppress(OSError):
                log.rename(_beside(log, _ASIDE))
