"""ICMPv6 Packet Too Big (RFC 4443 section 3.2): how a sender on this host learns what fits."""

from mip6 import packets

_PACKET_TOO_BIG = 2
_OCTETS_MAX = 1280  # of the whole answer: the least MTU of IPv6


def packet_too_big(source: bytes, offender: bytes, mtu: int) -> bytes:
    """A whole packet to the sender of `offender` (an IPv6 packet), as if `source` had sent it.

    `mtu`: in octets, 1280 at least.
    """
    destination = offender[8:24]
    room = _OCTETS_MAX - packets.IPV6_HEADER_OCTETS - 8
    rest = mtu.to_bytes(4, "big") + offender[:room]
    head = bytes((_PACKET_TOO_BIG, 0))
    value = packets.checksum(source, destination, packets.ICMPV6, head + b"\0\0" + rest)
    message: bytes = head + value.to_bytes(2, "big") + rest
    header: bytes = packets.ipv6_header(source, destination, packets.ICMPV6, len(message))
    return header + message
