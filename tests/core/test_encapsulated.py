"""IPv6 packets inside UDP datagrams, IPv4 addresses, and the mobility options of RFC 5555."""

from binascii import hexlify, unhexlify

from harness import raises

from mip6 import addresses, messages, packets
from mip6.errors import Violation

HOME = addresses.parse("2001:db8:a::64")
PEER = addresses.parse("2001:db8:c::2")


def whole(protocol=packets.UDP, payload=b"12345678", hop_limit=64):
    """A packet as a datagram carries it."""
    return packets.ipv6_header(HOME, PEER, protocol, len(payload), hop_limit) + payload


def reason(octets):
    """Why parse_encapsulated refuses these octets."""
    return raises(Violation, packets.parse_encapsulated, octets).reason


def test_a_packet_inside_a_datagram_is_read():
    packet = packets.parse_encapsulated(whole(payload=packets.udp(HOME, PEER, 1, 2, b"hello")))
    assert packet.source == packet.logical_source == HOME
    assert packet.destination == packet.logical_destination == PEER
    assert packet.protocol == packets.UDP and packet.checksum_ok() and packet.hop_limit == 64


def test_whatever_is_wrong_with_it_has_a_reason():
    assert reason(b"") == reason(whole()[:39]) == reason(whole()[:-1]) == "truncated"
    assert reason(whole() + b"\0") == "length"
    assert reason(b"\x45" + whole()[1:]) == reason(b"\0" + whole()[1:]) == "version"
    assert reason(whole(hop_limit=0)) == "hop limit"
    assert reason(whole(packets.FRAGMENT)) == "fragment"
    for header in (packets.HOP_BY_HOP, packets.DESTINATION_OPTIONS, packets.ROUTING):
        assert reason(whole(header)) == "encapsulated"


def test_a_keepalive_is_as_long_as_the_error_that_answers_it():
    keepalive = packets.keepalive(HOME, PEER)
    packet = packets.parse_encapsulated(keepalive)
    assert packet.protocol == packets.NO_NEXT_HEADER and packet.source == HOME
    error = messages.Message(messages.BINDING_ERROR, status=1, home_address=HOME).encode()
    assert len(keepalive) == packets.IPV6_HEADER_OCTETS + len(error) == packets.KEEPALIVE_OCTETS


def test_an_update_inside_has_the_options_of_rfc_5555():
    update = messages.Message(
        messages.BINDING_UPDATE,
        [
            (messages.IPV4_CARE_OF_ADDRESS, b"\0\0" + bytes((192, 0, 2, 1))),
            (messages.BINDING_AUTHORIZATION_DATA, bytes(12)),
        ],
        sequence=7,
        flags=messages.FLAG_ACKNOWLEDGE | messages.FLAG_UDP_ENCAPSULATION,
        lifetime=100,
    )
    octets = update.encode()
    assert hexlify(octets).decode() == (
        "3b040500" + "0000" + "0007" + "8100" + "0064"
        + "20060000" + "c0000201" + "010400000000" + "050c" + "00" * 12
    )  # fmt: skip
    found = messages.decode(octets)
    assert found.option(messages.IPV4_CARE_OF_ADDRESS) == b"\0\0\xc0\0\x02\x01"


def test_nat_detection_has_six_octets():
    answer = messages.Message(
        messages.BINDING_ACKNOWLEDGEMENT, [(messages.NAT_DETECTION, unhexlify("000000000019"))]
    ).encode()
    assert messages.decode(answer).option(messages.NAT_DETECTION)[2:] == b"\0\0\0\x19"
    bad = answer.replace(b"\x1f\x06\0\0\0\0\0\x19", b"\x1f\x05\0\0\0\0\0\0")
    assert raises(Violation, messages.decode, bad).reason == "option"


def test_an_ipv4_address_is_written_in_dots():
    octets = addresses.parse("192.0.2.1")
    assert octets == bytes(10) + b"\xff\xff\xc0\0\x02\x01" == addresses.parse("::ffff:192.0.2.1")
    assert addresses.text(octets) == "192.0.2.1" and addresses.is_ipv4(octets)
    assert not addresses.is_ipv4(HOME) and not addresses.is_unicast_global(octets)


def test_what_is_no_ipv4_address():
    for text in ("1.2.3", "1.2.3.4.5", "256.1.1.1", "1.2.3.04", "1..2.3", "a.b.c.d", ".",
                 "::1.2.3.4", "1.2.3.-4", "\u0661.2.3.4", "1.2.3.4 "):  # fmt: skip
        raises(ValueError, addresses.parse, text)
