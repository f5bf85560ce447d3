"""Ways too narrow for a packet: what routers say of them, how programs are told, and fragments.

What routers say is ICMPv6 Packet Too Big.

The kernel takes no notice: it looks behind the routing header for a socket of its own, and there
is none. So the reports are read here. One is believed where it quotes a packet that went to a
bound node: whoever is not on the way would have to guess home and care-of address. It can't press
the MTU below the least of IPv6, and is forgotten after ten minutes (RFC 8201 section 4).
"""

import contextlib
import socket
import struct
from collections.abc import Callable, Iterator
from ipaddress import IPv6Address

from mip6 import packets
from roamkey.correspondent.dataplane.table import LEAST_MTU, Entry, Table

_ICMP6_FILTER = 1
_PACKET_TOO_BIG = 2
_QUOTED = 8  # where the packet begins that was too big
_ROUTING = _QUOTED + packets.IPV6_HEADER_OCTETS
_OCTETS = _ROUTING + packets.EXTENSION_OCTETS
_AT_ONCE = 64
_ANSWER_OCTETS_MAX = 1280  # of a whole ICMPv6 error: the least MTU of IPv6
_FRAGMENT_OCTETS = 8  # the header
_MORE = 1


class PathMtu:
    """Hears the reports for one address and notes them in the table. `close()` it."""

    octets = _OCTETS  # that matter of a report

    def __init__(
        self,
        table: Table,
        address: IPv6Address,
        narrowed: Callable[[Entry], None] = lambda entry: None,
    ) -> None:
        """`narrowed` is told of whose way is found too narrow. Raises OSError."""
        self._table = table
        self._narrowed = narrowed
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
                self._note(self._socket.recv(self.octets), now)

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
            self._narrowed(entry)


def packet_too_big(source: bytes, offender: bytes, mtu: int) -> bytes:
    """ICMPv6 Packet Too Big (RFC 4443 section 3.2), whole, to the sender of `offender`
    (an IPv6 packet), as if `source` had sent it.

    `mtu`: in octets, 1280 at least.
    """
    destination = offender[8:24]
    room = _ANSWER_OCTETS_MAX - packets.IPV6_HEADER_OCTETS - 8
    rest = mtu.to_bytes(4, "big") + offender[:room]
    head = bytes((_PACKET_TOO_BIG, 0))
    value = packets.checksum(source, destination, packets.ICMPV6, head + b"\0\0" + rest)
    message: bytes = head + value.to_bytes(2, "big") + rest
    header: bytes = packets.ipv6_header(source, destination, packets.ICMPV6, len(message))
    return header + message


def split(body: bytes, path_mtu: int, identification: int) -> Iterator[bytes]:
    """The fragments of a packet, from their routing headers on; `body`: from its own on.

    Of a packet that every way must take and one doesn't (RFC 8200 section 4.5): a program may send
    1280 octets wherever it likes; with the routing header these are 1304, and a link of 1280
    octets is too narrow. The kernel would fragment them only if it knew of that link.

    `path_mtu`: what the way takes, 1280 at least. `identification` is for a packet that isn't a
    fragment yet; one that is becomes smaller ones.
    """
    at = packets.EXTENSION_OCTETS
    kind, first, more = body[0], 0, 0
    if kind == packets.FRAGMENT:
        kind, field = body[at], int.from_bytes(body[at + 2 : at + 4], "big")
        first, more = field & ~7, field & _MORE
        identification = int.from_bytes(body[at + 4 : at + 8], "big")
        at += _FRAGMENT_OCTETS
    routing = bytes((packets.FRAGMENT,)) + body[1 : packets.EXTENSION_OCTETS]
    room = path_mtu - packets.IPV6_HEADER_OCTETS - packets.EXTENSION_OCTETS - _FRAGMENT_OCTETS & ~7
    data = body[at:]
    for start in range(0, len(data), room):
        flag = _MORE if start + room < len(data) else more
        header = bytes((kind, 0)) + (first + start | flag).to_bytes(2, "big")
        yield routing + header + identification.to_bytes(4, "big") + data[start : start + room]
