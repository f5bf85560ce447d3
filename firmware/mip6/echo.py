"""ICMPv6 echo on the home address: anyone at a correspondent can ping the node (RFC 4443)."""

from . import packets
from .compat import const

_REQUEST = const(128)
_REPLY = const(129)
_OCTETS_MIN = const(8)


def answer(packet, home_address):
    """The ICMPv6 message that answers `packet` (packets.Packet), or None if it asks for nothing.

    The checksum of the question was found right.
    """
    if len(packet.payload) < _OCTETS_MIN or packet.payload[0] != _REQUEST or packet.payload[1]:
        return None
    reply = bytearray(packet.payload)
    reply[0] = _REPLY
    reply[2] = reply[3] = 0
    value = packets.checksum(home_address, packet.logical_source, packets.ICMPV6, reply)
    reply[2] = value >> 8
    reply[3] = value & 255
    return bytes(reply)
