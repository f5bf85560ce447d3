"""Router Advertisements: octets against scapy, answers to solicitations."""

import pytest
from scapy.layers.inet6 import (
    ICMPv6ND_RA,
    ICMPv6NDOptAdvInterval,
    ICMPv6NDOptMTU,
    ICMPv6NDOptPrefixInfo,
    ICMPv6NDOptSrcLLAddr,
)

from roamkey.lab.advertise import Advertisement
from roamkey.lab.network import Network

MAC = "02:00:00:00:00:09"


def test_octets_agree_with_scapy():
    ours = Advertisement(prefix="2001:db8:1::/64", mac=MAC, interval=2.5).encode()
    theirs = (
        ICMPv6ND_RA(chlim=64, prf=0, routerlifetime=1800, cksum=0)
        / ICMPv6NDOptSrcLLAddr(lladdr=MAC)
        / ICMPv6NDOptMTU(mtu=1500)
        / ICMPv6NDOptPrefixInfo(
            prefix="2001:db8:1::",
            prefixlen=64,
            L=1,
            A=1,
            R=0,
            validlifetime=86400,
            preferredlifetime=14400,
        )
        / ICMPv6NDOptAdvInterval(advint=2500)
    )
    assert ours == bytes(theirs)


@pytest.mark.lab
def test_the_first_solicitation_is_answered_after_every_move():
    with Network(advertisement_interval=1000) as network:
        for lan in ("visited1", "visited2", "home") * 10:
            network.move("board", "wlan0", lan, dad=False)
            assert network.wait_for_address("board", "wlan0", lan, timeout=30)


@pytest.mark.lab
def test_advertisements_come_unasked():
    with Network(advertisement_interval=0.2) as network:
        network.attach("board", "wlan0", "visited1", dad=False)
        network.wait_for_address("board", "wlan0", "visited1")
        board = network.namespace("board")
        board.set_ipv6("wlan0", router_solicitations=0)
        network.move("board", "wlan0", "visited2", dad=False)
        assert network.wait_for_address("board", "wlan0", "visited2", timeout=30)
