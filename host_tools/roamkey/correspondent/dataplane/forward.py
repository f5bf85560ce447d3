"""The way of a packet, both directions. Each is made in place, in a buffer that stays.

Outward, what the device gives is an IPv6 packet; what the raw socket wants is its extension header
and what follows, and it makes the IPv6 header itself. The home address stands where a type 2
routing header has it already, so that header takes eight octets:

    0        8        16       24               40
    | v6 …   | source          | home address    | transport …      as read
             |        | routing| home address    | transport …      as sent, from 16 on

Nothing passes twice: what has a routing header when it comes out of the device was sent by this
program, to an address that is routed into the device again. Programs have no use for such headers.

Inward, the buffer is filled from 16 on, and the IPv6 header written before the transport header:

                      | option | home address    | transport …      as received, from 16 on
    | v6 …   | home address    | our address     | transport …      as written

What goes inside UDP is sent from 0 on, as it was read; what comes inside UDP: see `inside`. Of
that, too, nothing passes twice: a datagram from our own port was made here.
"""

import errno
import os
import socket
import struct
from collections.abc import Callable

from mip6 import packets
from mip6.errors import Violation
from roamkey.correspondent.dataplane import inside, path_mtu, tally
from roamkey.correspondent.dataplane.inside import Inside
from roamkey.correspondent.dataplane.table import LEAST_MTU, NATIVE_BODY, Entry, Table
from roamkey.correspondent.dataplane.tally import Tally

_BURST = 64  # packets one way before the other way has its turn
_OCTETS_MAX = 65536 + 16
_HOP_LIMIT = 64
_VERSION = 0x60000000
_TRANSPORT = 40
_ROUTING, _FRAGMENT, _UDP = packets.ROUTING, packets.FRAGMENT, packets.UDP
_TCP = 6
_SOURCE_PORT = slice(40, 42)
# What nodes drop inside UDP
_NOT_INSIDE = {
    packets.HOP_BY_HOP: tally.ENCAPSULATED,
    packets.DESTINATION_OPTIONS: tally.ENCAPSULATED,
    packets.ROUTING: tally.ENCAPSULATED,
    packets.FRAGMENT: tally.FRAGMENT,
}
_HEADER = struct.Struct("!IHBB32s")

_ROUTING_HEADS = [bytes((kind, 2, packets.ROUTING_TYPE_2, 1, 0, 0, 0, 0)) for kind in range(256)]


