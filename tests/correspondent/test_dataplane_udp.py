"""The data plane inside UDP, over IPv6 and over IPv4 behind a NAT: programs on both ends."""

from ipaddress import IPv6Address

import pytest
from support.daemons import ADDRESS
from support.roaming import need_tun, result
from support.tunnel import HOME, Lines, Tunnel

from mip6 import packets

pytestmark = [pytest.mark.lab, pytest.mark.timeout(180)]

HOME_OCTETS, OURS = IPv6Address(HOME).packed, IPv6Address(ADDRESS).packed


class Driven:
    """A data plane whose daemon checks nothing, and a node."""

    def __init__(self, network):
        self.network = network
        self.tunnel = Tunnel(network)
        self.driver = Lines(network, "correspondent", "plane_driver.py", ADDRESS)
        self.ready = self.driver.hear("ready")

    def bind(self, way):
        """Have the node bound to where it is that way; the endpoint in octets."""
        self.tunnel.open(way)
        if way == "native":
            self.driver.say(native=[HOME, self.tunnel.care_of])
            return b""
        self.tunnel.send(packets.keepalive(HOME_OCTETS, OURS))
        return bytes.fromhex(self.driver.hear("bound"))

    def counters(self):
        self.driver.say(counters=0)
        return self.driver.hear("counters")


@pytest.fixture
def driven(lab_network):
    need_tun()
    return Driven(lab_network)


def carries_tcp(tunnel, octets=1_000_000):
    """Whether TCP takes so much, each way, on connections that either end began."""
    for where, address in (("correspondent", HOME), ("node", ADDRESS)):
        told = result(tunnel.start(where, "upload", address, 9, octets))
        assert told["octets"] == octets, where
    return True


@pytest.mark.parametrize("way", ["udp4", "udp6"])
def test_programs_talk_both_ways(driven, way):
    tunnel = driven.tunnel
    endpoint = driven.bind(way)
    outer = IPv6Address(endpoint[:16])
    assert str(outer.ipv4_mapped or outer) == ("192.0.2.1" if way == "udp4" else tunnel.care_of)
    tunnel.serve("node", "udp_echo", HOME, 7)
    tunnel.serve("node", "sink", HOME, 9)
    tunnel.serve("correspondent", "sink", ADDRESS, 9)
    for octets in (16, 1200):
        told = result(tunnel.start("correspondent", "udp", HOME, 7, 10, 0.05, octets))
        assert told["received"] >= 8, (octets, told)
        assert told["sources"] == [HOME]
    for where, address in (("correspondent", HOME), ("node", ADDRESS)):
        assert result(tunnel.start(where, "ping", address, 10, 0.05))["received"] >= 8
    assert carries_tcp(tunnel, 3_000_000)
    counted = driven.counters()["packets"]
    assert counted["delivered"] > 2000 and counted["sent"] > 2000
    # The kernel asks for routers on the device; nothing else is lost.
    lost = sum(counted.values()) - sum(counted[one] for one in ("delivered", "sent", "not served"))
    assert lost == 0, counted
    driven.driver.end()


@pytest.mark.parametrize(("way", "octets"), [("udp6", 1280), ("udp4", 1400), ("udp4", 1290)])
def test_a_narrow_way_is_found_out(driven, way, octets):
    """Where a link is narrow TCP gets smaller, and what every link takes passes all the same."""
    tunnel = driven.tunnel
    driven.bind(way)
    tunnel.serve("node", "udp_echo", HOME, 7, 16)
    tunnel.serve("node", "sink", HOME, 9)
    tunnel.serve("correspondent", "sink", ADDRESS, 9)
    tunnel.narrow(octets)
    assert carries_tcp(tunnel)
    for length in (16, 1232):  # 1232: a packet of 1280 octets
        told = result(tunnel.start("correspondent", "udp", HOME, 7, 10, 0.05, length))
        assert told["received"] >= 8, (length, told)
    counted = driven.counters()["packets"]
    assert counted["too big"] >= 1 and counted["fragment"] == 0, counted
    # In the next network the way is as wide as ever.
    tunnel.narrow(1500)
    driven.bind(way)
    assert carries_tcp(tunnel)
    assert driven.counters()["packets"]["too big"] == counted["too big"]
    driven.driver.end()
