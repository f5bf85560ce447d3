"""Raw IPv6 on an ESP32: lwIP's own sockets, with roamkey's firmware (boards/ESP32_*).

docs/LIMITS.md, "ESP32", says what they deny.
"""

from .. import addresses, packets
from ..compat import const
from ..ports.waiting import take

TYPE_CHECKING = const(False)

if TYPE_CHECKING:
    import socket

    from ..protocols import Incoming, Octets

_SOCK_RAW = const(3)
_SENDERS_MAX = const(3)  # sockets kept for sending, of the board's 16
_PARAMETER_PROBLEM = const(4)  # RFC 4443 section 3.4


def _open_raw(protocol: int) -> "socket.socket":
    import socket

    stream = socket.socket(socket.AF_INET6, _SOCK_RAW, protocol)
    stream.setblocking(False)
    return stream


class Receiver:
    """Packets whose first next header is `protocol`. Raises OSError.

    The socket is bound to nothing (a connected one hears its peer alone). lwIP gives it a copy of
    each packet, six at most, and goes on with the packet itself: see sdkconfig.board.
    """

    def __init__(self, protocol: int) -> None:
        self._protocol = protocol
        self.socket = _open_raw(protocol)

    def receive(self) -> "Incoming | None":
        """(source, destination, next header, payload from that header on) of one, or None.

        Of ICMPv6 only Parameter Problems count. recvfrom() tells no IPv6 address: the header does.
        Raises as `take`.
        """
        while True:
            packet = take(self.socket)
            if packet is None:
                return None
            payload = self._payload(packet)
            if payload is not None:
                return packet[8:24], packet[24:40], self._protocol, payload

    def _payload(self, packet: bytes) -> memoryview | None:
        start = packets.IPV6_HEADER_OCTETS
        if len(packet) <= start or packet[0] >> 4 != 6 or packet[6] != self._protocol:
            return None  # IPv4 knows these protocol numbers, too
        end = start + (packet[4] << 8 | packet[5])
        if end > len(packet):
            return None
        if self._protocol == packets.ICMPV6 and packet[start] != _PARAMETER_PROBLEM:
            return None
        return memoryview(packet)[start:end]

    def close(self) -> None:
        """Give the socket back."""
        self.socket.close()


class Sender:
    """Sends from a chosen address: one socket for each next header and destination.

    sendto() knows only IPv4, hence bind and connect. They stay open, the last few.
    """

    def __init__(self) -> None:
        # (next header, destination, source, socket), the last used at the end
        self._open: list[tuple[int, bytes, bytes, socket.socket]] = []

    def send(self, source: bytes, destination: bytes, next_header: int, payload: "Octets") -> None:
        """Send; raises OSError."""
        stream = self._socket(next_header, bytes(destination), bytes(source))
        stream.send(payload)

    def _socket(self, next_header: int, destination: bytes, source: bytes) -> "socket.socket":
        for entry in self._open:
            if entry[0] == next_header and entry[1] == destination:
                self._open.remove(entry)
                if entry[2] == source:
                    self._open.append(entry)
                    return entry[3]
                entry[3].close()
                break
        if len(self._open) >= _SENDERS_MAX:
            self._open.pop(0)[3].close()
        stream = _open_raw(next_header)
        try:
            stream.bind((addresses.text(source), 0))
            stream.connect((addresses.text(destination), 0))
        except OSError:
            stream.close()
            raise
        self._open.append((next_header, destination, source, stream))
        return stream

    def close(self) -> None:
        """Give the sockets back."""
        while self._open:
            self._open.pop()[3].close()
