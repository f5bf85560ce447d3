"""Which of the two sockets at a home agent's port a datagram is for: asked of the kernel."""

import socket
from ipaddress import IPv6Address

import pytest
from support.homes import AGENT

from mip6 import packets
from roamkey.correspondent import encapsulation
from roamkey.home_agent.tunnel.inside import choice

HOME = IPv6Address("2001:db8:a::77").packed
ELSEWHERE = IPv6Address("2001:db8:c::2").packed
NEARLY = AGENT[:15] + bytes((AGENT[15] ^ 1,))


@pytest.mark.parametrize(
    ("destination", "kind", "chosen"),
    [
        (AGENT, packets.MOBILITY, 0),
        (AGENT, packets.NO_NEXT_HEADER, 0),
        (AGENT, packets.UDP, 1),
        (AGENT, packets.ICMPV6, 1),
        (AGENT, packets.FRAGMENT, 1),
        (ELSEWHERE, packets.MOBILITY, 1),
        (ELSEWHERE, packets.UDP, 1),
        (NEARLY, packets.MOBILITY, 1),
        (bytes((AGENT[0] ^ 1,)) + AGENT[1:], packets.NO_NEXT_HEADER, 1),
        (AGENT[:4] + b"\xff" + AGENT[5:], packets.MOBILITY, 1),
        (AGENT[:9] + b"\xff" + AGENT[10:], packets.MOBILITY, 1),
    ],
)
def test_by_inner_destination_and_next_header(destination, kind, chosen):
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as free:
        free.bind(("::1", 0))
        place = encapsulation.Place("::1", free.getsockname()[1])
    ours = encapsulation.open_socket(place, choice=choice(IPv6Address(AGENT)))
    with ours, encapsulation.open_socket(place, data=True) as plane:
        packet = packets.ipv6_header(HOME, destination, kind, 24) + bytes(24)
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as node:
            node.sendto(packet, ("::1", place.port))
        for number, one in enumerate((ours, plane)):
            one.settimeout(5 if number == chosen else 0.05)
            if number == chosen:
                assert one.recv(2048) == packet
            else:
                with pytest.raises(TimeoutError):
                    one.recv(2048)
