"""UDP for applications, over the optimized route: both ends see the home address, wherever it is.

    socket = datagrams.bind(node, 5005)
    await socket.send(b"21.5", ("2001:db8:c::2", 5005))   # waits until the correspondent is bound
    data, (address, port) = await socket.recv()

`sendto` and `recvfrom` are the same without waiting. Before a binding exists (at the start, for
a round trip after a move whose old uplink is gone) a datagram waits in a buffer of `waiting`
datagrams, or is refused where that is 0 or full: an application that sends old readings late says
8, one that wants only fresh ones says 0. Nothing else is kept, and all that is dropped is counted.
"""

import asyncio
import errno

from . import packets
from .addresses import parse, text
from .compat import const
from .errors import Misuse
from .limits import ADDRESS_OCTETS, DATAGRAM_OCTETS_MAX

TYPE_CHECKING = const(False)

if TYPE_CHECKING:
    from .node import Node
    from .protocols import Octets

_FIRST_FREE = const(49152)  # ports given out where none is named, RFC 6335 section 6
_LAST_PORT = const(65535)


def bind(node: "Node", port: int = 0, waiting: int = 8, receiving: int = 8) -> "Socket":
    """A `Socket` at a UDP port of the node's home address; port 0: one that is free.

    `waiting`, `receiving`: datagrams kept before a binding exists, and until they are fetched.
    Raises OSError(EADDRINUSE) where the port is in use.
    """
    if port == 0:
        port = _FIRST_FREE
        while port in node.sockets and port < _LAST_PORT:
            port += 1
    if type(port) is not int or not 0 < port <= _LAST_PORT:
        raise Misuse("a port is a whole number, 0 to 65535")
    if port in node.sockets:
        raise OSError(errno.EADDRINUSE)
    socket = Socket(node, port, waiting, receiving)
    node.add_socket(socket)
    return socket


