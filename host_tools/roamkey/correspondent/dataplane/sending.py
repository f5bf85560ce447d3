"""What leaves for nodes: as many packets as go to one node by one call, else one by one; and what
doesn't fit into its way, in fragments or not at all.
"""

import errno
import os

from mip6 import packets
from roamkey.correspondent.dataplane import inside, mmsg, path_mtu, superpackets, tally
from roamkey.correspondent.dataplane.delivery import Delivery
from roamkey.correspondent.dataplane.inside import Inside
from roamkey.correspondent.dataplane.table import LEAST_MTU, Entry, Table
from roamkey.correspondent.dataplane.tally import Tally

#: A type 2 routing header's beginning, by the next header; the home address stands behind it.
ROUTING_HEADS = [bytes((kind, 2, packets.ROUTING_TYPE_2, 1, 0, 0, 0, 0)) for kind in range(256)]
_ROUTING_AT = 16  # where it goes


class Sender:
    """Packets of programs, as the device gave them, and the ways to nodes."""

    def __init__(self, table: Table, told: Tally, delivery: Delivery, udp: Inside | None) -> None:
        """`delivery`: who sent what is too long is told by; `udp`: where there are endpoints."""
        self._table = table
        self._told = told
        self._delivery = delivery
        self._udp = udp
        self._fragmented = int.from_bytes(os.urandom(4), "big")
        self._outbox = mmsg.Outbox()
        self._to: Entry | None = None  # to whom all goes that is there

    def _leave(self, now: int, is_cut: bool = False) -> None:
        """Send what waits in the outbox; `is_cut`: all was one packet."""
        entry, outbox, told = self._to, self._outbox, self._told
        if entry is None:
            return
        self._to = None
        sizes = outbox.sizes()
        at = self._send_many(entry, sizes) if len(sizes) > 1 else 0
        sent, octets = at, sum(sizes[:at])
        too_big = told.counters[tally.TOO_BIG]
        while at < len(sizes):
            if is_cut and told.counters[tally.TOO_BIG] > too_big:
                break  # whoever sent it is told once
            if self._send(entry, outbox.packet(at), now):
                sent += 1
                octets += sizes[at]
            at += 1
        outbox.clear()
        self._count(entry, sent, octets)

    def _count(self, entry: Entry, sent: int, octets: int) -> None:
        """So many packets left, with so many octets from the entry's `body` on."""
        if sent:
            self._told.used.add(entry.home_address)
            self._told.counters[tally.SENT] += sent
            self._told.octets[1] += octets + sent * entry.body

    def _send_many(self, entry: Entry, sizes: list[int]) -> int:
        """How many left, of the outbox's first ones."""
        outbox, sent, size = self._outbox, 0, sizes[0]
        try:
            way = self._table.way(entry)
        except OSError:
            return 0
        if entry.segments and can_be_one(sizes):
            each = max(1, mmsg.SEGMENTED_MAX // size)
            try:
                while sent < len(sizes):
                    count = min(each, len(sizes) - sent)
                    outbox.send_segmented(way, size, sent, count)
                    sent += count
                return sent
            except OSError as error:
                if error.errno == errno.EIO:  # the interface has no part in it
                    entry.segments = False
        return sent + outbox.send(way, sent)

    def _send(self, entry: Entry, packet: bytes | memoryview, now: int) -> bool:
        """Send one, from the entry's `body` on; whether it left."""
        if entry.outer is not None and len(packet) > entry.mtu:  # as the one before found out
            self._squeeze(entry, memoryview(packet))
            return False
        try:
            (entry.send or self._table.connect(entry))(packet)
        except OSError as error:
            return self._send_again(entry, packet, error, now)
        return True

    def _send_again(
        self, entry: Entry, packet: bytes | memoryview, error: OSError, now: int
    ) -> bool:
        """What is to be done where sending failed; whether the packet left after all."""
        if entry.outer is not None and inside.is_too_long(error):
            mtu = inside.way_out_mtu(entry)
            if mtu is not None and mtu < len(packet) + entry.overhead:
                entry.narrow(mtu, now)
                self._squeeze(entry, memoryview(packet))
                return False
        one = entry.socket
        if one is not None and error.errno != errno.EAGAIN:
            try:  # that may have been the report of an ICMPv6 error that an earlier packet met
                one.send(packet)
                return True
            except OSError as again:
                error = again
        self._told.count(error)
        return False

    def _cut(self, entry: Entry, packet: memoryview, at: int, head: bytearray, now: int) -> int:
        """Send TCP that the kernel left uncut; the number of packets. `at`: where it is in memory;
        `head`: its virtio-net header."""
        self._leave(now)
        _, kind, _, size, start, _ = superpackets.VNET.unpack(head)
        octets = superpackets.head_octets(packet, start)
        if kind != superpackets.TCPV6 or not size or octets is None:
            self._told.counters[tally.FAILED] += 1
            return 1
        size = min(size, len(packet) - octets)
        place = superpackets.Place(start, octets, size)
        if octets + size > entry.mtu:
            if now < entry.mtu_until_ms:
                return self._squeeze_cut(entry, packet, place, now)
            entry.widen()
        body, outbox = entry.body, self._outbox
        made = superpackets.cut(packet, place, ROUTING_HEADS[packet[6]] if body else b"")
        base = mmsg.address_of(made.heads) + body
        for number in range(made.number):
            if outbox.count == mmsg.AT_ONCE:
                self._leave(now, True)
            self._to = entry
            data = octets + number * size
            outbox.add(
                base + number * octets, octets - body, at + data, min(size, len(packet) - data)
            )
        self._leave(now, True)
        return made.number

    def _squeeze_cut(
        self, entry: Entry, packet: memoryview, place: superpackets.Place, now: int
    ) -> int:
        """The same where the way is too narrow for the packets; who sent them is told once."""
        made = superpackets.cut(packet, place)
        for number, whole in enumerate(made.packets(packet, place)):
            if len(whole) > entry.mtu:
                self._squeeze(entry, memoryview(whole))
                if len(whole) > LEAST_MTU:
                    return number + 1
                continue
            if entry.body:
                whole[_ROUTING_AT : _ROUTING_AT + 8] = ROUTING_HEADS[whole[6]]
            if self._send(entry, memoryview(whole)[entry.body :], now):
                self._count(entry, 1, len(whole) - entry.body)
        return made.number

    def _squeeze(self, entry: Entry, packet: memoryview) -> None:
        """A packet doesn't fit into the way to the node: it goes in fragments, or whoever sent it
        is told, which is better but not for the shortest. Inside UDP it is better for TCP alone:
        of others the kernel would make fragments, which can't go inside."""
        encapsulated = entry.outer is not None
        octets = len(packet)
        try:
            if octets <= LEAST_MTU or (encapsulated and not self._heeds(packet[6])):
                if encapsulated and self._udp is not None:
                    self._udp.send_in_fragments(entry, packet)
                else:
                    self._send_in_fragments(entry, packet)
                self._told.used.add(entry.home_address)
                self._told.counters[tally.SENT] += 1
                self._told.octets[1] += octets
            else:
                self._told.counters[tally.TOO_BIG] += 1
                entry.squeezed = True
                self._tell_too_big(entry, bytes(packet), max(LEAST_MTU, entry.mtu))
        except OSError as error:
            self._told.count(error)

    def _heeds(self, kind: int) -> bool:
        """Whether who sends this protocol inside UDP does something useful when told."""
        return kind == superpackets.TCP

    def _tell_too_big(self, entry: Entry, offender: bytes, mtu: int) -> None:
        """As if the node had."""
        self._delivery.write(path_mtu.packet_too_big(entry.home_address, offender, mtu))

    def _send_in_fragments(self, entry: Entry, packet: memoryview) -> None:
        body = ROUTING_HEADS[packet[6]] + packet[24:]
        send = entry.send or self._table.connect(entry)
        self._fragmented = (self._fragmented + 1) & 0xFFFFFFFF
        for fragment in path_mtu.split(body, entry.path_mtu, self._fragmented):
            send(fragment)


def can_be_one(sizes: list[int]) -> bool:
    """Whether packets of such sizes may be one datagram to be cut: all are as long as the first,
    but for the last, which may be shorter."""
    return sizes[-1] <= sizes[0] and sizes[:-1].count(sizes[0]) == len(sizes) - 1
