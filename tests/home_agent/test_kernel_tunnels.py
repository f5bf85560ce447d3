"""The kernel's tunnels: how they are chosen, what comes out of them, what stays of them."""

import os
import re
import signal
import socket
import subprocess
import threading
import time
from ipaddress import IPv6Address
from pathlib import Path

import pytest
from support.home_network import AGENT_TEXT, Agent, Home, node_of, ping

from mip6 import packets
from roamkey.home_agent.tunnel import device, vetted
from roamkey.home_agent.tunnel.forward import split
from roamkey.lab.lans import CORRESPONDENT_ADDRESS
from roamkey.waiting import until

pytestmark = [pytest.mark.lab, pytest.mark.timeout(180)]

OURS = IPv6Address(AGENT_TEXT)
CN = IPv6Address(CORRESPONDENT_ADDRESS).packed
NAME = device.name_of(OURS)


def run(namespace, *command):
    """Standard output of a command that succeeds there."""
    process = namespace.popen(command, stdout=subprocess.PIPE, text=True)
    out, _ = process.communicate(timeout=30)
    assert process.returncode == 0, command
    return out


def state_of(namespace):
    """Devices, routes and rules, but for what changes by itself."""
    told = (
        run(namespace, "ip", "-o", "link"),
        run(namespace, "ip", "-6", "route", "show", "table", "all"),
    )
    lines = "".join((*told, run(namespace, "ip", "-6", "rule"))).splitlines()
    kept = [one for one in lines if "ip6tnl0" not in one and "anycast" not in one]
    return sorted(re.sub(r"expires \d+sec|^\d+: ", "", one) for one in kept)


def inner(source, text, destination=CN):
    datagram = packets.udp(source, destination, 5, 7, text)
    return packets.ipv6_header(source, destination, packets.UDP, len(datagram)) + datagram


def children(pid):
    return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@pytest.fixture
def home(lab_network, scene):
    return Home(lab_network, scene, "kernel")


@pytest.fixture
def hearing(lab_network):
    one = lab_network.namespace("correspondent").socket(socket.AF_INET6, socket.SOCK_DGRAM)
    one.bind((CORRESPONDENT_ADDRESS, 7))
    one.settimeout(20)
    return one


def test_without_them_the_device_is_taken_and_they_are_refused(lab_network, scene):
    agent = Agent(lab_network, scene.path, None)
    facts = agent.start()["data_plane"]
    if facts["plane"] == "kernel":
        pytest.skip("this host's kernel has tunnels")
    assert facts["plane"] == "tun" and "kernel" in facts["why"]
    print(facts["why"])
    assert agent.end()[0] == 0
    agent.plane = "kernel"
    with pytest.raises(AssertionError, match=r"no data plane: .*kernel"):
        agent.start()
    assert agent.process.wait(30) == 5


@pytest.mark.kernel
def test_they_are_taken_where_they_are_and_a_binding_ends_with_its_time(lab_network, scene):
    home = Home(lab_network, scene, None)
    away, agent = home.away, home.agent.namespace
    facts = home.ready["data_plane"]
    assert (facts["plane"], facts["why"]) == ("kernel", "the kernel has tunnels, and checks them")

    def bound():
        return home.plane().get("kernel", {}).get("bindings")

    away.open("native")
    assert away.register(lifetime=2).status == 0  # eight seconds
    assert until(lambda: bound() == 1, 10)
    assert home.text in run(agent, "ip", "-6", "route", "show", "dev", NAME)
    assert ping(lab_network, "correspondent", home.text) == 3
    assert until(lambda: bound() == 0, 30)
    assert home.text not in run(agent, "ip", "-6", "route", "show", "dev", NAME)
    assert ping(lab_network, "correspondent", home.text, count=1) == 0
    assert away.register().status == 0
    assert until(lambda: bound() == 1, 10)
    scene.registry.retire(home.node.home)
    assert until(lambda: bound() == 0, 30)
    assert home.agent.end()[0] == 0
    assert NAME not in agent.interfaces()


