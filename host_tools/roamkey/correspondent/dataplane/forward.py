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
"""

import errno
import os
import socket
import struct
from collections.abc import Callable

from mip6 import packets
from mip6.errors import Violation
from roamkey.correspondent.dataplane import path_mtu
from roamkey.correspondent.dataplane.table import LEAST_MTU, Entry, Table

_BURST = 64  # packets one way before the other way has its turn
_OCTETS_MAX = 65536 + 16
_HOP_LIMIT = 64
_VERSION = 0x60000000
_BODY = 16  # where the extension header begins
_TRANSPORT = 40
_ROUTING, _FRAGMENT = packets.ROUTING, packets.FRAGMENT
_HEADER = struct.Struct("!IHBB32s")

_ROUTING_HEADS = [bytes((kind, 2, packets.ROUTING_TYPE_2, 1, 0, 0, 0, 0)) for kind in range(256)]

# What happens to packets, as counted
DELIVERED = "delivered"  # inward, into the kernel
SENT = "sent"  # outward
UNBOUND = "no binding"
SOURCE = "source"  # outward, from another address of this host than ours
TOO_BIG = "too big"
BUSY = "busy"  # a queue was full
FAILED = "failed"
LOOP = "loop"  # outward, and has been through here before
NOT_SERVED = "not served"  # routed into the device, and nobody's home address


class Forwarder:
    """Both directions over one device and one raw socket.

    `unbound` is called with the text of the source and the 24 octets of the header of each packet
    inward whose home address isn't bound to its source. `used`: home addresses that had data; take
    them out. `counters`: by the names above; `octets`: of inner packets, inward and outward.
    """

    def __init__(
        self,
        table: Table,
        device: int,
        raw: socket.socket,
        unbound: Callable[[str, bytes], None],
    ) -> None:
        """`device`: its descriptor; `raw`: of protocol 60, with `filters.only_data`."""
        self._table = table
        self._device = device
        self._raw = raw
        self._unbound = unbound
        self._buffer = bytearray(_OCTETS_MAX)
        self._view = memoryview(self._buffer)
        self._into = [self._buffer]
        self._body = self._view[_BODY:]
        self.used: set[bytes] = set()
        self.counters = dict.fromkeys(
            (DELIVERED, SENT, UNBOUND, SOURCE, LOOP, TOO_BIG, BUSY, FAILED, NOT_SERVED), 0
        )
        self.octets = [0, 0]
        self._fragmented = int.from_bytes(os.urandom(4), "big")

    def outward(self, now: int) -> bool:
        """Take what the kernel routed into the device; True if there may be more."""
        device, into, buffer, view = self._device, self._into, self._buffer, self._view
        by_flow, used, heads = self._table.by_flow, self.used, _ROUTING_HEADS
        readv, counters = os.readv, self.counters
        sent = total = 0
        try:
            for _ in range(_BURST):
                octets = readv(device, into)
                entry = by_flow.get(bytes(view[8:40]))
                if entry is None or entry.expires_ms <= now:
                    self._homeless(octets)
                    continue
                kind = buffer[6]
                if kind == _ROUTING or (kind == _FRAGMENT and buffer[_TRANSPORT] == _ROUTING):
                    # It has our own routing header: the way to a node leads into the device.
                    counters[LOOP] += 1
                    continue
                if octets > entry.mtu:
                    if now < entry.mtu_until_ms:
                        self._squeeze(entry, octets)
                        continue
                    entry.widen()
                buffer[16:24] = heads[kind]
                try:
                    (entry.send or self._table.connect(entry))(view[16:octets])
                except OSError as error:
                    if not self._send_again(entry, octets, error):
                        continue
                used.add(entry.home_address)
                sent += 1
                total += octets
        except BlockingIOError:
            return False
        except OSError:  # somebody took the device away
            return False
        finally:
            self.counters[SENT] += sent
            self.octets[1] += total
        return True

    def inward(self, now: int) -> bool:
        """Take what nodes sent; True if there may be more."""
        device, body, buffer, view = self._device, self._body, self._buffer, self._view
        by_home, used, receive = self._table.by_home, self.used, self._raw.recvfrom_into
        pack_into, write = _HEADER.pack_into, os.write
        delivered = total = 0
        try:
            for _ in range(_BURST):
                octets, source = receive(body)
                home = bytes(view[24:40])
                entry = by_home.get(home)
                if entry is None or entry.care_of_text != source[0] or entry.expires_ms <= now:
                    self.counters[UNBOUND] += 1
                    self._unbound(source[0], bytes(view[16:40]))
                    continue
                pack_into(
                    buffer, 0, _VERSION, octets - 24, buffer[16], _HOP_LIMIT, entry.addresses
                )
                try:
                    write(device, view[: octets + 16])
                except OSError as error:
                    self._count(error)
                    continue
                used.add(home)
                delivered += 1
                total += octets + 16
        except BlockingIOError:
            return False
        except OSError as error:  # an error that waited at the socket
            self._count(error)
        finally:
            self.counters[DELIVERED] += delivered
            self.octets[0] += total
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
            self.counters[UNBOUND] += 1
            return
        body = bytes(packet.payload)
        header = _HEADER.pack(_VERSION, len(body), packet.protocol, _HOP_LIMIT, entry.addresses)
        try:
            os.write(self._device, header + body)
        except OSError as error:
            self._count(error)
            return
        self.used.add(entry.home_address)
        self.counters[DELIVERED] += 1
        self.octets[0] += len(header) + len(body)

    def _send_again(self, entry: Entry, octets: int, error: OSError) -> bool:
        """What is to be done where sending failed; whether the packet left after all."""
        one = entry.socket
        if one is not None and error.errno != errno.EAGAIN:
            try:  # that may have been the report of an ICMPv6 error that an earlier packet met
                one.send(self._view[16:octets])
                return True
            except OSError as again:
                error = again
        self._count(error)
        return False

    def _squeeze(self, entry: Entry, octets: int) -> None:
        """A packet doesn't fit into the way to the node: it goes in fragments, or whoever sent it
        is told, which is better but not for the shortest."""
        try:
            if octets <= LEAST_MTU:
                body = _ROUTING_HEADS[self._buffer[6]] + self._view[24:octets]
                send = entry.send or self._table.connect(entry)
                self._fragmented = (self._fragmented + 1) & 0xFFFFFFFF
                for fragment in path_mtu.split(body, entry.path_mtu, self._fragmented):
                    send(fragment)
                self.counters[SENT] += 1
                self.octets[1] += octets
            else:
                mtu = max(LEAST_MTU, entry.mtu)
                offender = bytes(self._view[:octets])
                self.counters[TOO_BIG] += 1
                entry.squeezed = True
                os.write(self._device, path_mtu.packet_too_big(entry.home_address, offender, mtu))
        except OSError as error:
            self._count(error)

    def _homeless(self, octets: int) -> None:
        """A packet outward that goes nowhere."""
        home = bytes(self._view[24:40])
        served = octets >= _TRANSPORT and home in self._table.by_home
        reason = UNBOUND if served else NOT_SERVED
        if served and bytes(self._view[8:40]) not in self._table.by_flow:
            reason = SOURCE
        self.counters[reason] += 1

    def _count(self, error: OSError) -> None:
        full = error.errno in (errno.EAGAIN, errno.ENOBUFS, errno.ENOMEM)
        self.counters[BUSY if full else FAILED] += 1
