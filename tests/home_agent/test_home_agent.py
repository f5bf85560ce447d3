"""The home agent at work, on the laboratory's home link: real kernels, sockets and neighbours."""

import json
import os
import signal
import socket
import time
from ipaddress import IPv6Address
from pathlib import Path

import pytest
from json_output import checked
from support.home_network import (
    AGENT_TEXT,
    Agent,
    Home,
    against_tunnel,
    connect_ipv4,
    node_of,
    ping,
)
from support.homes import AGENT

from mip6 import messages, packets
from roamkey.home_agent.tunnel import neighbours
from roamkey.lab.lans import CORRESPONDENT_ADDRESS
from roamkey.waiting import until

_TENTATIVE, _DADFAILED = 0x40, 0x08  # linux/if_addr.h

pytestmark = [pytest.mark.lab, pytest.mark.timeout(180)]


@pytest.fixture(params=["tun", pytest.param("kernel", marks=pytest.mark.kernel)])
def plane(request):
    """Either data plane: the kernel's runs where a kernel has it."""
    return request.param


@pytest.fixture
def home(lab_network, scene, plane):
    return Home(lab_network, scene, plane)


def test_reached_from_anywhere_and_back(home):
    """Registration, tunnel, moves, de-registration."""
    away, network = home.away, home.network
    assert home.ready["data_plane"]["mtu"] == 1460
    away.open("native")
    began = time.monotonic()
    assert away.register().status == 0
    assert 1.0 <= time.monotonic() - began < 5.0, "duplicate address detection"
    assert ping(network, "correspondent", home.text) == 3
    assert ping(network, "board", CORRESPONDENT_ADDRESS) == 3
    (row,) = checked(
        "home-agent-bindings", home.agent.ask("bindings", "--registry", str(home.scene.path))
    )
    assert (row["care_of_address"], row["home_agent"]) == (away.care_of, AGENT_TEXT)
    away.join("visited2")
    away.open("native")
    began = time.monotonic()
    assert away.register().status == 0
    assert time.monotonic() - began < 0.9, "no detection: the address is held"
    assert ping(network, "correspondent", home.text) == 3
    for octets in (1232, 1400, 1413, 4000):
        assert ping(network, "correspondent", home.text, octets) >= 2, octets
        assert ping(network, "board", CORRESPONDENT_ADDRESS, octets) >= 2, octets
    assert away.register(lifetime=0).status == 0
    assert ping(network, "correspondent", home.text, count=1) == 0
    code, out, err = home.agent.end()
    assert (code, err) == (0, "")


@pytest.mark.parametrize("way", ["udp6", "udp4"])
def test_inside_udp(home, way):
    """Over IPv6, and over IPv4 from behind a NAT: reached at the home address all the same."""
    away, network = home.away, home.network
    outer = connect_ipv4(home) if way == "udp4" else None
    away.open(way, outer)
    assert away.register().status == 0
    (row,) = json.loads(home.agent.bindings())
    assert row["way"] == way and (row["endpoint"][0] == "[") == (way == "udp6")
    for octets in (56, 1232, 1400, 4000):
        assert ping(network, "correspondent", home.text, octets, 5) >= 3, octets
        assert ping(network, "board", CORRESPONDENT_ADDRESS, octets, 5) >= 3, octets
    assert ping(network, "board", AGENT_TEXT) == 3, "the home agent itself"
    # The NAT forgets: another port, of which data tell the home agent nothing it believes.
    away.open(way, outer)
    ping(network, "board", CORRESPONDENT_ADDRESS, count=1)
    error = messages.decode(bytes.fromhex(away.peer.hear("came")))
    assert (error.kind, error.status) == (messages.BINDING_ERROR, messages.UNKNOWN_BINDING)
    assert away.register().status == 0
    assert ping(network, "correspondent", home.text) == 3
    away.join("visited2")
    away.open("native")
    assert away.register().status == 0
    assert ping(network, "correspondent", home.text) == 3
    code, _, err = home.agent.end()
    assert (code, err) == (0, "")


@pytest.mark.parametrize(("way", "least"), [("native", 1280), ("udp6", 1400), ("udp4", 1400)])
def test_a_narrow_way_is_found_out(lab_network, scene, plane, way, least):
    """A router on the way to the node says so to the home agent; senders are told by that. (Inside
    UDP what the node sends may not come in fragments.)"""
    home = Home(lab_network, scene, plane, mtu=1340)
    away, network = home.away, home.network
    outer = connect_ipv4(home) if way == "udp4" else None
    away.open(way, outer)
    assert away.register().status == 0
    for name, interface in (("router", "visited1"), (away.name, away.uplink)):
        namespace = network.namespace(name)
        namespace._ask("link", "set", index=namespace.index(interface), mtu=least)
    for octets in (1400, 1232, 2000):  # 1232: a packet of 1280 octets, which every way must take
        assert ping(network, "correspondent", home.text, octets, 8) >= 4, octets
    assert home.agent.end()[0] == 0


