"""TCP in packets longer than any link takes: the kernel gives and takes them at a device with a
virtio-net header (linux/virtio_net.h), and cuts or joins them itself where there is none.

Each function takes a whole IPv6 packet. What is cut here are the kernel's own packets; what is
joined came from nodes, and is looked at in `delivery`.
"""

import struct
from collections.abc import Iterator
from typing import NamedTuple

from mip6 import packets

TCP = 6
_FIXED_OCTETS = 20  # of a TCP header
_SEQUENCE, _OFFSET, _FLAGS, _CHECKSUM = 4, 12, 13, 16  # in it
FIN, PSH, ACK = 0x01, 0x08, 0x10
_ADDRESSES = 8  # in the IPv6 header, behind what no checksum covers
_LENGTH = 4

# struct virtio_net_hdr: flags, kind, octets of headers, of data a packet; where the sum of the
# checksum begins, and where it goes from there
VNET = struct.Struct("=BBHHHH")
NEEDS_CHECKSUM = 1
TCPV6 = 4
_SUM, _SUM_AT = struct.Struct("=HH"), 6  # the last two of them
_WORD, _LONG = struct.Struct("!H"), struct.Struct("!I")


class Place(NamedTuple):
    """Where it says what of a packet: its TCP header begins at `start`, its data at `head`, which
    `size` octets at a time are a packet's."""

    start: int
    head: int
    size: int


class Cut(NamedTuple):
    """A packet cut: its `number` headers, one behind the other."""

    heads: bytearray
    number: int

    def packets(self, packet: memoryview, place: Place) -> Iterator[bytearray]:
        """Copies of the whole packets."""
        _, head, size = place
        for number in range(self.number):
            data = head + number * size
            yield self.heads[number * head : (number + 1) * head] + packet[data : data + size]


def head_octets(packet: memoryview, start: int) -> int | None:
    """How long the headers are of a TCP packet whose own begins at `start`; None: it isn't one."""
    if start < packets.IPV6_HEADER_OCTETS or start + _FIXED_OCTETS > len(packet):
        return None
    octets = packet[start + _OFFSET] >> 4 << 2
    head = start + octets
    return head if octets >= _FIXED_OCTETS and head < len(packet) else None


def cut(packet: memoryview, place: Place, front: bytes = b"") -> Cut:
    """Headers for packets of the data at a place, as the kernel would make them. `front`: what
    stands in each in place of the octets from 16 on."""
    start, head, size = place
    count = -((head - len(packet)) // size)
    header = bytearray(packet[:head])
    sequence = _LONG.unpack_from(header, start + _SEQUENCE)[0]
    last = header[start + _FLAGS]
    header[start + _SEQUENCE : start + _SEQUENCE + 4] = bytes(4)
    header[start + _CHECKSUM : start + _CHECKSUM + 2] = bytes(2)
    header[start + _FLAGS] = flags = last & ~(PSH | FIN)
    fixed = int.from_bytes(header[start:], "big") + TCP
    fixed += int.from_bytes(header[_ADDRESSES : packets.IPV6_HEADER_OCTETS], "big")
    fixed += head - start
    _WORD.pack_into(header, _LENGTH, head + size - packets.IPV6_HEADER_OCTETS)
    header[16 : 16 + len(front)] = front
    heads = header * count
    at, from_bytes, pack_word, pack_long = 0, int.from_bytes, _WORD.pack_into, _LONG.pack_into
    for data in range(head, len(packet), size):
        piece = packet[data : data + size]
        octets = len(piece)
        total = from_bytes(piece, "big")
        if octets & 1:
            total <<= 8
        number = (sequence + data - head) & 0xFFFFFFFF
        total += fixed + number + octets
        if data + size >= len(packet):
            heads[at + start + _FLAGS] = last
            total += last - flags
            pack_word(heads, at + _LENGTH, head + octets - packets.IPV6_HEADER_OCTETS)
        pack_long(heads, at + start + _SEQUENCE, number)
        pack_word(heads, at + start + _CHECKSUM, 0xFFFF - total % 0xFFFF)
        at += head
    return Cut(heads, count)


def complete(packet: memoryview, octets: int, header: bytes | bytearray) -> bool:
    """Put in the checksum that the kernel left to the device, as the virtio-net header says: its
    field has the sum of what else counts. `octets`: of the packet, in a buffer. False: there is
    no such place."""
    start, offset = _SUM.unpack_from(header, _SUM_AT)
    at = start + offset
    if start < packets.IPV6_HEADER_OCTETS or at + 2 > octets:
        return False
    total = int.from_bytes(packet[start:octets], "big")
    if octets - start & 1:
        total <<= 8
    _WORD.pack_into(packet, at, 0xFFFF - total % 0xFFFF)
    return True


def is_sound(packet: memoryview) -> bool:
    """Whether the checksum is right of a packet of TCP, without extension headers."""
    total = int.from_bytes(packet[_ADDRESSES:], "big")
    if len(packet) & 1:
        total <<= 8
    return not (total + len(packet) - packets.IPV6_HEADER_OCTETS + TCP) % 0xFFFF


def begin_joined(packet: memoryview, octets: int, flags: int) -> None:
    """Have the headers of a TCP packet without extension headers be those of one of `octets`,
    with `flags` beside its own, and a checksum that the kernel has to complete."""
    length = octets - packets.IPV6_HEADER_OCTETS
    _WORD.pack_into(packet, _LENGTH, length)
    packet[packets.IPV6_HEADER_OCTETS + _FLAGS] |= flags
    addresses = packet[_ADDRESSES : packets.IPV6_HEADER_OCTETS]
    total = int.from_bytes(addresses, "big") + length + TCP
    _WORD.pack_into(packet, packets.IPV6_HEADER_OCTETS + _CHECKSUM, total % 0xFFFF)
