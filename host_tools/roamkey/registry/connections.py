"""The open connections of a registry's database, and what can happen to them while they are open:
the server doesn't answer any more, the file is moved or replaced by somebody.

A server that hangs doesn't cancel either: the socket to it is shut. What it then does with what it
was told already, nobody knows but the database itself.
"""

import os
import socket
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, ClassVar
from weakref import WeakSet

from sqlalchemy import Engine, event

from roamkey.registry.place import Place

_LOOK_S = 0.5


class Connections:
    """Of one engine. `cut_after_s`: seconds without an answer, after which all were cut; None once
    the server is asked anew."""

    _all: ClassVar["WeakSet[Connections]"] = WeakSet()

    def __init__(self, engine: Engine, silent_s: float | None = None) -> None:
        """Follow them from now on; `silent_s`: cut them where a server doesn't answer for so
        long; None: somebody else does."""
        self._open: dict[int, Any] = {}
        self._place: Place | None = None
        self._silent_s = silent_s
        self._waits: dict[int, float] = {}  # by thread: since when, for the server
        self._lock = threading.Lock()
        self._ended: threading.Event | None = None
        self.cut_after_s: float | None = None
        self._all.add(self)
        engine.dialect.roamkey_connections = self  # type: ignore[attr-defined]
        event.listen(engine, "do_connect", self._connect)
        for name in ("close", "close_detached"):
            event.listen(engine, name, self._remove)
        if engine.dialect.name == "sqlite":
            self._place = Place(str(engine.url.database))
            engine.dialect.do_close = self._place.close  # type: ignore[method-assign, assignment]
        elif silent_s is not None:
            for name in ("checkout", "before_cursor_execute", "after_cursor_execute", "connect",
                         "commit", "rollback"):  # fmt: skip
                event.listen(engine, name, self._goes_on)
            for name in ("checkin", "invalidate", "close"):
                event.listen(engine, name, self._rests)
            event.listen(engine, "engine_disposed", self._end)

    @staticmethod
    def of(engine: Engine) -> "Connections":
        """Those of an engine."""
        found: Connections = engine.dialect.roamkey_connections  # type: ignore[attr-defined]
        return found

    @classmethod
    def cut_all(cls) -> None:
        """Have what waits for a database fail, in whatever thread, and one just being opened."""
        for one in list(cls._all):
            one.cut()

    def cut(self) -> None:
        """The same for these."""
        for connection in list(self._open.values()):
            if isinstance(connection, sqlite3.Connection):
                with suppress(sqlite3.Error):
                    connection.interrupt()
                continue
            with suppress(Exception), socket.socket(fileno=os.dup(connection.fileno())) as one:
                one.shutdown(socket.SHUT_RDWR)

    def check(self) -> None:
        """See that a file is where it was opened; raises SystemRefusedError."""
        if self._place is not None:
            self._place.check()

    def log_octets(self) -> int:
        """How large the log beside a file is; 0 on a server."""
        return 0 if self._place is None else self._place.log_octets()

    @contextmanager
    def patient(self, silent_s: float) -> Iterator[None]:
        """Wait longer for an answer meanwhile."""
        before = self._silent_s
        if before is not None:
            self._silent_s = silent_s
        try:
            yield
        finally:
            self._silent_s = before

    def _connect(self, dialect: Any, _record: Any, arguments: Any, options: Any) -> Any:
        if self._place is not None:
            connection = self._place.connect(dialect, options)
        else:
            self._watch()
            self.cut_after_s = None
            connection = dialect.connect(*arguments, **options)
        self._open[id(connection)] = connection
        self._goes_on()
        return connection

    def _remove(self, connection: Any, _record: Any = None) -> None:
        self._open.pop(id(connection), None)

    # --- a server that doesn't answer

    def _watch(self) -> None:
        with self._lock:
            if self._silent_s is not None and self._ended is None:
                self._ended = threading.Event()
                threading.Thread(
                    target=self._look, args=(self._ended,), name="silence", daemon=True
                ).start()

    def _look(self, ended: threading.Event) -> None:
        while not ended.wait(_LOOK_S):
            since = min(list(self._waits.values()), default=None)
            silent_s = self._silent_s
            if since is None or silent_s is None or time.monotonic() - since < silent_s:
                continue
            self.cut_after_s = silent_s
            self._waits.clear()
            self.cut()

    def _goes_on(self, *_: Any) -> None:
        """The server is asked something, or has answered."""
        self._waits[threading.get_ident()] = time.monotonic()

    def _rests(self, *_: Any) -> None:
        self._waits.pop(threading.get_ident(), None)

    def _end(self, *_: Any) -> None:
        with self._lock:
            if self._ended is not None:
                self._ended.set()
                self._ended = None
        self._waits.clear()
