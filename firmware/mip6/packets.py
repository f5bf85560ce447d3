"""IPv6 packets that carry a home address: parse and build (RFC 8200, RFC 6275 section 6.3, 6.4),
and whole ones inside UDP datagrams (docs/SPEC.md, "Encapsulated in UDP").

A packet is read from its IPv6 header (rp2, ESP32, captures) or from its first extension header
(Linux raw sockets); both give the same `Packet`. Nothing here answers or forwards: what must be
dropped raises `Violation`.
"""

from .compat import const
from .errors import Violation

TYPE_CHECKING = const(False)

if TYPE_CHECKING:
    from .protocols import Octets

HOP_BY_HOP = const(0)
UDP = const(17)
IPV6 = const(41)  # a whole packet in a packet, RFC 2473
ROUTING = const(43)
FRAGMENT = const(44)
ICMPV6 = const(58)
NO_NEXT_HEADER = const(59)
DESTINATION_OPTIONS = const(60)
MOBILITY = const(135)

IPV6_HEADER_OCTETS = const(40)
EXTENSION_OCTETS = const(24)  # of the Home Address option's header, and of a type 2 routing header
UDP_HEADER_OCTETS = const(8)
ENCAPSULATION_PORT = const(4191)  # dsmipv6, RFC 5555 section 4.1
ENCAPSULATED = const(0x10000)  # as a next header, with a port: the payload is a datagram's data
KEEPALIVE_OCTETS = const(64)  # as long as the Binding Error that may answer it

HOME_ADDRESS_OPTION = const(0xC9)  # RFC 6275 section 6.3
ROUTING_TYPE_2 = const(2)  # RFC 6275 section 6.4
_HEADERS_MAX = const(8)  # more extension headers than this are a prank


class Packet:
    """What a packet says, with its extension headers read.

    `source`, `destination`: as in the IPv6 header. `home_address`: of the Home Address option, or
    None. `route`: address in the type 2 routing header, or None; `segments_left`: of that header.
    `protocol`: of the payload; `payload`: a memoryview from that protocol's header on;
    `hop_limit`: None where the IPv6 header wasn't there to read.
    """

    def __init__(self, source: bytes, destination: bytes, hop_limit: int | None = None) -> None:
        self.source = source
        self.destination = destination
        self.hop_limit = hop_limit
        self.home_address: bytes | None = None
        self.route: bytes | None = None
        self.segments_left = 0
        self.protocol = NO_NEXT_HEADER
        self.payload: bytes | memoryview = b""

    @property
    def logical_source(self) -> bytes:
        """The source that the payload's checksum covers and that upper layers see."""
        return self.source if self.home_address is None else self.home_address

    @property
    def logical_destination(self) -> bytes:
        """The destination that the payload's checksum covers and that upper layers see."""
        # Where segments are left, there is a route.
        return self.route if self.segments_left else self.destination  # type: ignore[return-value]

    def checksum_ok(self) -> bool:
        """Whether the payload's checksum (Mobility Header, UDP, ICMPv6) is right."""
        return not _sum(self.logical_source, self.logical_destination, self.protocol, self.payload)


def parse(packet: "Octets") -> "Packet":
    """Read a whole IPv6 packet, from the IPv6 header on; octets behind its end are ignored.

    Returns a `Packet`; raises `Violation`.
    """
    packet = memoryview(packet)
    if len(packet) < IPV6_HEADER_OCTETS:
        raise Violation("truncated", "packet shorter than an IPv6 header")
    if packet[0] >> 4 != 6:
        raise Violation("version", "not an IPv6 packet")
    end = IPV6_HEADER_OCTETS + (packet[4] << 8 | packet[5])
    if end > len(packet):
        raise Violation("truncated", "packet shorter than its payload length")
    return parse_payload(
        packet[6],
        packet[IPV6_HEADER_OCTETS:end],
        bytes(packet[8:24]),
        bytes(packet[24:40]),
        packet[7],
    )


def parse_encapsulated(datagram: "Octets") -> "Packet":
    """Read the IPv6 packet that a UDP datagram carries: whole, nothing behind it, no extension
    header in it (the datagram's own addresses say where the node is). `protocol` is
    NO_NEXT_HEADER for a keepalive.

    Returns a `Packet`; raises `Violation`, "encapsulated" for what is allowed outside alone.
    """
    packet = memoryview(datagram)
    if len(packet) < IPV6_HEADER_OCTETS:
        raise Violation("truncated", "datagram shorter than an IPv6 header")
    if packet[0] >> 4 != 6:
        raise Violation("version", "no IPv6 packet in the datagram")
    octets = packet[4] << 8 | packet[5]
    if octets != len(packet) - IPV6_HEADER_OCTETS:
        short = octets > len(packet) - IPV6_HEADER_OCTETS
        raise Violation("truncated" if short else "length", "another length than the datagram's")
    if not packet[7]:
        raise Violation("hop limit", "an encapsulated packet without a hop left")
    if packet[6] == FRAGMENT:
        raise Violation("fragment", "an encapsulated fragment")
    if packet[6] in (HOP_BY_HOP, DESTINATION_OPTIONS, ROUTING):
        raise Violation("encapsulated", "an extension header in an encapsulated packet")
    found = Packet(bytes(packet[8:24]), bytes(packet[24:40]), packet[7])
    found.protocol = packet[6]
    found.payload = packet[IPV6_HEADER_OCTETS:]
    return found


