"""IPv6 packets with a home address: parsing, building, checksums, and what is dropped."""

from binascii import hexlify

from harness import raises

from mip6 import packets
from mip6.errors import Violation

CARE_OF = b"\x20\x01\x0d\xb8\x00\x01" + bytes(9) + b"\x64"
HOME = b"\x20\x01\x0d\xb8\x00\x0a" + bytes(9) + b"\x64"
PEER = b"\x20\x01\x0d\xb8\x00\x0c" + bytes(9) + b"\x02"


def whole(first, payload, source=CARE_OF, destination=PEER):
    """A packet from its IPv6 header on."""
    return packets.ipv6_header(source, destination, first, len(payload)) + payload


def reason(octets):
    """The reason for which parse refuses these octets."""
    return raises(Violation, packets.parse, octets).reason


def from_mobile(data=b"hello"):
    """UDP from the mobile node, away from home (section 7 of the protocol)."""
    udp = packets.udp(HOME, PEER, 5683, 40000, data)
    return whole(packets.DESTINATION_OPTIONS, packets.home_address_option(HOME, packets.UDP) + udp)


def to_mobile(data=b"hello"):
    """UDP to the mobile node, away from home."""
    udp = packets.udp(PEER, HOME, 40000, 5683, data)
    payload = packets.routing_header(HOME, packets.UDP) + udp
    return whole(packets.ROUTING, payload, PEER, CARE_OF)


def test_headers_written_out():
    home = hexlify(HOME).decode()
    assert hexlify(packets.home_address_option(HOME, 135)).decode() == "870201020000c910" + home
    assert hexlify(packets.routing_header(HOME, 135)).decode() == "8702020100000000" + home
    header = packets.ipv6_header(CARE_OF, PEER, 60, 0x1234, 63)
    assert hexlify(header[:8]).decode() == "6000000012343c3f"
    assert header[8:] == CARE_OF + PEER


def test_udp_from_mobile():
    packet = packets.parse(from_mobile())
    assert (packet.source, packet.destination) == (CARE_OF, PEER)
    assert packet.home_address == packet.logical_source == HOME
    assert packet.logical_destination == PEER and packet.route is None
    assert packet.protocol == packets.UDP and packet.hop_limit == 64
    assert bytes(packet.payload[8:]) == b"hello"
    assert packet.checksum_ok()


def test_udp_to_mobile():
    packet = packets.parse(to_mobile())
    assert (packet.source, packet.destination) == (PEER, CARE_OF)
    assert packet.route == packet.logical_destination == HOME and packet.segments_left == 1
    assert packet.logical_source == PEER and packet.home_address is None
    assert packet.checksum_ok()


def test_both_headers_at_once():
    """Between two mobile nodes: the routing header first, then the option (section 6.3)."""
    udp = packets.udp(PEER, HOME, 1, 2, b"x")
    inner = packets.home_address_option(PEER, packets.UDP) + udp
    payload = packets.routing_header(HOME, packets.DESTINATION_OPTIONS) + inner
    packet = packets.parse(whole(packets.ROUTING, payload, CARE_OF, CARE_OF))
    assert packet.logical_source == PEER and packet.logical_destination == HOME
    assert packet.checksum_ok()


def test_a_routing_header_without_segments_left_changes_nothing():
    header = bytearray(packets.routing_header(HOME, packets.UDP))
    header[3] = 0
    udp = packets.udp(PEER, CARE_OF, 1, 2, b"x")
    packet = packets.parse(whole(packets.ROUTING, bytes(header) + udp, PEER, CARE_OF))
    assert packet.route == HOME and packet.logical_destination == CARE_OF
    assert packet.checksum_ok()


def test_octets_behind_the_packet_are_ignored():
    packet = packets.parse(from_mobile() + b"ethernet padding")
    assert bytes(packet.payload[8:]) == b"hello" and packet.checksum_ok()


def test_payload_form_gives_the_same():
    octets = from_mobile()
    packet = packets.parse_payload(octets[6], octets[40:], CARE_OF, PEER)
    assert packet.hop_limit is None and packet.home_address == HOME
    assert packet.protocol == packets.UDP and packet.checksum_ok()


def test_every_truncation():
    for octets in (from_mobile(), to_mobile()):
        for end in range(len(octets)):
            assert reason(octets[:end]) == "truncated"
        for end in range(24):
            error = raises(
                Violation, packets.parse_payload, octets[6], octets[40 : 40 + end], CARE_OF, PEER
            )
            assert error.reason == "truncated"


def test_not_ipv6():
    assert reason(b"\x45" + bytes(60)) == "version"
    assert reason(b"") == "truncated"


def test_a_home_address_option_twice_or_misshapen():
    option = packets.home_address_option(HOME, packets.DESTINATION_OPTIONS)
    last = packets.home_address_option(HOME, packets.NO_NEXT_HEADER)
    assert reason(whole(packets.DESTINATION_OPTIONS, option + last)) == "option"
    short = bytes((59, 0, 0xC9, 4, 1, 2, 3, 4))
    assert reason(whole(packets.DESTINATION_OPTIONS, short)) == "option"
    assert reason(whole(packets.HOP_BY_HOP, last)) == "option"


