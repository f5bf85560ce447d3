"""Neighbour Solicitations and Advertisements: made and read (RFC 4861, RFC 4862). No I/O.

Packets are whole, from the IPv6 header on. What doesn't pass the checks of RFC 4861 sections 7.1.1
and 7.1.2 reads as None: a hop limit of 255 shows that it comes from the link itself.
"""

from typing import NamedTuple

from mip6 import packets

SOLICITATION = 135
ADVERTISEMENT = 136

_HOP_LIMIT = 255
_UNSPECIFIED = bytes(16)
ALL_NODES = bytes.fromhex("ff020000000000000000000000000001")
_SOLICITED_NODE = bytes.fromhex("ff0200000000000000000001ff")  # and the last 24 bits: RFC 4291
_SOURCE_LINK_LAYER, _TARGET_LINK_LAYER, _NONCE = 1, 2, 14
_SOLICITED, _OVERRIDE = 0x40, 0x20
_MESSAGE_AT = packets.IPV6_HEADER_OCTETS
_TARGET = slice(8, 24)
_OPTIONS_AT = 24
_NONCE_OCTETS = 6


class Neighbour(NamedTuple):
    """What a neighbour said. `kind`: SOLICITATION or ADVERTISEMENT; `source`: of the packet;
    `target`: the address that it is about; `link_layer`: of the option that a solicitation may
    have, or b""; `nonce`: of RFC 7527, or b""."""

    kind: int
    source: bytes
    target: bytes
    link_layer: bytes
    nonce: bytes

    @property
    def detects(self) -> bool:
        """Whether it asks for duplicates of an address that it wants (RFC 4862 section 5.4.3)."""
        return self.kind == SOLICITATION and self.source == _UNSPECIFIED


def solicited_node(address: bytes) -> bytes:
    """The multicast address at which whoever has an address is asked for it."""
    return _SOLICITED_NODE + address[-3:]


def link_layer_of(multicast: bytes) -> bytes:
    """The Ethernet address of a multicast address (RFC 2464 section 7)."""
    return b"\x33\x33" + multicast[-4:]


def read(packet: bytes) -> Neighbour | None:
    """A neighbour's message, or None."""
    message = packet[_MESSAGE_AT:]
    source, destination = packet[8:24], packet[24:40]
    if (
        len(message) < _OPTIONS_AT
        or packet[0] >> 4 != 6
        or int.from_bytes(packet[4:6], "big") != len(message)
        or packet[6:8] != bytes((packets.ICMPV6, _HOP_LIMIT))
        or message[0] not in (SOLICITATION, ADVERTISEMENT)
        or message[1]
        or message[8] == 0xFF  # a target is no multicast address
        or packets.checksum(source, destination, packets.ICMPV6, message)
    ):
        return None
    options = _options(message[_OPTIONS_AT:])
    if options is None:
        return None
    link_layer = options.get(_SOURCE_LINK_LAYER, b"")
    target = message[_TARGET]
    if source == _UNSPECIFIED and (
        message[0] == ADVERTISEMENT or link_layer or destination != solicited_node(target)
    ):
        return None
    return Neighbour(message[0], source, target, link_layer, options.get(_NONCE, b""))


def _options(octets: bytes) -> dict[int, bytes] | None:
    """The first of each type; None where one has no length, or too much of it."""
    found: dict[int, bytes] = {}
    at = 0
    while at < len(octets):
        length = 8 * octets[at + 1] if at + 1 < len(octets) else 0
        if not length or at + length > len(octets):
            return None
        found.setdefault(octets[at], octets[at + 2 : at + length])
        at += length
    return found


def detection(target: bytes, nonce: bytes) -> bytes:
    """The solicitation that looks for another host with an address. `nonce`: six octets, by which
    our own is known that a link sends back (RFC 7527 section 4.1)."""
    option = bytes((_NONCE, 1)) + nonce
    message = bytes((SOLICITATION, 0, 0, 0)) + bytes(4) + target + option
    return _packet(_UNSPECIFIED, solicited_node(target), message)


def advertisement(source: bytes, target: bytes, link_layer: bytes, to: bytes | None) -> bytes:
    """An advertisement for a node's home address. `source`: an address of ours on the link;
    `link_layer`: ours; `to`: who asked; None: nobody, all are told (RFC 6275 section 10.4.1).

    The node isn't a router: R is zero. Unasked, it overrides what neighbours know; as an answer
    it doesn't, as a proxy's (RFC 4861 section 7.2.8).
    """
    asked = to is not None and to != _UNSPECIFIED
    flags = _SOLICITED if asked else 0
    if to is None:
        flags = _OVERRIDE
    option = bytes((_TARGET_LINK_LAYER, 1)) + link_layer
    message = bytes((ADVERTISEMENT, 0, 0, 0, flags, 0, 0, 0)) + target + option
    return _packet(source, to if asked and to else ALL_NODES, message)


def _packet(source: bytes, destination: bytes, message: bytes) -> bytes:
    value = packets.checksum(source, destination, packets.ICMPV6, message)
    message = message[:2] + value.to_bytes(2, "big") + message[4:]
    header: bytes = packets.ipv6_header(
        source, destination, packets.ICMPV6, len(message), _HOP_LIMIT
    )
    return header + message