@pytest.mark.kernel
def test_the_kernel_itself_ends_a_binding(lab_network):
    """By the program: whoever should have taken it away is gone."""
    namespace = lab_network.namespace("correspondent")
    made = namespace._there(vetted.Vetted, IPv6Address(CORRESPONDENT_ADDRESS), 1000)
    home = IPv6Address("2001:db8:a::1").packed
    packet = inner(CN, b"out", home)
    program = vetted.ebpf.Program(made.outward)
    passed = []
    for until_ms in (1, int(time.clock_gettime(time.CLOCK_BOOTTIME) * 1000) + 60_000):
        made.put(home, CN, until_ms)
        passed.append(program.run(packet))
    made.remove(home)
    passed.append(program.run(packet))
    assert passed == [2, 0, 2]  # TC_ACT_SHOT, TC_ACT_OK
    assert dict(zip(vetted.DROPS, made.drops(), strict=True)) == {
        "no binding": 1, "destination": 0, "not served": 1, "of the link": 0, "failed": 0,
    }  # fmt: skip
    made.close()


@pytest.mark.kernel
def test_what_comes_out_is_what_a_bound_node_sent(home, hearing):
    """In fragments too; not what is of the link; two nodes at one care-of address."""
    network, away, node = home.network, home.away, home.node
    other = node_of(home.scene, 0x78)
    away.open("native")
    assert away.register().status == 0
    care_of = IPv6Address(away.care_of).packed

    def drops(name):
        return home.packets().get(name, 0)

    for to in ("ff02::1", "fe80::1"):
        away.peer.say(tunnel=inner(node.home, b"link", IPv6Address(to).packed).hex())
    assert until(lambda: drops("destination") == 2, 20)
    network.attach("stranger", "eth0", "visited1", dad=False)
    network.wait_for_address("stranger", "eth0", "visited1")
    long = bytes(1300)
    with network.namespace("stranger").socket(socket.AF_INET6, socket.SOCK_RAW, 44) as one:
        for fragment in split(inner(node.home, long), 1280, 7):
            one.sendto(fragment, (AGENT_TEXT, 0))
        first, second = split(inner(node.home, long), 1280, 8)
        one.sendto(first[:8] + first[8:16], (AGENT_TEXT, 0))  # no inner source yet
        one.sendto(second, (AGENT_TEXT, 0))
    assert until(lambda: drops("no binding") == 1, 20)
    with network.namespace("board").socket(socket.AF_INET6, socket.SOCK_RAW, 44) as one:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"wlan0\0")
        one.bind((away.care_of, 0))
        for fragment in split(inner(node.home, long), 1280, 9):
            one.sendto(fragment, (AGENT_TEXT, 0))
    assert hearing.recvfrom(4000)[0] == long
    away.peer.say(tunnel=inner(other.home, b"too early").hex())
    away.peer.say(send=other.update(0, care_of).payload.hex())
    other_text = str(IPv6Address(other.home))
    while home.agent.event("accepted")["home_address"] != other_text:
        pass
    assert until(lambda: home.plane()["kernel"]["bindings"] == 2, 20)
    away.peer.say(tunnel=inner(other.home, b"other").hex())
    data, source = hearing.recvfrom(4000)
    assert (data, source[0]) == (b"other", other_text)
    assert until(lambda: drops("no binding") == 2, 20)
    assert home.agent.end()[0] == 0


@pytest.mark.kernel
def test_a_connection_lives_through_moves(home):
    network, away = home.network, home.away
    away.open("native")
    assert away.register().status == 0
    listening = network.namespace("board").socket(socket.AF_INET6, socket.SOCK_STREAM)
    listening.bind((home.text, 7001))
    listening.listen()
    one = network.namespace("correspondent").socket(socket.AF_INET6, socket.SOCK_STREAM)
    one.settimeout(60)
    one.connect((home.text, 7001))
    there, _ = listening.accept()
    there.settimeout(60)
    ended = threading.Event()
    sent = 0

    def send():
        nonlocal sent
        while not ended.is_set():
            sent += one.send(bytes(1000))
            time.sleep(0.002)
        one.shutdown(socket.SHUT_WR)

    sending = threading.Thread(target=send, daemon=True)
    sending.start()
    for lan in ("visited2", "visited1", "visited2"):
        assert there.recv(4000)
        away.join(lan)
        away.open("native")
        assert away.register().status == 0
        time.sleep(0.5)
    ended.set()
    received = len(there.recv(1))
    while octets := there.recv(1 << 16):
        received += len(octets)
    sending.join(30)
    assert received > 20_000 and sent >= received
    facts = home.plane()["kernel"]
    assert (facts["failures"], facts["mended"]) == (0, 0)
    assert home.agent.end()[0] == 0


