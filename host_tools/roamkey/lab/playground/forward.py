"""The page's port of this host, led to the correspondent's host: a browser is out here."""

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator

_AT_ONCE = 32
_OCTETS = 65536


class Forward:
    """Joins who connects to `listener` with a connection that `connect` makes, in threads that
    end with the process. More than 32 at once are turned away."""

    def __init__(self, listener: socket.socket, connect: Callable[[], socket.socket]) -> None:
        self._listener = listener
        self._connect = connect
        self._room = threading.Semaphore(_AT_ONCE)
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                caller, _ = self._listener.accept()
            except OSError:  # closed: the end
                return
            if not self._room.acquire(blocking=False):
                caller.close()
                continue
            threading.Thread(target=self._serve, args=(caller,), daemon=True).start()

    def _serve(self, caller: socket.socket) -> None:
        with (
            self._room_given_back(),
            caller,
            contextlib.suppress(OSError),
            self._connect() as other,
        ):
            back = threading.Thread(target=_pump, args=(other, caller), daemon=True)
            back.start()
            _pump(caller, other)
            back.join()

    @contextlib.contextmanager
    def _room_given_back(self) -> Iterator[None]:
        try:
            yield
        finally:
            self._room.release()


def _pump(source: socket.socket, sink: socket.socket) -> None:
    """Pass on until the end of `source`, or of `sink`: then both end."""
    with contextlib.suppress(OSError):
        while octets := source.recv(_OCTETS):
            sink.sendall(octets)
    for one in (sink, source):
        with contextlib.suppress(OSError):
            one.shutdown(socket.SHUT_WR if one is sink else socket.SHUT_RD)
