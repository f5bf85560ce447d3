"""UDP over lwIP, IPv4 or IPv6, for packets inside datagrams (docs/SPEC.md), and names."""

import socket

from .. import addresses, packets
from ..compat import const
from .waiting import discard

TYPE_CHECKING = const(False)

if TYPE_CHECKING:
    from ..protocols import Incoming, Octets
    from .waiting import Watch

_PEEK = const(1)  # lwIP's MSG_PEEK
_EAGAIN = const(11)
_HEADER_OCTETS = const(40)  # of IPv6
_OCTETS_MAX = const(1472)  # a datagram, as Wi-Fi carries it


class Outside:
    """A UDP socket at every address of one kind; doesn't block. OSError."""

    def __init__(self, ipv4: bool, port: int) -> None:
        self._ipv4 = ipv4
        self.watch: "Watch | None" = None
        self._to: bytes | None = None
        self._place = ("", 0)
        self.socket = socket.socket(socket.AF_INET if ipv4 else socket.AF_INET6, socket.SOCK_DGRAM)
        try:
            self.socket.bind(("0.0.0.0" if ipv4 else "::", port))
            self.socket.setblocking(False)
        except OSError:
            self.socket.close()
            raise

    def send_to(self, destination: bytes, port: int, payload: "Octets") -> None:
        """Send a datagram to 16 octets of address (IPv4 mapped). OSError."""
        if destination != self._to or port != self._place[1]:
            self._place = (addresses.text(destination), port)
            self._to = destination
        self.socket.sendto(payload, self._place)

    def receive(self) -> "Incoming | None":
        """(source, nothing, packets.ENCAPSULATED and source port, data) of one, or None.

        It takes no more memory than the packet inside says that it has, and an octet: so one that
        is longer shows. Raises OSError; MemoryError where there isn't as much, and it is lost.
        """
        try:
            head = self.socket.recv(_HEADER_OCTETS, _PEEK)
            octets = _HEADER_OCTETS + 1
            if len(head) == _HEADER_OCTETS:
                octets += head[4] << 8 | head[5]
            data, place = self.socket.recvfrom(min(octets, _OCTETS_MAX))
        except OSError as error:
            if error.args[0] == _EAGAIN:
                return None
            raise
        except MemoryError:
            discard(self.socket)
            raise
        return addresses.parse(place[0]), b"", packets.ENCAPSULATED + place[1], data

    def close(self) -> None:
        """Give the socket back."""
        if self.watch is not None:
            self.watch.stop()
        self.socket.close()


def look_up(name: str, ipv6: bool, ipv4: bool) -> "list[bytes]":
    """The addresses of a name, of the kinds that are wanted. Raises OSError where there is none.

    lwIP tells one of a kind.
    """
    found = []
    for wanted, family in ((ipv4, socket.AF_INET), (ipv6, socket.AF_INET6)):
        try:
            if wanted:
                found.append(addresses.parse(socket.getaddrinfo(name, 0, family)[0][4][0]))
        except (OSError, ValueError):
            pass  # it may have the other kind
    if not found:
        raise OSError(_EAGAIN)
    return found
