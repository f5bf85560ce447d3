"""Ways inside UDP that are too narrow for a packet: what routers say of them.

They say it with ICMP Fragmentation Needed (RFC 1191) or ICMPv6 Packet Too Big (RFC 8201). A report
is believed where it quotes a datagram from our port to an endpoint that is bound, so whoever is
not on the way has to guess the node's port beside its address. For the kernel's own notion of the
way the address is enough: it isn't asked. A report is forgotten after ten minutes.
"""

import socket
import struct
from contextlib import suppress

from mip6 import addresses, packets
from roamkey.correspondent.dataplane.table import LEAST_MTU, Table

_LEAST_MTU4 = 68  # RFC 791
_AT_ONCE = 64
_OCTETS = 256  # more than headers take, with options
_ICMP = 8  # octets before what is quoted
_PORTS = 4

# ICMP for IPv4
_UNREACHABLE, _FRAGMENTATION_NEEDED = 3, 4
_SOL_RAW, _ICMP_FILTER = 255, 1  # linux/icmp.h
# ICMPv6
_PACKET_TOO_BIG = 2
_ICMP6_FILTER = 1


class OuterMtu:
    """Hears the reports about datagrams from our port, and notes them in the table. `close` it."""

    def __init__(self, table: Table, port: bytes) -> None:
        """`port`: ours, as it stands in a UDP header. Raises OSError."""
        self._table = table
        self._port = port
        self.sockets: list[socket.socket] = []
        try:
            four = self._open(socket.AF_INET, socket.IPPROTO_ICMP)
            blocked = 0xFFFFFFFF & ~(1 << _UNREACHABLE)
            four.setsockopt(_SOL_RAW, _ICMP_FILTER, struct.pack("@I", blocked))
            six = self._open(socket.AF_INET6, packets.ICMPV6)
            blocked6 = [0xFFFFFFFF] * 8
            blocked6[0] &= ~(1 << _PACKET_TOO_BIG)
            six.setsockopt(packets.ICMPV6, _ICMP6_FILTER, struct.pack("@8I", *blocked6))
        except OSError:
            self.close()
            raise

    def close(self) -> None:
        """Hear no more."""
        for one in self.sockets:
            one.close()

    def hear(self, one: socket.socket, now: int) -> None:
        """Read what waits at one of `sockets`; `now` in milliseconds."""
        note = self._note4 if one.family == socket.AF_INET else self._note6
        with suppress(BlockingIOError):
            for _ in range(_AT_ONCE):
                note(one.recv(_OCTETS), now)

    def _open(self, family: int, protocol: int) -> socket.socket:
        one = socket.socket(family, socket.SOCK_RAW, protocol)
        one.setblocking(False)
        self.sockets.append(one)
        return one

    def _note4(self, packet: bytes, now: int) -> None:
        """A whole IPv4 packet."""
        report = packet[4 * (packet[0] & 0x0F) :]
        quoted = report[_ICMP:]
        if report[:2] != bytes((_UNREACHABLE, _FRAGMENTATION_NEEDED)) or len(quoted) < 20:
            return
        mtu = max(_LEAST_MTU4, int.from_bytes(report[6:8], "big"))  # 0: RFC 792 had no such field
        source, destination = (addresses.IPV4_MAPPED + quoted[at : at + 4] for at in (12, 16))
        if quoted[9] == packets.UDP:
            self._narrow(source, destination, quoted[4 * (quoted[0] & 0x0F) :], mtu, now)

    def _note6(self, report: bytes, now: int) -> None:
        """An ICMPv6 message."""
        quoted = report[_ICMP:]
        mtu = int.from_bytes(report[4:8], "big")
        if len(quoted) < packets.IPV6_HEADER_OCTETS or mtu < LEAST_MTU:
            return
        source, destination = quoted[8:24], quoted[24:40]
        if quoted[6] == packets.UDP:
            self._narrow(source, destination, quoted[packets.IPV6_HEADER_OCTETS :], mtu, now)

    def _narrow(self, source: bytes, destination: bytes, udp: bytes, mtu: int, now: int) -> None:
        if udp[: _PORTS // 2] == self._port:
            endpoint = destination + udp[_PORTS // 2 : _PORTS] + source
            for entry in self._table.by_endpoint.get(endpoint, ()):
                entry.narrow(mtu, now)