def test_options_by_their_upper_bits():
    """RFC 8200 section 4.2: only options of 00 may be skipped."""
    for kind in (0x05, 0x1E, 0x3E):
        header = bytes((59, 0, kind, 4, 1, 2, 3, 4))
        assert packets.parse(whole(packets.DESTINATION_OPTIONS, header)).protocol == 59
    for kind in (0x45, 0x85, 0xC5):
        header = bytes((59, 0, kind, 4, 1, 2, 3, 4))
        assert reason(whole(packets.DESTINATION_OPTIONS, header)) == "option"
    for tail in (
        b"\x00\x00\x00\x00\x00\x01",
        b"\x01\x05\x00\x00\x00\x00",
        b"\x1e\xff\x00\x00\x00\x00",
    ):
        assert reason(whole(packets.DESTINATION_OPTIONS, b"\x3b\x00" + tail)) == "option"


def test_routing_headers_that_are_refused():
    good = packets.routing_header(HOME, packets.NO_NEXT_HEADER)
    for at, value in ((3, 2), (3, 255), (1, 0), (1, 1), (2, 0), (2, 3)):
        header = bytearray(good)
        header[at] = value
        assert reason(whole(packets.ROUTING, bytes(header))) == "routing", (at, value)
    twice = packets.routing_header(HOME, packets.ROUTING) + good
    assert reason(whole(packets.ROUTING, twice)) == "routing"
    used = bytearray(good)
    used[2], used[3] = 0, 0  # of another type, used up: passed over (RFC 8200 section 4.4)
    assert packets.parse(whole(packets.ROUTING, bytes(used))).route is None


def test_fragments():
    assert reason(whole(packets.FRAGMENT, b"\x3b\x00\x00\x01\x00\x00\x00\x01")) == "fragment"
    assert reason(whole(packets.FRAGMENT, b"\x3b\x00\x01\x00\x00\x00\x00\x01")) == "fragment"
    assert reason(whole(packets.FRAGMENT, b"\x3b\x00\x00\x08\x00\x00\x00\x01")) == "fragment"
    atomic = whole(packets.FRAGMENT, b"\x3b\x00\x00\x00\x00\x00\x00\x01")
    assert packets.parse(atomic).protocol == packets.NO_NEXT_HEADER


def test_too_many_headers():
    one = bytes((packets.DESTINATION_OPTIONS, 0, 1, 4, 0, 0, 0, 0))
    last = bytes((packets.NO_NEXT_HEADER, 0, 1, 4, 0, 0, 0, 0))
    assert packets.parse(whole(packets.DESTINATION_OPTIONS, one * 7 + last)).protocol == 59
    assert reason(whole(packets.DESTINATION_OPTIONS, one * 8 + last)) == "headers"


def slow_checksum(source, destination, protocol, payload):
    """The sum as RFC 1071 words it, for comparison."""
    octets = source + destination + len(payload).to_bytes(4, "big")
    octets += bytes((0, 0, 0, protocol)) + payload
    if len(octets) & 1:
        octets += b"\x00"
    total = 0
    for i in range(0, len(octets), 2):
        total += octets[i] << 8 | octets[i + 1]
        total = (total & 0xFFFF) + (total >> 16)
    return total ^ 0xFFFF


def test_checksum_against_the_plain_loop():
    data = bytes((i * 37 + (i >> 3)) & 0xFF for i in range(97))
    for octets in range(len(data)):
        for protocol in (packets.UDP, packets.ICMPV6, packets.MOBILITY):
            expected = slow_checksum(HOME, PEER, protocol, data[:octets])
            assert packets.checksum(HOME, PEER, protocol, data[:octets]) == expected
            assert packets.checksum(HOME, PEER, protocol, memoryview(data)[:octets]) == expected
    full = b"\xff" * 1452
    assert packets.checksum(HOME, PEER, 17, full) == slow_checksum(HOME, PEER, 17, full)


def test_checksum_at_both_zeros():
    """A sum of 0xffff gives the checksum 0, which UDP sends as 0xffff (RFC 8200 section 8.1)."""
    blank = packets.udp(HOME, PEER, 1, 2, b"\x00\x00")
    data = blank[6:8]  # adding the checksum itself to the data makes the sum 0xffff
    datagram = packets.udp(HOME, PEER, 1, 2, data)
    assert datagram[6:8] == b"\xff\xff"
    assert slow_checksum(HOME, PEER, packets.UDP, datagram[:6] + b"\x00\x00" + data) == 0
    assert packets.parse_payload(packets.UDP, datagram, HOME, PEER).checksum_ok()


def test_checksum_catches_every_turned_bit():
    octets = bytearray(from_mobile(b"odd number"))
    for at in list(range(24, 40)) + list(range(48, len(octets))):
        for bit in range(8):
            octets[at] ^= 1 << bit
            try:
                assert not packets.parse(octets).checksum_ok(), (at, bit)
            except Violation:
                pass
            octets[at] ^= 1 << bit
    assert packets.parse(octets).checksum_ok()


def test_udp_length():
    assert packets.udp(HOME, PEER, 65535, 0, b"")[:6] == b"\xff\xff\x00\x00\x00\x08"
    raises(ValueError, packets.udp, HOME, PEER, 1, 2, bytes(65528))
    assert len(packets.udp(HOME, PEER, 1, 2, bytes(65527))) == 65535
