"""Packets inside UDP (docs/SPEC.md): inward, and what of them is too long for its way outward.

The datagram's payload is the packet, so what is received goes into the device as it is, and what
the device gives leaves as it is; see `forward`. The hop limit alone is set anew, as it is for
native packets: what neighbours alone may say (RFC 4861) is never believed of a node.

UDP's GRO isn't asked for: the kernel would put datagrams of one sender together before it looks
which of the two sockets is each one's (see `encapsulation`), so signalling would come here, among
data.

A packet leaves whole, never in fragments (DF over IPv4), whatever the kernel believes of the way:
what routers say is heard by `outer_mtu`, which believes less. But what every link takes, 1280
octets (RFC 8200 section 5), goes in fragments where the way is too narrow for it; and so does
whatever isn't TCP.
"""

import errno
import socket
import struct
from collections.abc import Callable, Container
from contextlib import suppress

from mip6 import addresses, packets
from mip6.errors import Violation
from roamkey.correspondent import encapsulation
from roamkey.correspondent.core.endpoints import unpack
from roamkey.correspondent.dataplane import mmsg, tally
from roamkey.correspondent.dataplane.delivery import Delivery
from roamkey.correspondent.dataplane.outer_mtu import OuterMtu
from roamkey.correspondent.dataplane.table import Entry, Table
from roamkey.correspondent.dataplane.tally import Tally

_OCTETS_MAX = 65536
_HOP_LIMIT = 64
_HOP_LIMIT_AT = 7
_VERSION = 6
_ANCILLARY = 128
_INFO_AT = 16  # in an ancillary message
_HEADER = struct.Struct("!BxxxHBB")
_ADDRESS_OCTETS = 16
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
        delivery: Delivery,
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
        self._delivery = delivery
        self._inbox = mmsg.Inbox(0, _OCTETS_MAX, _ANCILLARY)
        table.segments = mmsg.can_segment(udp)
        self.port = udp.getsockname()[1].to_bytes(2, "big")
        self._outer_mtu = OuterMtu(table, self.port)
        self.sockets = [udp, *self._outer_mtu.sockets]

    def close(self) -> None:
        """Close all sockets."""
        for one in self.sockets:
            one.close()

    def serve(self, ready: Container[int], now: int) -> None:
        """Do what there is to do where sockets are `ready`: `inward`, and reports of routers."""
        udp, *reports = self.sockets
        if udp.fileno() in ready:
            self.inward(now)
        for one in reports:
            if one.fileno() in ready:
                self._outer_mtu.hear(one, now)

    def inward(self, now: int) -> None:
        """Pass into the device what nodes sent."""
        inbox, told = self._inbox, self._told
        try:
            count = inbox.receive(self._udp.fileno())
        except BlockingIOError:
            return
        except OSError as error:  # an error that waited at the socket
            told.count(error)
            return
        view, lengths, put = inbox.view, inbox.lengths, self._delivery.put
        for number in range(count):
            at = number * inbox.stride
            packet = view[at : at + inbox.octets[number]]
            name = inbox.names[number * mmsg.NAME_OCTETS : (number + 1) * mmsg.NAME_OCTETS]
            # more than where it came to: it came in fragments
            why = self._refusal(packet, name, lengths[number] != mmsg.INFO_OCTETS, now)
            if why is None:
                put(packet)
                continue
            told.counters[why] += 1
            if why == tally.UNBOUND:
                info = number * _ANCILLARY + _INFO_AT
                local = inbox.ancillary[info : info + _ADDRESS_OCTETS]
                self._tell_unbound(packet, bytes(local), name)
        self._delivery.flush()

    def _refusal(
        self, packet: memoryview, name: bytearray, is_fragment: bool, now: int
    ) -> str | None:
        """Why a packet from a named source is dropped, or None; then it is to be put in."""
        octets = len(packet)
        if octets < packets.IPV6_HEADER_OCTETS:
            return encapsulation.cut(octets)
        first, length, kind, hops = _HEADER.unpack_from(packet)
        if (
            is_fragment
            or first >> 4 != _VERSION
            or length != octets - packets.IPV6_HEADER_OCTETS
            or not hops
            or kind not in _DATA
        ):
            return self._why(packet, is_fragment)
        if packet[24:40] != self._table.address:
            return tally.DESTINATION
        entry = self._table.by_home.get(bytes(packet[8:24]))
        if entry is None or entry.peer != name or entry.expires_ms <= now:
            if entry is None or not entry.was_at(mmsg.place_of(name), now):
                return tally.UNBOUND
            self._told.counters[tally.LATE] += 1
        if kind == packets.UDP and packet[42:44] == self.port:
            return tally.LOOP  # an endpoint at a home address
        packet[_HOP_LIMIT_AT] = _HOP_LIMIT
        return None

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

    def _why(self, packet: memoryview, is_fragment: bool) -> str:
        """The reason that a packet is no data."""
        if is_fragment:
            return tally.FRAGMENT
        try:
            packets.parse_encapsulated(packet)
        except Violation as violation:
            return str(violation.reason)
        return tally.PROTOCOL

    def _tell_unbound(self, packet: memoryview, local: bytes, name: bytearray) -> None:
        text, port = mmsg.place_of(name)
        if "%" in text:  # of a link: no node is there
            return
        address = socket.inet_pton(socket.AF_INET6, text)
        head = bytearray(packet[: packets.KEEPALIVE_OCTETS])
        head[4:6] = (len(head) - packets.IPV6_HEADER_OCTETS).to_bytes(2, "big")
        self._unbound(address + port.to_bytes(2, "big") + local, bytes(head))


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
