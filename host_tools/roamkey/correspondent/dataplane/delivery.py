"""Packets into the device. Of TCP those that follow each other go in as one, where the kernel
takes such: it looks at one packet in place of many, and acknowledges one.

What is joined are packets of one connection whose headers differ in what cutting makes different,
each with a right checksum, as the kernel would itself (its GRO): cut again they are the same. All
else goes in as it came, and of a connection in the order in which it came.
"""

import errno
import os

from mip6 import packets
from roamkey.correspondent.dataplane import superpackets
from roamkey.correspondent.dataplane.superpackets import ACK, PSH, TCP, TCPV6, VNET
from roamkey.correspondent.dataplane.tally import Tally

_PIECES_MAX = 64
_OCTETS_MAX = 0xFFFF
_LEAST = packets.IPV6_HEADER_OCTETS + 20
_OFFSET, _FLAGS = 52, 53  # of a packet's octets
_FLOW = slice(8, 44)  # addresses and ports
_SEQUENCE = slice(44, 48)
_CHECKSUM_AT = 16  # in the TCP header
_NOTHING = bytes(VNET.size)


class _Run:
    """Packets of one connection that follow each other."""

    __slots__ = ("head", "is_over", "is_sound", "last", "next", "octets", "pieces", "same", "size")

    def __init__(self, packet: memoryview, head: int, same: bytes, sequence: int) -> None:
        """The first one."""
        self.pieces = [packet]
        self.octets = len(packet)
        self.head, self.same = head, same
        self.size = len(packet) - head
        self.next = sequence + self.size & 0xFFFFFFFF
        self.last = packet[_FLAGS]
        self.is_over = bool(self.last & PSH)
        self.is_sound = False  # not looked at yet: it may stay alone

    def takes(self, packet: memoryview, head: int, same: bytes, sequence: int) -> bool:
        """Add another one, if it is the next."""
        size = len(packet) - head
        if (
            self.is_over
            or sequence != self.next
            or same != self.same
            or size > self.size
            or self.octets + size > _OCTETS_MAX
            or len(self.pieces) == _PIECES_MAX
        ):
            return False
        if not self.is_sound:
            if not superpackets.is_sound(self.pieces[0]):
                return False
            self.is_sound = True
        if not superpackets.is_sound(packet):
            return False
        self.pieces.append(packet[head:])
        self.octets += size
        self.next = sequence + size & 0xFFFFFFFF
        self.last = packet[_FLAGS]
        self.is_over = size < self.size or bool(self.last & PSH)
        return True


class Delivery:
    """The way into the device. `put` what was found good, then `flush`; the packets stay where
    they are until then. What becomes of them is counted."""

    def __init__(self, told: Tally) -> None:
        """Without a device: `use` one."""
        self._told = told
        self._runs: dict[bytes, _Run] = {}
        self._device = -1
        self.is_wide = self._joins = False

    def use(self, device: int, is_wide: bool) -> None:
        """Go on with a device, by its descriptor; `is_wide`: it has a virtio-net header."""
        self._device, self.is_wide, self._joins = device, is_wide, is_wide

    def write(self, packet: bytes | memoryview) -> None:
        """Have a packet in at once; raises OSError."""
        if self.is_wide:
            os.writev(self._device, (_NOTHING, packet))
        else:
            os.write(self._device, packet)

    def put(self, packet: memoryview) -> None:
        """A whole IPv6 packet from a node, whose home address is its source."""
        if not self._joins or packet[6] != TCP or len(packet) < _LEAST:
            self._write([packet], _NOTHING)
            return
        flow = bytes(packet[_FLOW])
        head = packets.IPV6_HEADER_OCTETS + (packet[_OFFSET] >> 4 << 2)
        if packet[_FLAGS] & ~PSH != ACK or not _LEAST <= head < len(packet):
            run = self._runs.pop(flow, None)
            if run is not None:
                self._finish(run)
            self._write([packet], _NOTHING)
            return
        # All but length, sequence number, PSH and checksum
        same = b"".join((packet[:4], packet[48:53], packet[54:56], packet[58:head]))
        sequence = int.from_bytes(packet[_SEQUENCE], "big")
        run = self._runs.get(flow)
        if run is not None:
            if run.takes(packet, head, same, sequence):
                return
            self._finish(run)
        self._runs[flow] = _Run(packet, head, same, sequence)

    def flush(self) -> None:
        """Have all in."""
        if self._runs:
            for run in self._runs.values():
                self._finish(run)
            self._runs.clear()

    def _finish(self, run: _Run) -> None:
        if len(run.pieces) == 1:
            self._write(run.pieces, _NOTHING)
            return
        first = run.pieces[0]
        superpackets.begin_joined(first, run.octets, run.last & PSH)
        header = VNET.pack(
            superpackets.NEEDS_CHECKSUM,
            TCPV6,
            run.head,
            run.size,
            packets.IPV6_HEADER_OCTETS,
            _CHECKSUM_AT,
        )
        self._write(run.pieces, header, (len(run.pieces) - 1) * run.head)

    def _write(self, pieces: list[memoryview], header: bytes, more: int = 0) -> None:
        """A packet in pieces; `more`: octets that those packets had that it is made of."""
        told, count = self._told, len(pieces)
        try:
            if self.is_wide:
                octets = os.writev(self._device, (header, *pieces)) - VNET.size
            else:
                octets = os.write(self._device, pieces[0])
        except OSError as error:
            if header is not _NOTHING and error.errno == errno.EINVAL:
                self._joins = False  # this kernel doesn't want them
            for _ in range(count):
                told.count(error)
            return
        told.deliver(bytes(pieces[0][8:24]), count, octets + more)
