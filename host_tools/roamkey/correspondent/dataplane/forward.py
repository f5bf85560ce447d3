"""The way of a packet, both directions. Each is made in place, in a buffer that stays.

Those to one node that come one behind the other leave by one call (`sending`). TCP that the kernel
gives uncut is cut; what comes in is put together where it can be (`delivery`).

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

import os
import socket
import struct
from collections.abc import Callable

from mip6 import packets
from mip6.errors import Violation
from roamkey.correspondent.dataplane import mmsg, superpackets, tally
from roamkey.correspondent.dataplane.delivery import Delivery
from roamkey.correspondent.dataplane.inside import Inside
from roamkey.correspondent.dataplane.sending import ROUTING_HEADS, Sender
from roamkey.correspondent.dataplane.table import NATIVE_BODY, Table
from roamkey.correspondent.dataplane.tally import Tally

_BURST = mmsg.AT_ONCE  # packets one way before the other way has its turn
_OCTETS_MAX = 65536
_HOP_LIMIT = 64
_VERSION = 0x60000000
_TRANSPORT = 40
_ROUTING, _FRAGMENT, _UDP = packets.ROUTING, packets.FRAGMENT, packets.UDP
_SOURCE_PORT = slice(40, 42)
# What nodes drop inside UDP
_NOT_INSIDE = {
    packets.HOP_BY_HOP: tally.ENCAPSULATED,
    packets.DESTINATION_OPTIONS: tally.ENCAPSULATED,
    packets.ROUTING: tally.ENCAPSULATED,
    packets.FRAGMENT: tally.FRAGMENT,
}
_HEADER = struct.Struct("!IHBB32s")
_UNDONE = superpackets.NEEDS_CHECKSUM


class Forwarder(Sender):
    """Both directions over one device and one raw socket.

    `unbound` is called with the text of the source and the 24 octets of the header of each packet
    inward whose home address isn't bound to its source.
    """

    def __init__(
        self,
        table: Table,
        device: int,
        raw: socket.socket,
        delivery: Delivery,
        told: Tally,
        unbound: Callable[[str, bytes], None],
        udp: Inside | None = None,
    ) -> None:
        """`device`: its descriptor, which `delivery` has too; `raw`: of protocol 60, with
        `filters.only_data`; `udp`: where there are endpoints."""
        super().__init__(table, told, delivery, udp)
        self._raw = raw
        self._unbound = unbound
        self._port = udp.port if udp is not None else b""
        self._open_buffers()
        self.use(device)

    def _open_buffers(self) -> None:
        self._into: list[list[bytearray | memoryview]]
        self._inbox = mmsg.Inbox(NATIVE_BODY, _OCTETS_MAX)
        self._head = bytearray(superpackets.VNET.size)
        self._stride = _OCTETS_MAX + mmsg.APART
        buffer = bytearray(_BURST * self._stride)
        self._base = mmsg.address_of(buffer)
        whole, places = memoryview(buffer), range(0, len(buffer), self._stride)
        self._slots = [whole[at : at + _OCTETS_MAX] for at in places]

    def use(self, device: int) -> None:
        """Go on with another device."""
        self._device = device
        is_wide = self._delivery.is_wide
        self._head[:] = bytes(len(self._head))
        self._lead = len(self._head) if is_wide else 0
        self._into = [[self._head, one] if is_wide else [one] for one in self._slots]

    def outward(self, now: int) -> bool:
        """Take what the kernel routed into the device; True if there may be more."""
        device, head, lead, readv = self._device, self._head, self._lead, os.readv
        by_flow, heads, add = self._table.by_flow, ROUTING_HEADS, self._outbox.add
        counters, port = self._told.counters, self._port
        there, stride, complete = self._base, self._stride, superpackets.complete
        many, is_first = 0, True
        try:
            for packet, into in zip(self._slots, self._into, strict=True):
                octets = readv(device, into) - lead
                at = there
                there += stride
                entry = by_flow.get(bytes(packet[8:40]))
                if entry is None or entry.expires_ms <= now:
                    self._homeless(packet, octets)
                    continue
                kind = packet[6]
                if (
                    kind == _ROUTING
                    or (kind == _FRAGMENT and packet[_TRANSPORT] == _ROUTING)
                    or (kind == _UDP and packet[_SOURCE_PORT] == port)
                ):
                    # It has our own routing header, or is from our own port: the way to a node
                    # leads into the device.
                    counters[tally.LOOP] += 1
                    continue
                if entry.outer is not None and kind in _NOT_INSIDE:
                    counters[_NOT_INSIDE[kind]] += 1
                    continue
                if head[1]:
                    many += self._cut(entry, packet[:octets], at, head, now)
                    if many >= _BURST:
                        break
                    continue
                if head[0] & _UNDONE and not complete(packet, octets, head):
                    counters[tally.FAILED] += 1
                    continue
                if octets > entry.mtu:
                    if now < entry.mtu_until_ms:
                        self._leave(now)
                        self._squeeze(entry, packet[:octets])
                        continue
                    entry.widen()
                body = entry.body
                if body:
                    packet[16:24] = heads[kind]
                if is_first:  # maybe the only one: it needn't wait
                    is_first = False
                    whole = packet[body:octets]
                    try:
                        (entry.send or self._table.connect(entry))(whole)
                    except OSError as error:
                        if not self._send_again(entry, whole, error, now):
                            continue
                    self._count(entry, 1, octets - body)
                    continue
                if entry is not self._to:
                    self._leave(now)
                    self._to = entry
                add(at + body, octets - body)
        except BlockingIOError:
            return False
        except OSError:  # somebody took the device away
            return False
        finally:
            self._leave(now)
        return True

    def inward(self, now: int) -> bool:
        """Take what nodes sent; True if there may be more."""
        inbox, delivery = self._inbox, self._delivery
        try:
            count = inbox.receive(self._raw.fileno())
        except BlockingIOError:
            return False
        except OSError as error:  # an error that waited at the socket
            self._told.count(error)
            return True
        buffer, view, names, counters = inbox.buffer, inbox.view, inbox.names, self._told.counters
        by_home, pack_into, put = self._table.by_home, _HEADER.pack_into, delivery.put
        for number in range(count):
            octets = inbox.octets[number]
            at = number * inbox.stride
            entry = by_home.get(bytes(view[at + 24 : at + 40]))
            name = names[number * mmsg.NAME_OCTETS : (number + 1) * mmsg.NAME_OCTETS]
            if entry is None or entry.peer != name or entry.expires_ms <= now:
                source, _ = mmsg.place_of(name)
                if entry is None or not entry.was_at(source, now):
                    counters[tally.UNBOUND] += 1
                    self._unbound(source, bytes(view[at + 16 : at + 40]))
                    continue
                counters[tally.LATE] += 1
            kind = buffer[at + 16]
            pack_into(buffer, at, _VERSION, octets - 24, kind, _HOP_LIMIT, entry.addresses)
            put(view[at : at + octets + 16])
        delivery.flush()
        return count == mmsg.AT_ONCE

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
        self._delivery.put(memoryview(bytearray(header + body)))
        self._delivery.flush()

    def _homeless(self, packet: memoryview, octets: int) -> None:
        """A packet outward that goes nowhere."""
        home = bytes(packet[24:40])
        served = octets >= _TRANSPORT and home in self._table.by_home
        reason = tally.UNBOUND if served else tally.NOT_SERVED
        if served and bytes(packet[8:40]) not in self._table.by_flow:
            reason = tally.SOURCE
        self._told.counters[reason] += 1
