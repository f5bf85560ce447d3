"""What came inside UDP, read: docs/SPEC.md, "Encapsulated in UDP".

As in `updates`, the usual layouts are read at fixed places, everything else by the reader of all.
"""

from typing import Any

from mip6 import addresses, keys, messages, packets
from mip6.errors import Violation
from roamkey.correspondent.core import endpoints, updates
from roamkey.correspondent.core.entries import Inbound
from roamkey.correspondent.core.updates import (
    AUTHORIZATION,
    BEHIND_AT,
    FIELDS,
    FIELDS_AT,
    Update,
)

_TCP = 6
_INSIDE = (packets.MOBILITY, packets.NO_NEXT_HEADER, packets.UDP, _TCP, packets.ICMPV6)
_RESERVED4 = 2  # octets before the address in an IPv4 Care-of Address option


def read(inbound: Inbound, correspondent: bytes) -> packets.Packet:
    """The inner packet: to us, from what may be a home address; a Mobility Header's checksum is
    right. Raises Violation."""
    if not endpoints.can_answer(inbound.endpoint):
        raise Violation("outer source", "from where nothing can be answered")
    packet = packets.parse_encapsulated(inbound.payload)
    if packet.destination != correspondent:
        raise Violation("destination", "to another address than ours")
    if not addresses.is_unicast_global(packet.source):
        raise Violation("home address", "from what can be no home address")
    if packet.protocol not in _INSIDE:
        raise Violation("protocol", "neither signalling nor what programs send")
    if packet.protocol == packets.MOBILITY and not packet.checksum_ok():
        raise Violation("checksum", "a wrong checksum")
    return packet


def update_of(packet: packets.Packet, message: Any, outer: bytes) -> Update:
    """The Binding Update in a packet; `outer`: the outer source. It says by the F flag that it
    came so, and where the node is by the option of that way, and by no other. Raises Violation."""
    if not message.flags & messages.FLAG_UDP_ENCAPSULATION:
        raise Violation("encapsulation flag", "no F flag in an encapsulated Binding Update")
    address4 = message.option(messages.IPV4_CARE_OF_ADDRESS)
    address6 = message.option(messages.ALTERNATE_CARE_OF_ADDRESS)
    right, wrong = (address4, address6) if addresses.is_ipv4(outer) else (address6, address4)
    if right is None or wrong is not None:
        raise Violation("care-of option", "not the care-of address option of its way")
    care_of = right if right is address6 else addresses.IPV4_MAPPED + right[_RESERVED4:]
    return updates.from_message(packet, message)._replace(alternate=care_of)


class _Layout:
    """Of the usual update with one care-of address option."""

    def __init__(self, option: int, reserved: int, prefix: bytes) -> None:
        """`reserved`: octets before the address; `prefix`: what goes before it in 16 octets."""
        _, octets, _ = messages.OPTIONS[option]
        assert octets is not None
        options = [(option, bytes(octets)), AUTHORIZATION]
        header = messages.Message(messages.BINDING_UPDATE, options).encode()
        starts = bytes((option, octets)) + bytes(reserved)
        self.prefix = prefix
        self.octets = packets.IPV6_HEADER_OCTETS + len(header)
        self.begins = packets.ipv6_header(b"", b"", packets.MOBILITY, len(header))[_LENGTH_AT:-1]
        self.type = header[:3]
        self.address_at = header.index(starts, BEHIND_AT) + len(starts)
        self.address_end = self.address_at + octets - reserved
        self.before = header[BEHIND_AT : self.address_at]
        self.behind = header[self.address_end : -keys.AUTHENTICATOR_OCTETS]


_LENGTH_AT = 4  # in an IPv6 header: length, next header, hop limit, source, destination
_HOP_LIMIT_AT = 7
_SOURCE_AT = 8
_DESTINATION_AT = 24
_INSIDE4 = _Layout(messages.IPV4_CARE_OF_ADDRESS, _RESERVED4, addresses.IPV4_MAPPED)
_INSIDE6 = _Layout(messages.ALTERNATE_CARE_OF_ADDRESS, 0, b"")


def read_usual(inbound: Inbound, correspondent: bytes) -> Update | None:
    """The update, where it has the usual layout of its way and a right checksum, else None."""
    packet = inbound.payload
    layout = _INSIDE4 if addresses.is_ipv4(inbound.source) else _INSIDE6
    if (
        len(packet) != layout.octets
        or not endpoints.can_answer(inbound.endpoint)
        or packet[0] >> 4 != 6
        or packet[_LENGTH_AT:_HOP_LIMIT_AT] != layout.begins
        or not packet[_HOP_LIMIT_AT]
        or packet[_DESTINATION_AT : packets.IPV6_HEADER_OCTETS] != correspondent
    ):
        return None
    header = packet[packets.IPV6_HEADER_OCTETS :]
    if (
        header[:3] != layout.type
        or header[BEHIND_AT : layout.address_at] != layout.before
        or header[layout.address_end : -keys.AUTHENTICATOR_OCTETS] != layout.behind
    ):
        return None
    home = packet[_SOURCE_AT:_DESTINATION_AT]
    sequence, flags, lifetime = FIELDS.unpack_from(header, FIELDS_AT)
    if not flags & messages.FLAG_UDP_ENCAPSULATION or packets.checksum(
        home, correspondent, packets.MOBILITY, header
    ):
        return None
    care_of = layout.prefix + header[layout.address_at : layout.address_end]
    return Update(home, header, sequence, flags, lifetime, care_of, True)
