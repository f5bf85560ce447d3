"""What is answered to messages that can't be read (RFC 6275 section 9.2)."""

from .. import messages, packets
from ..compat import const

TYPE_CHECKING = const(False)

if TYPE_CHECKING:
    from ..protocols import Octets, Outgoing

# ICMPv6, RFC 4443
_PARAMETER_PROBLEM = const(4)
_ERRONEOUS_HEADER_FIELD = const(0)
_QUOTED_MAX = const(1232)  # an ICMPv6 error is no longer than 1280 octets with its IPv6 header


def complaint(
    packet: "packets.Packet", whole: "tuple[int, Octets]", reason: str
) -> "Outgoing | None":
    """The error that is due to a packet's sender, as `next_packet` gives packets, or None.

    `whole`: the packet's first next header, and what follows the IPv6 header; `reason`: of the
    Violation.
    """
    inside = whole[0] >= packets.ENCAPSULATED  # of a datagram: nothing is due there
    if inside or packet.destination[0] == 0xFF:
        return None
    if reason == "message type":
        protocol, at = packets.MOBILITY, messages.CHECKSUM_AT
        error = bytearray((packets.NO_NEXT_HEADER, 2, messages.BINDING_ERROR, 0, 0, 0))
        error.extend(bytes((messages.UNRECOGNIZED_MESSAGE, 0)))
        error.extend(packet.home_address or bytes(16))
    elif reason == "payload protocol":
        protocol, at = packets.ICMPV6, 2
        next_header, octets = whole
        pointer = packets.IPV6_HEADER_OCTETS + len(octets) - len(packet.payload)
        error = bytearray((_PARAMETER_PROBLEM, _ERRONEOUS_HEADER_FIELD, 0, 0))
        error.extend(pointer.to_bytes(4, "big"))
        error.extend(
            packets.ipv6_header(packet.source, packet.destination, next_header, len(octets))
        )
        error.extend(octets[: _QUOTED_MAX - packets.IPV6_HEADER_OCTETS])
    else:
        return None
    value = packets.checksum(packet.destination, packet.source, protocol, error)
    error[at] = value >> 8
    error[at + 1] = value & 255
    return packet.destination, packet.source, protocol, error
