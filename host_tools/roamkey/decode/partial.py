"""Packets and messages as far as they are there: cut by a capture, fragments, damaged in part."""

from dataclasses import dataclass

from mip6 import messages, packets
from mip6.errors import Violation

EXTENSIONS = (
    packets.HOP_BY_HOP,
    packets.DESTINATION_OPTIONS,
    packets.ROUTING,
    packets.FRAGMENT,
)
_HEADERS_MAX = 8
_FRAGMENT_OCTETS = 8


@dataclass(frozen=True)
class Fragment:
    """Of a larger packet: octets before it, whether more follow, its number, the whole's protocol
    (of what follows the fragment header)."""

    offset: int
    more: bool
    identification: int
    protocol: int


@dataclass(frozen=True)
class Part:
    """What is there of a packet. `packet.protocol`: the first that isn't an extension header, or
    the one in which the packet ends; its payload may be cut. `cut`: the end is missing."""

    packet: packets.Packet
    fragment: Fragment | None
    cut: bool


def read(octets: bytes) -> Part | None:
    """The part of a packet from its IPv6 header on; None where even that isn't there."""
    if len(octets) < packets.IPV6_HEADER_OCTETS or octets[0] >> 4 != 6:
        return None
    there = packets.IPV6_HEADER_OCTETS + int.from_bytes(octets[4:6], "big")
    end = min(len(octets), there)
    at, protocol = packets.IPV6_HEADER_OCTETS, octets[6]
    starts = [at]  # of each header that is whole, and of what follows them
    fragment = None
    while protocol in EXTENSIONS and len(starts) <= _HEADERS_MAX and at + 8 <= end:
        if protocol == packets.FRAGMENT:
            place = int.from_bytes(octets[at + 2 : at + 4], "big")
            if place & 0xFFF9:
                number = int.from_bytes(octets[at + 4 : at + 8], "big")
                fragment = Fragment(place & 0xFFF8, bool(place & 1), number, octets[at])
                break
        size = _FRAGMENT_OCTETS if protocol == packets.FRAGMENT else 8 + 8 * octets[at + 1]
        if at + size > end:
            break
        protocol, at = octets[at], at + size
        starts.append(at)
    packet = _headers(octets, starts)
    packet.protocol = protocol
    packet.payload = memoryview(octets)[at:end]
    return Part(packet, fragment, there > len(octets))


def _headers(octets: bytes, starts: list[int]) -> packets.Packet:
    """What the whole extension headers say, as many of them as are sound."""
    first, source, destination = octets[6], octets[8:24], octets[24:40]
    for last in range(len(starts) - 1, 0, -1):
        headers = bytearray(octets[starts[0] : starts[last]])
        headers[starts[last - 1] - starts[0]] = packets.NO_NEXT_HEADER
        try:
            return packets.parse_payload(first, headers, source, destination, octets[7])
        except Violation:
            continue
    return packets.Packet(source, destination, octets[7])


def message(header: bytes) -> messages.Message | None:
    """A mobility message whose fixed part is there, with its options as far as they are sound."""
    if len(header) < 3 or header[2] not in messages.LAYOUTS:
        return None
    fixed = messages.LAYOUTS[header[2]][1]
    if len(header) < fixed:
        return None
    alone = bytearray(header[:fixed]) + bytes(-fixed % 8)  # Pad1
    alone[0], alone[1] = packets.NO_NEXT_HEADER, len(alone) // 8 - 1
    found: messages.Message = messages.decode(alone)
    found.options = []
    at = fixed
    while at < len(header):
        octets = (
            0 if header[at] == messages.PAD1 else header[at + 1] if at + 1 < len(header) else 0
        )
        kind, begin = header[at], at + (1 if header[at] == messages.PAD1 else 2)
        known = messages.OPTIONS.get(kind)
        if begin + octets > len(header) or (known and known[1] not in (None, octets)):
            break
        found.options.append((kind, bytes(header[begin : begin + octets])))
        at = begin + octets
    return found