def test_a_neighbour_that_has_the_address(home):
    """Duplicate address detection finds it: status 134, and no binding."""
    network = home.network
    network.attach("squatter", "eth0", "home", dad=False)
    network.namespace("squatter").add_address("eth0", f"{home.text}/64")
    home.away.open("native")
    assert home.away.register().status == messages.DUPLICATE_ADDRESS
    assert home.agent.event("refused")["reason"] == "duplicate address"
    assert ping(network, "correspondent", home.text) == 3, "the squatter"
    assert home.agent.end()[0] == 0


def _settled(namespace, text):
    """What became of an address that a host wants: "taken", "here", None: not known yet."""
    (found,) = [
        one
        for one in namespace._ask("get_addr", family=socket.AF_INET6)
        if one.get_attr("IFA_ADDRESS") == text
    ]
    flags = found.get_attr("IFA_FLAGS") or found["flags"]
    if flags & _DADFAILED:
        return "taken"
    return None if flags & _TENTATIVE else "here"


def test_the_address_is_defended_while_the_binding_stands(home):
    network, away = home.network, home.away
    network.attach("squatter", "eth0", "home")
    squatter = network.namespace("squatter")
    network.wait_for_address("squatter", "eth0", "home")
    away.open("native")
    assert away.register().status == 0

    def claim():
        """Whether the address turned out to be taken."""
        where = {"index": squatter.index("eth0"), "address": home.text, "prefixlen": 64}
        squatter._ask("addr", "add", **where)
        state = until(lambda: _settled(squatter, home.text), 5)
        squatter._ask("addr", "del", **where)
        assert state is not None
        return state == "taken"

    squatter.set_ipv6("eth0", accept_dad=1, dad_transmits=1)
    assert claim(), "it was told that the address is taken"
    assert ping(network, "squatter", home.text) == 3, "a neighbour reaches the node"
    assert away.register(lifetime=0).status == 0
    assert not claim()
    assert home.agent.end()[0] == 0


def test_returning_home(home):
    """De-registration from the home address itself, answered on the home link."""
    network, away, node = home.network, home.away, home.node
    away.open("native")
    assert away.register().status == 0
    away.peer.end()
    network.attach("board", "wlan0", "home", dad=False)
    board = network.namespace("board")
    board.add_address("wlan0", f"{home.text}/64")
    with board.socket(socket.AF_INET6, socket.SOCK_RAW, packets.MOBILITY) as one:
        one.bind((home.text, 0))
        one.settimeout(20)
        update = node.update(1, node.home, lifetime=0, away=False)
        one.sendto(update.payload, (AGENT_TEXT, 0))
        header = one.recv(2048)
    assert (messages.decode(header).status, header[2]) == (0, messages.BINDING_ACKNOWLEDGEMENT)
    assert until(lambda: ping(network, "correspondent", home.text, count=1) or None, 60)
    assert home.agent.end()[0] == 0


def _device(home):
    return [name for name in home.agent.namespace.interfaces() if name.startswith("roamkey")]


def test_nothing_stays_after_kill_and_all_goes_on_after_a_start(home):
    network, away = home.network, home.away
    away.open("native")
    assert away.register().status == 0
    home.agent.process.send_signal(signal.SIGKILL)
    home.agent.process.wait(30)
    assert until(lambda: not _device(home) or None, 10)
    assert ping(network, "correspondent", home.text, count=1) == 0
    assert home.agent.start()["bindings"] == 1
    assert until(lambda: ping(network, "correspondent", home.text) == 3 or None, 20)
    assert away.register().status == 0
    assert home.agent.end()[0] == 0
    assert not _device(home)


def test_a_tunnel_process_that_ends_is_followed_by_another(home):
    """And that one holds the addresses again; who registers meanwhile waits for it."""
    network, away = home.network, home.away
    away.open("native")
    assert away.register().status == 0
    pid = home.agent.process.pid
    (plane,) = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    os.kill(int(plane), signal.SIGKILL)
    assert "no data plane" in home.agent.event("trouble")["detail"]
    other = node_of(home.scene, 0x78)
    first = other.update(0, IPv6Address(away.care_of).packed)
    away.peer.say(send=first.payload.hex())
    assert until(lambda: ping(network, "correspondent", home.text) == 3 or None, 30)
    while home.agent.event("accepted")["home_address"] != str(IPv6Address(other.home)):
        pass
    assert home.agent.end()[0] == 0


