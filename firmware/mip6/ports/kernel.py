"""Hears what the Linux kernel says of links and addresses (netlink.py), and asks for all of it.

A neighbour's advertisements make the kernel talk: of that a bounded share is heard, some hundred
messages a second. What it said beyond its queue is lost, so it is asked for everything again.
"""

import asyncio
import errno

from ..compat import const
from . import netlink
from .sockets import open_netlink
from .waiting import Watch

TYPE_CHECKING = const(False)

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable
    from typing import Any

_MESSAGE_OCTETS = const(8192)  # a message of the kernel is no longer where we read with 8 KB
_MESSAGES = const(16)  # taken at a time
_PAUSE_S = 0.05  # after so many
_DEAF_S = 0.25  # after its queue was full


class Kernel:
    """`take(event)`: one of netlink.read's but DONE. `took_all(seen)`: everything was told, the
    indices of links and (index, address) in `seen`. `fault(error)`: an OSError; `failed(error)`:
    what nobody foresaw. Needs a running loop.
    """

    def __init__(
        self,
        take: "Callable[[tuple[Any, ...]], None]",
        took_all: "Callable[[set[object]], None]",
        fault: "Callable[[OSError], None]",
        failed: "Callable[[Exception], object]",
    ) -> None:
        self._take = take
        self._took_all = took_all
        self._fault = fault
        self._failed = failed
        self._socket: socket.socket | None = None
        self._watch: Watch | None = None
        self._pause: asyncio.Task[None] | None = None
        self._asking = 0
        self._seen: set[object] = set()

    def start(self) -> None:
        """Hear what changes from now on, and ask how things are. Raises OSError."""
        self._socket = open_netlink()
        self._watch = Watch(self._socket, self._hear, self._failed)
        self._asking = 1
        self._seen = set()
        self._socket.send(netlink.ask_links())

    def tell(self, octets: bytes) -> None:
        """Send the kernel a message of netlink.py; what it does shows in what it says. OSError."""
        if self._socket is not None:
            self._socket.send(octets)

    def stop(self) -> None:
        """Hear no more."""
        self._hush()
        if self._pause is not None:
            self._pause.cancel()
            self._pause = None
        self._close()

    def _hush(self) -> None:
        if self._watch is not None:
            self._watch.stop()
            self._watch = None

    def _close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _hear(self) -> None:
        for _ in range(_MESSAGES):
            if self._socket is None:  # stopped by what it told
                return
            try:
                octets = self._socket.recv(_MESSAGE_OCTETS)
            except OSError as error:
                if error.args[0] == errno.EAGAIN:
                    return
                self._fault(error)  # ENOBUFS: something was lost, and more may be until it is read
                self._hush()
                self._close()
                self._pause = asyncio.create_task(self._go_on(_DEAF_S))
                return
            for event in netlink.read(octets):
                self._told(event)
        if self._socket is not None:
            self._hush()
            self._pause = asyncio.create_task(self._go_on(_PAUSE_S))

    def _told(self, event: "tuple[Any, ...]") -> None:
        kind = event[0]
        if kind == netlink.DONE:
            if self._asking == 1 and self._socket is not None:
                self._asking = 2
                self._socket.send(netlink.ask_addresses())
            elif self._asking == 2:
                self._asking = 0
                self._took_all(self._seen)
                self._seen = set()
            return
        if self._asking:
            if kind == netlink.LINK:
                self._seen.add(event[1])
            elif kind == netlink.ADDRESS:
                self._seen.add((event[1], event[2]))
        self._take(event)

    async def _go_on(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
        self._pause = None
        try:
            if self._socket is None:
                self.start()
            else:
                self._watch = Watch(self._socket, self._hear, self._failed)
        except Exception as error:
            self._failed(error)
