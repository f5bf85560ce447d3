"""Sockets: a function called whenever one can be read, a packet taken from lwIP's, a free port."""

import asyncio
import os

from ..compat import MICROPYTHON, const

TYPE_CHECKING = const(False)

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from ..protocols import Stream

_PEEK = const(1)  # lwIP's MSG_PEEK
_EAGAIN = const(11)
_HEADER_OCTETS = const(40)  # of IPv6
_OCTETS_MAX = const(1500)  # a packet, as Wi-Fi carries it
_VOID = bytearray(1)
_FIRST_PORT = const(49152)  # of those that nobody owns, RFC 6335 section 6
_PORTS = const(0x3FFF)


def random_port() -> int:
    """A port for a node's datagrams."""
    return _FIRST_PORT + (int.from_bytes(os.urandom(2), "big") & _PORTS)


def take(stream: "socket.socket") -> bytes | None:
    """The IPv6 packet that waits in a raw socket of lwIP, None for none; in no more memory than
    its own length.

    Raises OSError, and MemoryError where there isn't as much: then that packet is lost, which
    would else stay the next for ever.
    """
    try:
        head = stream.recv(_HEADER_OCTETS, _PEEK)
        octets = _HEADER_OCTETS + int.from_bytes(head[4:6], "big")
        return stream.recv(min(octets, _OCTETS_MAX))
    except OSError as error:
        if error.args[0] == _EAGAIN:
            return None
        raise
    except MemoryError:
        discard(stream)
        raise


def discard(stream: "socket.socket") -> None:
    """Lose the packet that waits in a socket of lwIP: it takes no memory."""
    stream.readinto(_VOID)  # type: ignore[attr-defined]  # MicroPython's own


class Readable:
    """Awaited again and again: until its stream can be read. MicroPython alone."""

    def __init__(self, stream: "socket.socket | Stream") -> None:
        self._stream = stream
        self._asked = False

    def __iter__(self) -> "Readable":
        return self

    __await__ = __iter__

    def __next__(self) -> None:
        self._asked = not self._asked
        if not self._asked:
            raise StopIteration
        try:
            asyncio.core._io_queue.queue_read(self._stream)  # type: ignore[attr-defined]  # MicroPython's own
        except Exception:
            self._asked = False
            raise


async def _serve(watch: "Watch") -> None:
    readable = None
    while watch.on:
        try:
            if readable is None:
                readable = Readable(watch.stream)
            await readable  # type: ignore[misc]  # MicroPython awaits iterators
            watch.call()
        except Exception as error:  # no memory even for a call
            watch.calling = False
            try:
                watch.failed(error)
            except Exception:
                pass
            await asyncio.sleep(0)  # others may have memory to give back


class Watch:
    """Calls `function` whenever `stream` can be read, until `stop`. Needs a running loop.

    What `function` raises goes to `failed(error)`.
    """

    def __init__(
        self,
        stream: "socket.socket",
        function: "Callable[[], object]",
        failed: "Callable[[Exception], object]",
    ) -> None:
        self.stream = stream
        self.on = True
        self.calling = False
        self._function = function
        self.failed = failed
        if MICROPYTHON:
            self._task = asyncio.create_task(_serve(self))
        else:
            self._loop = asyncio.get_running_loop()
            self._loop.add_reader(stream.fileno(), self.call)

    def call(self) -> None:
        """What is called: `function`, guarded."""
        self.calling = True
        try:
            self._function()
        except Exception as error:
            self.failed(error)
        self.calling = False

    def stop(self) -> None:
        """Call it no more; the stream may be closed then. `function` itself may say so."""
        self.on = False
        if not MICROPYTHON:
            self._loop.remove_reader(self.stream.fileno())
        elif not self.calling:  # a task can't cancel itself
            self._task.cancel()