@pytest.mark.kernel
def test_others_tunnels_routes_and_rules_stay(lab_network, scene):
    """One of the very address that we serve, too; after the end, and after kill -9."""
    home = Home(lab_network, scene, "kernel")
    agent, network = home.agent.namespace, home.network
    assert home.agent.end()[0] == 0
    network.attach("branch", "eth0", "visited2", dad=False)
    branch = network.namespace("branch")
    there = network.wait_for_address("branch", "eth0", "visited2")
    for namespace, local, remote, own in (
        (agent, AGENT_TEXT, there, "fd00:f::1"), (branch, there, AGENT_TEXT, "fd00:f::2"),
    ):  # fmt: skip
        ends = ("local", local, "remote", remote, "encaplimit", "none")
        run(namespace, "ip", "link", "add", "branch0", "type", "ip6tnl", *ends)
        run(namespace, "ip", "link", "set", "branch0", "up")
        namespace.add_address("branch0", f"{own}/64")
    run(
        agent,
        "ip",
        "-6",
        "route",
        "add",
        "2001:db8:a::77",
        "dev",
        "branch0",
        "metric",
        "4000",
        "proto",
        "99",
    )
    run(agent, "ip", "-6", "rule", "add", "from", "fd00:f::/64", "lookup", "main", "pref", "77")
    assert ping(network, "branch", "fd00:f::1") == 3
    before = state_of(agent)
    for kill in (False, True):
        assert home.agent.start()["data_plane"]["plane"] == "kernel"
        home.away.open("native")
        assert home.away.register().status == 0
        assert ping(network, "correspondent", home.text) == 3
        assert ping(network, "branch", "fd00:f::1") == 3
        if kill:
            home.agent.process.kill()
            home.agent.process.wait(30)
        else:
            assert home.agent.end()[0] == 0
        assert until(lambda: state_of(agent) == before, 15), (state_of(agent), before)
        assert ping(network, "branch", "fd00:f::1") == 3
    run(agent, "ip", "link", "add", "theirs", "type", "ip6tnl", "external")
    home.agent.plane = "tun"
    assert home.agent.start()["data_plane"]["plane"] == "tun"
    assert home.agent.end()[0] == 0
    home.agent.plane = None
    facts = home.agent.start()["data_plane"]
    assert facts["plane"] == "tun" and "another device takes the tunnels" in facts["why"]
    assert home.agent.end()[0] == 0
    assert "theirs" in agent.interfaces()


@pytest.mark.kernel
def test_what_was_taken_away_is_put_back_and_what_was_left_behind_goes(home):
    network, away, agent = home.network, home.away, home.agent
    away.open("native")
    assert away.register().status == 0
    for how in (
        ("ip", "link", "del", NAME),
        ("tc", "qdisc", "del", "dev", NAME, "clsact"),
        ("ip", "link", "set", NAME, "down"),
        ("ip", "link", "set", NAME, "mtu", "1400"),
        ("ip", "-6", "route", "del", home.text, "dev", NAME),
    ):
        run(agent.namespace, *how)
        assert until(
            lambda: (
                home.text in routes_of(agent.namespace)
                and device_has_programs(agent.namespace)
                and ping(network, "correspondent", home.text, count=1)
            ),
            40,
        ), how
    (plane,) = children(agent.process.pid)
    (guard,) = children(plane)
    for pid in (guard, plane, agent.process.pid):  # as a service that is killed as a whole
        os.kill(pid, signal.SIGKILL)
    agent.process.wait(30)
    assert NAME in agent.namespace.interfaces()
    assert agent.start()["data_plane"]["plane"] == "kernel"
    assert until(lambda: ping(network, "correspondent", home.text, count=1), 20)
    assert agent.end()[0] == 0
    assert NAME not in agent.namespace.interfaces()


def routes_of(namespace):
    """Nothing where the device is away."""
    command = ["ip", "-6", "route", "show", "dev", NAME]
    process = namespace.popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    return process.communicate(timeout=30)[0]


def device_has_programs(namespace):
    there = NAME in namespace.interfaces()
    return there and namespace._there(device.is_whole, namespace.index(NAME), 1460)