class Socket:
    """A UDP socket of the home address; made by `bind`.

    Addresses are text or 16 octets going out, text coming in. `counts`: datagrams `sent`,
    `refused` (those that waited for a closed socket among them), `received`, `overflowed` (not
    fetched in time) and `unsent` (not taken by the platform).
    """

    def __init__(self, node: "Node", port: int, waiting: int, receiving: int) -> None:
        self._node = node
        self._from: bytes | None = None  # the care-of address that the last datagram left from
        self.port = port
        self._waiting_max = waiting
        self._receiving_max = receiving
        self._waiting: list[tuple[bytes, int, bytes]] = []  # (destination, port, data)
        self._received: list[tuple[bytes, tuple[str, int]]] = []  # (data, (address, port))
        self._arrived = asyncio.Event()
        self._moved = asyncio.Event()  # set whenever the way may have become free
        self._late = False  # whether what is being sent had to wait for a way
        # text -> octets of addresses, as the application writes them
        self._named: dict[str, bytes] = {}
        self._texts: dict[bytes, str] = {}  # and back
        self.counts = {"sent": 0, "refused": 0, "received": 0, "overflowed": 0, "unsent": 0}

    def sendto(self, data: bytes, destination: tuple[str | bytes, int]) -> None:
        """Send octets to (address, port), now or once a binding exists.

        Raises OSError: EAGAIN where it can't be sent now and may not wait, EHOSTUNREACH where the
        address is no correspondent's and there is no home agent, EBADF after `close`; Misuse
        beyond 1184 octets, and for what are no octets, no address, no port; ValueError for a text
        that is no address.
        """
        address, port = self._checked(data, destination)
        self._late = False
        if self._send(address, port, data):
            return
        if len(self._waiting) >= self._waiting_max:
            self.counts["refused"] += 1
            raise OSError(errno.EAGAIN)
        self._waiting.append((address, port, bytes(data)))

    async def send(self, data: bytes, destination: tuple[str | bytes, int]) -> None:
        """Send octets to (address, port); returns once they left. Raises as `sendto`."""
        address, port = self._checked(data, destination)
        self._late = False
        sent = self._send(address, port, data)
        while not sent:
            self._moved.clear()
            await self._moved.wait()
            self._check_open()
            self._late = True
            sent = self._send(address, port, data)

    def recvfrom(self) -> tuple[bytes, tuple[str, int]]:
        """(octets, (address, port)) of a datagram that came; raises OSError(EAGAIN) for none."""
        if not self._received:
            self._check_open()
            raise OSError(errno.EAGAIN)
        return self._received.pop(0)

    async def recv(self) -> tuple[bytes, tuple[str, int]]:
        """(octets, (address, port)) of the next datagram. Raises OSError(EBADF) after `close`."""
        while not self._received:
            self._check_open()
            self._arrived.clear()
            await self._arrived.wait()
        return self._received.pop(0)

    def close(self) -> None:
        """Give the port back; what waited is dropped, who waits gets OSError(EBADF)."""
        self.counts["refused"] += len(self._waiting)
        self._waiting.clear()
        if self._node is not None:
            self._node.remove_socket(self)
            self._node = None  # type: ignore[assignment]  # nothing asks it any more
        self._arrived.set()
        self._moved.set()

    # What the node tells

    def flush(self) -> None:
        """The way may be free: send what waits."""
        self._late = True
        for _ in range(len(self._waiting)):
            entry = self._waiting.pop(0)  # one over which something fails is lost
            if not self._done_with(*entry):
                self._waiting.append(entry)
        self._moved.set()

    def _done_with(self, address: bytes, port: int, data: bytes) -> bool:
        """Whether a waiting datagram was sent, or never can be: the keys changed meanwhile."""
        bindings = self._node.bindings
        if bindings is not None and not bindings.serves(address):
            self.counts["refused"] += 1
            return True
        return self._send(address, port, data)

    def deliver(self, source: bytes, header: "Octets") -> None:
        """A datagram came from 16 octets of address; `header`: UDP header and data."""
        octets = header[4] << 8 | header[5]
        if len(self._received) >= self._receiving_max:
            self.counts["overflowed"] += 1
            return
        self.counts["received"] += 1
        port = header[0] << 8 | header[1]
        self._received.append(
            (bytes(header[packets.UDP_HEADER_OCTETS : octets]), (self._text(source), port))
        )
        self._arrived.set()

    def _send(self, address: bytes, port: int, data: bytes) -> bool:
        """Whether there is a way; then the datagram is sent."""
        bindings = self._node.bindings
        if bindings is None or not bindings.reaches(address):
            return False
        datagram = packets.udp(bindings.home_address, address, self.port, port, data)
        taken = self._node.send_data(bindings.carry(address, packets.UDP, datagram))
        self.counts["sent" if taken else "unsent"] += 1
        if bindings.care_of != self._from and bindings.settled(address):
            self._from = bindings.care_of
            bindings.emit("data", address, "waited" if self._late else "new")
        return True

    def _checked(self, data: bytes, destination: tuple[str | bytes, int]) -> tuple[bytes, int]:
        self._check_open()
        if not isinstance(data, (bytes, bytearray, memoryview)):
            raise Misuse("a datagram holds octets: bytes, bytearray or memoryview")
        if len(data) > DATAGRAM_OCTETS_MAX:
            raise Misuse("a datagram holds 1184 octets at most")
        address, port = destination
        if type(port) is not int or not 0 <= port <= _LAST_PORT:
            raise Misuse("a port is a whole number, 0 to 65535")
        if isinstance(address, str):
            address = self._octets(address)
        elif not isinstance(address, bytes) or len(address) != ADDRESS_OCTETS:
            raise Misuse("an address is text or 16 octets")
        bindings = self._node.bindings
        if bindings is not None and not bindings.serves(address):
            raise OSError(errno.EHOSTUNREACH)
        return address, port

    def _check_open(self) -> None:
        if self._node is None:
            raise OSError(errno.EBADF)

    def _octets(self, address: str) -> bytes:
        octets = self._named.get(address)
        if octets is None:
            if len(self._named) >= 16:
                self._named.clear()
            octets = self._named[address] = parse(address)
        return octets

    def _text(self, octets: bytes) -> str:
        found = self._texts.get(octets)
        if found is None:
            if len(self._texts) >= 16:
                self._texts.clear()
            found = self._texts[octets] = text(octets)
        return found
