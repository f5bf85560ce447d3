"""Packets inside UDP (docs/SPEC.md): inward, and what of them is too long for its way outward.

The datagram's payload is the packet, so what is received goes into the device as it is, and what
the device gives leaves as it is; see `forward`. The hop limit alone is set anew, as it is for
native packets: what neighbours alone may say (RFC 4861) is never believed of a node.

A packet leaves whole, never in fragments (DF over IPv4), whatever the kernel believes of the way:
what routers say is heard by `outer_mtu`, which believes less. But what every link takes, 1280
octets (RFC 8200 section 5), goes in fragments where the way is too narrow for it; and so does
whatever isn't TCP.
"""

import errno
import os
import socket
import struct
from collections.abc import Callable, Container
from contextlib import suppress

from mip6 import addresses, packets
from mip6.errors import Violation
from roamkey.correspondent import encapsulation
from roamkey.correspondent.core.endpoints import unpack
from roamkey.correspondent.dataplane import tally
from roamkey.correspondent.dataplane.outer_mtu import OuterMtu
from roamkey.correspondent.dataplane.table import Entry, Table
from roamkey.correspondent.dataplane.tally import Tally

_BURST = 64
_OCTETS_MAX = 65536
_HOP_LIMIT = 64
_HOP_LIMIT_AT = 7
_VERSION = 6
_ANCILLARY = 128
_HEADER = struct.Struct("!BxxxHBB")
_ADDRESS_OCTETS = 16
_HOME = slice(8, 24)
_OURS = slice(24, 40)
_PORT = slice(42, 44)  # the destination's, of UDP
_DATA = frozenset((packets.UDP, 6, packets.ICMPV6))
_SEND_BUFFER = 4 << 20

# linux/in.h, linux/in6.h
_MTU = ((socket.IPPROTO_IP, 14), (socket.IPPROTO_IPV6, 24))
_MTU_DISCOVER = ((socket.IPPROTO_IP, 10), (socket.IPPROTO_IPV6, 23))
_IN_FRAGMENTS, _WHOLE = 0, 3  # PMTUDISC_DONT, PMTUDISC_PROBE