def test_forged_packets_pass_nowhere(home):
    """Through the tunnel from elsewhere, or with another source inside; registrations."""
    network, away, node = home.network, home.away, home.node
    other = node_of(home.scene, 0x78)
    away.open("native")
    assert away.register().status == 0
    cn = IPv6Address(CORRESPONDENT_ADDRESS).packed
    hearing = network.namespace("correspondent").socket(socket.AF_INET6, socket.SOCK_DGRAM)
    hearing.bind((CORRESPONDENT_ADDRESS, 7))
    hearing.settimeout(20)

    def inner(source, text):
        datagram = packets.udp(source, cn, 5, 7, text)
        return packets.ipv6_header(source, cn, packets.UDP, len(datagram)) + datagram

    network.attach("stranger", "eth0", "visited1", dad=False)
    network.wait_for_address("stranger", "eth0", "visited1")
    with network.namespace("stranger").socket(socket.AF_INET6, socket.SOCK_RAW, 41) as one:
        for _ in range(100):
            one.sendto(inner(node.home, b"forged"), (AGENT_TEXT, 0))
    for source in (other.home, cn, AGENT):
        away.peer.say(tunnel=inner(source, b"forged").hex())
    good = node.update(7, IPv6Address(away.care_of).packed)
    with network.namespace("stranger").socket(socket.AF_INET6, socket.SOCK_RAW, 60) as one:
        for at in range(packets.EXTENSION_OCTETS + 6, len(good.payload)):
            forged = bytearray(good.payload)
            forged[at] ^= 1
            header = bytes(forged[packets.EXTENSION_OCTETS :])
            header = messages.with_checksum(header, node.home, AGENT)
            one.sendto(good.payload[: packets.EXTENSION_OCTETS] + header, (AGENT_TEXT, 0))
    away.peer.say(tunnel=inner(node.home, b"good").hex())
    data, source = hearing.recvfrom(100)
    assert (data, source[0]) == (b"good", home.text)
    assert until(lambda: home.packets().get("no binding", 0) == 103 or None, 20)
    (facts,) = checked("home-agent-status", home.agent.ask("status"))
    assert facts["packets"]["accepted"] == 1 and facts["bindings"] == 1
    checked("home-agent-drops", home.agent.ask("drops"))
    assert home.agent.end()[0] == 0


def test_nothing_comes_out_of_the_tunnel_that_the_node_did_not_send(lab_network, tmp_path, plane):
    tally = against_tunnel(5_000, lab_network, tmp_path / "tunnel.sqlite", plane)
    assert (tally["believed"], tally["crashes"]) == (0, 0), tally
    assert tally["reasons"]["no binding"] > 2_000
    if plane == "tun":  # else they are the kernel's to drop
        assert {"truncated", "length", "version"} <= set(tally["reasons"]), tally


def test_neighbours_are_told_and_answered(home):
    """What goes over the home link: the detection, three advertisements, an answer."""
    network = home.network
    network.attach("witness", "eth0", "home", dad=False)
    witness = network.namespace("witness")
    seen = witness.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(0x86DD))
    seen.setsockopt(263, 1, witness.index("eth0").to_bytes(4, "little") + b"\x02" + bytes(11))
    seen.settimeout(0.2)
    home.away.open("native")
    assert home.away.register().status == 0
    found = []

    def gather():
        try:
            packet, (_, _, kind, _, _) = seen.recvfrom(2048)
        except TimeoutError:
            return None
        told = neighbours.read(packet)
        if told is not None and told.target == home.node.home and kind != 4:
            found.append((told, packet))
        return len([one for one, _ in found if one.kind == neighbours.ADVERTISEMENT]) >= 3 or None

    assert until(gather, 20)
    detection = [one for one, _ in found if one.detects]
    assert len(detection) == 1 and len(detection[0].nonce) == 6
    for one, packet in found:
        if one.kind == neighbours.ADVERTISEMENT:
            assert packet[24:40] == neighbours.ALL_NODES
            assert packet[44] == 0x20, "override, and neither router nor solicited"
    assert home.agent.end()[0] == 0


def test_a_host_that_forwards_nothing_is_told(lab_network, scene):
    agent = Agent(lab_network, scene.path)
    agent.namespace.set_ipv6("all", forwarding=0)
    with pytest.raises(AssertionError, match=r"net\.ipv6\.conf\.all\.forwarding=1"):
        agent.start()
    assert agent.process.wait(30) == 5


@pytest.mark.parametrize(
    ("more", "line"),
    [
        (["--home-link", "eth7"], "no interface 'eth7'"),
        (["--home-prefix", "2001:db8:a::"], "is no prefix for home addresses"),
        (["--home-prefix", "nonsense/64"], "is no prefix for home addresses"),
    ],
)
def test_bad_input_is_one_line(lab_network, scene, more, line):
    agent = Agent(lab_network, scene.path)
    with pytest.raises(AssertionError, match=line) as caught:
        agent.start(*more)
    assert len(str(caught.value).strip().splitlines()) == 1