def parse_payload(
    next_header: int,
    payload: "Octets",
    source: bytes,
    destination: bytes,
    hop_limit: int | None = None,
) -> "Packet":
    """Read a packet from its first extension header on, as a Linux raw socket gives it.

    `next_header`: the protocol that `payload` begins with; addresses: 16 octets each, of the IPv6
    header. Returns a `Packet`; raises `Violation`.
    """
    packet = Packet(source, destination, hop_limit)
    payload = memoryview(payload)
    headers = 0
    while next_header in (HOP_BY_HOP, DESTINATION_OPTIONS, ROUTING, FRAGMENT):
        headers += 1
        if headers > _HEADERS_MAX:
            raise Violation("headers", "too many extension headers")
        if len(payload) < 8:
            raise Violation("truncated", "packet ends inside an extension header")
        octets = 8 if next_header == FRAGMENT else 8 + 8 * payload[1]
        if octets > len(payload):
            raise Violation("truncated", "packet ends inside an extension header")
        header = payload[:octets]
        if next_header == ROUTING:
            _read_routing(packet, header)
        elif next_header == FRAGMENT:
            if header[2] or header[3] & 0xF9:  # only an "atomic" fragment (RFC 6946) is whole
                raise Violation("fragment", "a fragment of a packet")
        else:
            _read_options(packet, header, next_header == DESTINATION_OPTIONS)
        next_header = header[0]
        payload = payload[octets:]
    packet.protocol = next_header
    packet.payload = payload
    return packet


def _read_routing(packet: "Packet", header: memoryview) -> None:
    kind = header[2]
    left = header[3]
    if kind != ROUTING_TYPE_2:
        if left:
            raise Violation("routing", "routing header of type %d with segments left" % kind)
        return
    if len(header) != EXTENSION_OCTETS or left > 1 or packet.route is not None:
        raise Violation("routing", "malformed type 2 routing header")
    packet.route = bytes(header[8:24])
    packet.segments_left = left


def _read_options(packet: "Packet", header: memoryview, destination: bool) -> None:
    at = 2
    while at < len(header):
        kind = header[at]
        if kind == 0:  # Pad1
            at += 1
            continue
        if at + 2 > len(header) or at + 2 + header[at + 1] > len(header):
            raise Violation("option", "option runs past its header")
        octets = header[at + 1]
        if kind == HOME_ADDRESS_OPTION and destination:
            if octets != 16 or packet.home_address is not None:
                raise Violation("option", "malformed Home Address option")
            packet.home_address = bytes(header[at + 2 : at + 18])
        elif kind >> 6:  # RFC 8200 section 4.2: only 00 may be skipped
            raise Violation("option", "unknown option 0x%02x that must not be skipped" % kind)
        at += 2 + octets


def home_address_option(home_address: bytes, next_header: int) -> bytes:
    """A Destination Options header with the Home Address option alone: 24 octets (section 6.3)."""
    return bytes((next_header, 2, 1, 2, 0, 0, HOME_ADDRESS_OPTION, 16)) + home_address


def routing_header(home_address: bytes, next_header: int) -> bytes:
    """A type 2 routing header with one segment left: 24 octets (RFC 6275 section 6.4)."""
    return bytes((next_header, 2, ROUTING_TYPE_2, 1, 0, 0, 0, 0)) + home_address


def ipv6_header(
    source: bytes, destination: bytes, next_header: int, payload_octets: int, hop_limit: int = 64
) -> bytes:
    """An IPv6 header, 40 octets (RFC 8200 section 3)."""
    return (
        bytes((0x60, 0, 0, 0, payload_octets >> 8, payload_octets & 0xFF, next_header, hop_limit))
        + source
        + destination
    )


def keepalive(home_address: bytes, correspondent: bytes) -> bytes:
    """What a node sends to keep its port at a NAT: a whole IPv6 packet that says nothing.

    24 octets stand behind the header, which nobody reads (RFC 8200 section 4.7): so an error in
    return is no longer than its cause.
    """
    octets = KEEPALIVE_OCTETS - IPV6_HEADER_OCTETS
    return ipv6_header(home_address, correspondent, NO_NEXT_HEADER, octets) + bytes(octets)


def udp(
    source: bytes, destination: bytes, source_port: int, destination_port: int, data: bytes
) -> bytes:
    """A UDP header with its data; the checksum covers the addresses given (home, not care-of).

    Raises ValueError where the data exceed 65,527 octets. RFC 768, RFC 8200 section 8.1.
    """
    octets = UDP_HEADER_OCTETS + len(data)
    if octets > 0xFFFF:
        raise ValueError("too long for a UDP datagram")
    ports = bytes((source_port >> 8, source_port & 255, destination_port >> 8,
                   destination_port & 255, octets >> 8, octets & 255))  # fmt: skip
    value = checksum(source, destination, UDP, ports + b"\x00\x00" + data) or 0xFFFF
    return ports + bytes((value >> 8, value & 255)) + data


def checksum(source: bytes, destination: bytes, protocol: int, payload: "Octets") -> int:
    """The Internet checksum over pseudo header and payload (RFC 8200 section 8.1), 0 to 65535.

    The payload's own checksum field must be zero. For a Mobility Header the addresses are those
    that `Packet.logical_source` and `logical_destination` name (RFC 6275 section 6.1.1).
    """
    return 0xFFFF - (_sum(source, destination, protocol, payload) or 0xFFFF)


def _sum(source: bytes, destination: bytes, protocol: int, payload: "Octets") -> int:
    """The one's complement sum modulo 65535: 0 stands for both of its zeros.

    2^16 is 1 modulo 65535, so the sum of the 16-bit words is the remainder of the whole number:
    one division in C in place of a loop in Python.
    """
    total = int.from_bytes(payload, "big")
    octets = len(payload)
    if octets & 1:
        total <<= 8
    total += int.from_bytes(source, "big") + int.from_bytes(destination, "big")
    return (total + octets + protocol) % 0xFFFF
