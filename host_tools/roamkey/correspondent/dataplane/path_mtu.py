"""What routers say of the way to a care-of address: ICMPv6 Packet Too Big.

The kernel takes no notice: it looks behind the routing header for a socket of its own, and there
is none. So the reports are read here. One is believed where it quotes a packet that went to a
bound node: whoever is not on the way would have to guess home and care-of address. It can't press
the MTU below the least of IPv6, and is forgotten after ten minutes (RFC 8201 section 4).
"""

import contextlib
import socket
import struct
from ipaddress import IPv6Address

from mip6 import packets
from roamkey.correspondent.dataplane.table import LEAST_MTU, Table

_ICMP6_FILTER = 1
_PACKET_TOO_BIG = 2
_QUOTED = 8  # where the packet begins that was too big
_ROUTING = _QUOTED + packets.IPV6_HEADER_OCTETS
_OCTETS = _ROUTING + packets.EXTENSION_OCTETS
_AT_ONCE = 64


class PathMtu:
    """Hears the reports for one address and notes them in the table. `close()` it."""

    def __init__(self, table: Table, address: IPv6Address) -> None:
        """Raises OSError."""
        self._table = table
        self._address = address.packed
        self._socket = socket.socket(socket.AF_INET6, socket.SOCK_RAW, packets.ICMPV6)
        blocked = [0xFFFFFFFF] * 8
        blocked[0] &= ~(1 << _PACKET_TOO_BIG)
        self._socket.setsockopt(packets.ICMPV6, _ICMP6_FILTER, struct.pack("@8I", *blocked))
        self._socket.setblocking(False)
        self._socket.bind((str(address), 0))
        self.close = self._socket.close

    def fileno(self) -> int:
        """For poll."""
        return self._socket.fileno()

    def hear(self, now: int) -> None:
        """Read what waits; `now` in milliseconds."""
        with contextlib.suppress(BlockingIOError):
            for _ in range(_AT_ONCE):
                self._note(self._socket.recv(_OCTETS), now)

    def _note(self, report: bytes, now: int) -> None:
        quoted = report[_QUOTED:]
        if (
            len(report) < _OCTETS
            or quoted[6] != packets.ROUTING
            or quoted[8:24] != self._address
            or report[_ROUTING + 2] != packets.ROUTING_TYPE_2
        ):
            return
        entry = self._table.by_home.get(report[_ROUTING + 8 : _OCTETS])
        mtu = int.from_bytes(report[4:8], "big")
        there = socket.inet_ntop(socket.AF_INET6, quoted[24:40])
        if entry is not None and entry.care_of_text == there and mtu >= LEAST_MTU:
            entry.narrow(mtu, now)
