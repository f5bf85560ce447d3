"""Neighbour Discovery's messages as the home agent makes and reads them; scapy is the oracle."""

from ipaddress import IPv6Address

import pytest
from scapy.layers.inet6 import (
    ICMPv6ND_NA,
    ICMPv6ND_NS,
    ICMPv6NDOptDstLLAddr,
    ICMPv6NDOptSrcLLAddr,
    IPv6,
)

from mip6 import packets
from roamkey.home_agent.tunnel import neighbours

HOME = IPv6Address("2001:db8:a::77").packed
OURS = IPv6Address("fe80::fe").packed
ASKS = IPv6Address("fe80::99").packed
MAC = bytes.fromhex("020000000042")


def checked(octets):
    """As scapy reads it, its checksum computed anew."""
    packet = IPv6(octets)
    message = packet.payload
    before = message.cksum
    del message.cksum
    assert IPv6(bytes(packet)).payload.cksum == before
    return packet


def test_a_detection():
    octets = neighbours.detection(HOME, b"abcdef")
    packet = checked(octets)
    message = packet[ICMPv6ND_NS]
    assert (packet.src, packet.dst, packet.hlim) == ("::", "ff02::1:ff00:77", 255)
    assert message.tgt == "2001:db8:a::77"
    assert bytes(message.payload) == b"\x0e\x01abcdef"
    read = neighbours.read(octets)
    assert read.detects and (read.target, read.nonce) == (HOME, b"abcdef")
    assert neighbours.link_layer_of(octets[24:40]).hex() == "3333ff000077"


@pytest.mark.parametrize(
    ("to", "dst", "solicited", "override"),
    [
        (None, "ff02::1", 0, 1),
        (ASKS, "fe80::99", 1, 0),
        (bytes(16), "ff02::1", 0, 0),
    ],
)
def test_an_advertisement(to, dst, solicited, override):
    octets = neighbours.advertisement(OURS, HOME, MAC, to)
    packet = checked(octets)
    message = packet[ICMPv6ND_NA]
    assert (packet.src, packet.dst, packet.hlim) == ("fe80::fe", dst, 255)
    assert (0, solicited, override) == (message.R, message.S, message.O)
    assert message.tgt == "2001:db8:a::77"
    assert message[ICMPv6NDOptDstLLAddr].lladdr == "02:00:00:00:00:42"
    read = neighbours.read(octets)
    assert (read.kind, read.target, read.source) == (neighbours.ADVERTISEMENT, HOME, OURS)


def solicitation(**more):
    made = IPv6(src="fe80::99", dst="ff02::1:ff00:77", hlim=255, **more)
    option = ICMPv6NDOptSrcLLAddr(lladdr="02:00:00:00:00:99")
    return made / ICMPv6ND_NS(tgt="2001:db8:a::77") / option


def test_a_neighbours_question():
    read = neighbours.read(bytes(solicitation()))
    assert read.link_layer.hex() == "020000000099" and not read.detects
    assert (read.source, read.target) == (ASKS, HOME)


def test_what_is_not_of_the_link_or_damaged_is_nothing():
    good = bytes(solicitation())
    for at in range(len(good)):
        assert neighbours.read(good[:at]) is None
    for at in range(8 * packets.IPV6_HEADER_OCTETS, 8 * len(good)):  # the checksum sees each
        octets = bytearray(good)
        octets[at // 8] ^= 1 << at % 8
        assert neighbours.read(bytes(octets)) is None, at
    far = solicitation()
    far.hlim = 254
    assert neighbours.read(bytes(far)) is None
    wants = IPv6(src="::", dst="ff02::1", hlim=255) / ICMPv6ND_NS(tgt="2001:db8:a::77")
    assert neighbours.read(bytes(wants)) is None, "who detects asks at the solicited-node address"
    wants.dst = "ff02::1:ff00:77"
    del wants[ICMPv6ND_NS].cksum
    assert neighbours.read(bytes(wants)).detects
    empty = IPv6(src="fe80::99", dst="ff02::1:ff00:77", hlim=255) / ICMPv6ND_NS(
        tgt="2001:db8:a::77"
    )
    assert neighbours.read(bytes(empty / (b"\x01\x00" + bytes(6)))) is None, "an empty option"