class Inside:
    """The data plane's socket at the port of encapsulation. `close` it.

    `sockets`: to poll; then `serve`. `port`: ours, as it stands in a UDP header.
    """

    def __init__(
        self,
        udp: socket.socket,
        table: Table,
        told: Tally,
        unbound: Callable[[bytes, bytes], None],
    ) -> None:
        """`unbound` is called with the endpoint and the packet, as far as its answer may be long,
        of each whose home address isn't bound to where it came from. Raises OSError."""
        for level, option in _MTU_DISCOVER:
            udp.setsockopt(level, option, _WHOLE)
        udp.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)
        self._udp = udp
        self._table = table
        self._told = told
        self._unbound = unbound
        self._buffer = bytearray(_OCTETS_MAX)
        self._view = memoryview(self._buffer)
        self._into = [self._buffer]
        self.port = udp.getsockname()[1].to_bytes(2, "big")
        self._outer_mtu = OuterMtu(table, self.port)
        self.sockets = [udp, *self._outer_mtu.sockets]

    def close(self) -> None:
        """Close all sockets."""
        for one in self.sockets:
            one.close()

    def serve(self, ready: Container[int], device: int, now: int) -> None:
        """Do what there is to do where sockets are `ready`: `inward`, and reports of routers."""
        udp, *reports = self.sockets
        if udp.fileno() in ready:
            self.inward(device, now)
        for one in reports:
            if one.fileno() in ready:
                self._outer_mtu.hear(one, now)

    def inward(self, device: int, now: int) -> None:
        """Pass into the device what nodes sent."""
        buffer, view, into, told = self._buffer, self._view, self._into, self._told
        receive, by_home = self._udp.recvmsg_into, self._table.by_home
        unpack_from, counters, write, port = (
            _HEADER.unpack_from,
            told.counters,
            os.write,
            self.port,
        )
        ours = self._table.address
        delivered = total = 0
        try:
            for _ in range(_BURST):
                octets, ancillary, _, source = receive(into, _ANCILLARY)
                if octets < packets.IPV6_HEADER_OCTETS:
                    counters[encapsulation.cut(octets)] += 1
                    continue
                first, length, kind, hops = unpack_from(buffer)
                if (
                    len(ancillary) != 1  # else it came in fragments
                    or first >> 4 != _VERSION
                    or length != octets - packets.IPV6_HEADER_OCTETS
                    or not hops
                    or kind not in _DATA
                ):
                    counters[self._why(octets, ancillary)] += 1
                    continue
                if view[_OURS] != ours:
                    counters[tally.DESTINATION] += 1
                    continue
                entry = by_home.get(bytes(view[_HOME]))
                if entry is None or entry.outer != source[:2] or entry.expires_ms <= now:
                    if entry is None or not entry.was_at(source[:2], now):
                        counters[tally.UNBOUND] += 1
                        self._tell_unbound(octets, ancillary[0][2], source)
                        continue
                    counters[tally.LATE] += 1
                if kind == packets.UDP and view[_PORT] == port:
                    counters[tally.LOOP] += 1  # an endpoint at a home address
                    continue
                buffer[_HOP_LIMIT_AT] = _HOP_LIMIT
                try:
                    write(device, view[:octets])
                except OSError as error:
                    told.count(error)
                    continue
                told.heard.add(entry.home_address)
                delivered += 1
                total += octets
        except BlockingIOError:
            return
        except OSError as error:  # an error that waited at the socket
            told.count(error)
        finally:
            counters[tally.DELIVERED] += delivered
            told.octets[0] += total

    def send_in_fragments(self, entry: Entry, packet: memoryview) -> None:
        """Send a packet that its way doesn't take whole; raises OSError.

        Over IPv4 routers may fragment it further; over IPv6 this host does, for the narrowest link
        that the kernel was told of, as we were.
        """
        send = entry.send or self._table.connect(entry)
        level, option = _of_family(_MTU_DISCOVER, entry)
        self._udp.setsockopt(level, option, _IN_FRAGMENTS)
        try:
            send(packet)
        finally:
            self._udp.setsockopt(level, option, _WHOLE)

    def _why(self, octets: int, ancillary: list[tuple[int, int, bytes]]) -> str:
        """The reason that a packet is no data."""
        if len(ancillary) != 1:
            return tally.FRAGMENT
        try:
            packets.parse_encapsulated(self._view[:octets])
        except Violation as violation:
            return str(violation.reason)
        return tally.PROTOCOL

    def _tell_unbound(self, octets: int, info: bytes, source: tuple[str, int, int, int]) -> None:
        address = socket.inet_pton(socket.AF_INET6, source[0])
        endpoint = address + source[1].to_bytes(2, "big") + info[:_ADDRESS_OCTETS]
        head = bytearray(self._view[: min(octets, packets.KEEPALIVE_OCTETS)])
        head[4:6] = (len(head) - packets.IPV6_HEADER_OCTETS).to_bytes(2, "big")
        self._unbound(endpoint, bytes(head))


def way_out_mtu(entry: Entry) -> int | None:
    """What the first link to an endpoint takes, at most; None where nothing leads there."""
    address, port, _ = unpack(entry.endpoint)
    level, option = _of_family(_MTU, entry)
    with suppress(OSError), socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as one:
        one.connect((socket.inet_ntop(socket.AF_INET6, address), port))
        return one.getsockopt(level, option)
    return None


def is_too_long(error: OSError) -> bool:
    """Whether the first link's MTU is why a packet couldn't be sent."""
    return error.errno == errno.EMSGSIZE


def _of_family(options: tuple[tuple[int, int], tuple[int, int]], entry: Entry) -> tuple[int, int]:
    """The option for the way to an endpoint."""
    return options[not addresses.is_ipv4(entry.endpoint)]