class Forwarder:
    """Both directions over one device and one raw socket.

    `unbound` is called with the text of the source and the 24 octets of the header of each packet
    inward whose home address isn't bound to its source.
    """

    def __init__(
        self,
        table: Table,
        device: int,
        raw: socket.socket,
        told: Tally,
        unbound: Callable[[str, bytes], None],
        udp: Inside | None = None,
    ) -> None:
        """`device`: its descriptor; `raw`: of protocol 60, with `filters.only_data`; `udp`: where
        there are endpoints."""
        self._table = table
        self._device = device
        self._raw = raw
        self._unbound = unbound
        self._buffer = bytearray(_OCTETS_MAX)
        self._view = memoryview(self._buffer)
        self._into = [self._buffer]
        self._body = self._view[NATIVE_BODY:]
        self._told = told
        self._udp = udp
        self._port = udp.port if udp is not None else b""
        self._fragmented = int.from_bytes(os.urandom(4), "big")

    def outward(self, now: int) -> bool:
        """Take what the kernel routed into the device; True if there may be more."""
        device, into, buffer, view = self._device, self._into, self._buffer, self._view
        by_flow, used, heads = self._table.by_flow, self._told.used, _ROUTING_HEADS
        readv, counters, port = os.readv, self._told.counters, self._port
        sent = total = 0
        try:
            for _ in range(_BURST):
                octets = readv(device, into)
                entry = by_flow.get(bytes(view[8:40]))
                if entry is None or entry.expires_ms <= now:
                    self._homeless(octets)
                    continue
                kind = buffer[6]
                if (
                    kind == _ROUTING
                    or (kind == _FRAGMENT and buffer[_TRANSPORT] == _ROUTING)
                    or (kind == _UDP and view[_SOURCE_PORT] == port)
                ):
                    # It has our own routing header, or is from our own port: the way to a node
                    # leads into the device.
                    counters[tally.LOOP] += 1
                    continue
                if entry.outer is not None and kind in _NOT_INSIDE:
                    counters[_NOT_INSIDE[kind]] += 1
                    continue
                if octets > entry.mtu:
                    if now < entry.mtu_until_ms:
                        self._squeeze(entry, octets)
                        continue
                    entry.widen()
                if entry.outer is None:
                    buffer[16:24] = heads[kind]
                try:
                    (entry.send or self._table.connect(entry))(view[entry.body : octets])
                except OSError as error:
                    if not self._send_again(entry, octets, error, now):
                        continue
                used.add(entry.home_address)
                sent += 1
                total += octets
        except BlockingIOError:
            return False
        except OSError:  # somebody took the device away
            return False
        finally:
            counters[tally.SENT] += sent
            self._told.octets[1] += total
        return True

    def inward(self, now: int) -> bool:
        """Take what nodes sent; True if there may be more."""
        device, body, buffer, view = self._device, self._body, self._buffer, self._view
        by_home, heard, receive = self._table.by_home, self._told.heard, self._raw.recvfrom_into
        counters = self._told.counters
        pack_into, write = _HEADER.pack_into, os.write
        delivered = total = 0
        try:
            for _ in range(_BURST):
                octets, source = receive(body)
                home = bytes(view[24:40])
                entry = by_home.get(home)
                if entry is None or entry.care_of_text != source[0] or entry.expires_ms <= now:
                    if entry is None or not entry.was_at(source[0], now):
                        counters[tally.UNBOUND] += 1
                        self._unbound(source[0], bytes(view[16:40]))
                        continue
                    counters[tally.LATE] += 1
                pack_into(
                    buffer, 0, _VERSION, octets - 24, buffer[16], _HOP_LIMIT, entry.addresses
                )
                try:
                    write(device, view[: octets + 16])
                except OSError as error:
                    self._told.count(error)
                    continue
                heard.add(home)
                delivered += 1
                total += octets + 16
        except BlockingIOError:
            return False
        except OSError as error:  # an error that waited at the socket
            self._told.count(error)
        finally:
            counters[tally.DELIVERED] += delivered
            self._told.octets[0] += total
        return True

    def use(self, device: int) -> None:
        """Go on with another device."""
        self._device = device

    def deliver(self, source: bytes, next_header: int, payload: bytes, now: int) -> None:
        """Take a packet in another layout, already found good: see `filters`."""
        try:
            packet = packets.parse_payload(next_header, payload, source, b"")
        except Violation:
            return
        entry = self._table.by_home.get(packet.home_address or b"")
        text = socket.inet_ntop(socket.AF_INET6, source)
        if entry is None or entry.care_of_text != text or entry.expires_ms <= now:
            self._told.counters[tally.UNBOUND] += 1
            return
        body = bytes(packet.payload)
        header = _HEADER.pack(_VERSION, len(body), packet.protocol, _HOP_LIMIT, entry.addresses)
        try:
            os.write(self._device, header + body)
        except OSError as error:
            self._told.count(error)
            return
        self._told.heard.add(entry.home_address)
        self._told.counters[tally.DELIVERED] += 1
        self._told.octets[0] += len(header) + len(body)

    def _send_again(self, entry: Entry, octets: int, error: OSError, now: int) -> bool:
        """What is to be done where sending failed; whether the packet left after all."""
        if entry.outer is not None and inside.is_too_long(error):
            mtu = inside.way_out_mtu(entry)
            if mtu is not None and mtu < octets + entry.overhead:
                entry.narrow(mtu, now)
                self._squeeze(entry, octets)
                return False
        one = entry.socket
        if one is not None and error.errno != errno.EAGAIN:
            try:  # that may have been the report of an ICMPv6 error that an earlier packet met
                one.send(self._view[16:octets])
                return True
            except OSError as again:
                error = again
        self._told.count(error)
        return False

    def _squeeze(self, entry: Entry, octets: int) -> None:
        """A packet doesn't fit into the way to the node: it goes in fragments, or whoever sent it
        is told, which is better but not for the shortest. Inside UDP it is better for TCP alone:
        of others the kernel would make fragments, which can't go inside."""
        encapsulated = entry.outer is not None
        try:
            if octets <= LEAST_MTU or (encapsulated and not self._heeds(self._buffer[6])):
                if encapsulated and self._udp is not None:
                    self._udp.send_in_fragments(entry, self._view[:octets])
                else:
                    self._send_in_fragments(entry, octets)
                self._told.used.add(entry.home_address)
                self._told.counters[tally.SENT] += 1
                self._told.octets[1] += octets
            else:
                offender = bytes(self._view[:octets])
                self._told.counters[tally.TOO_BIG] += 1
                entry.squeezed = True
                self._tell_too_big(entry, offender, max(LEAST_MTU, entry.mtu))
        except OSError as error:
            self._told.count(error)

    def _heeds(self, kind: int) -> bool:
        """Whether who sends this protocol inside UDP does something useful when told."""
        return kind == _TCP

    def _tell_too_big(self, entry: Entry, offender: bytes, mtu: int) -> None:
        """As if the node had."""
        os.write(self._device, path_mtu.packet_too_big(entry.home_address, offender, mtu))

    def _send_in_fragments(self, entry: Entry, octets: int) -> None:
        body = _ROUTING_HEADS[self._buffer[6]] + self._view[24:octets]
        send = entry.send or self._table.connect(entry)
        self._fragmented = (self._fragmented + 1) & 0xFFFFFFFF
        for fragment in path_mtu.split(body, entry.path_mtu, self._fragmented):
            send(fragment)

    def _homeless(self, octets: int) -> None:
        """A packet outward that goes nowhere."""
        home = bytes(self._view[24:40])
        served = octets >= _TRANSPORT and home in self._table.by_home
        reason = tally.UNBOUND if served else tally.NOT_SERVED
        if served and bytes(self._view[8:40]) not in self._table.by_flow:
            reason = tally.SOURCE
        self._told.counters[reason] += 1
