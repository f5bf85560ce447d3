"""Programs on the correspondent's host and a node that moves, over the data plane."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from ipaddress import IPv6Address
from pathlib import Path

import pytest
from support.daemons import ADDRESS, CLI, Daemon, Visitor, plane_of, run_cli
from support.roaming import HOME, Roaming, need_tun, result

from mip6 import packets
from roamkey.correspondent.dataplane import client, inkernel, tun, xfrm
from roamkey.correspondent.dataplane.table import GRACE_MS
from roamkey.waiting import until

pytestmark = [pytest.mark.lab, pytest.mark.timeout(120)]

NFT = shutil.which("nft", path="/usr/sbin:/sbin:/usr/bin")
PARAMETER_PROBLEM = 4


@pytest.fixture(params=["tun", pytest.param("kernel", marks=pytest.mark.kernel)])
def plane(request):
    """Either data plane: the kernel's runs where a kernel has it."""
    need_tun()
    return request.param


@pytest.fixture
def roaming(lab_network, scene, tmp_path, plane):
    with Roaming(lab_network, scene, tmp_path, plane) as made:
        yield made


def run(network, node, *command):
    """Standard output of a command in a node's namespace."""
    process = network.spawn(
        node, command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    return process.communicate(timeout=30)[0]


def routes(network):
    """Destinations of the routes of ours in the correspondent's namespace."""
    found = network.namespace("correspondent")._ask("get_routes", family=socket.AF_INET6)
    return [route.get_attr("RTA_DST") for route in found if route["proto"] == 107]


def states(network):
    """Of home addresses, and policies, that are in the correspondent's kernel."""
    namespace = network.namespace("correspondent")
    if namespace._there(inkernel.refusal) is not None:
        return []
    ours = socket.inet_pton(socket.AF_INET6, ADDRESS)
    return namespace._there(inkernel.found, ours)


def bound(visitor, node, update):
    """Exchange it, and wait until data pass: after the acknowledgement the kernel is told."""
    visitor.exchange(node, update)
    time.sleep(0.5)


def wait_until(true):
    assert until(true, 30.0)


def test_a_connection_outlives_five_moves(roaming):
    """ping, UDP and an HTTP download of 50 MB at once, by programs that know nothing of it."""
    url, digest = roaming.serve_file(50_000_000)
    roaming.serve("udp_echo", HOME, 7)
    downloading = roaming.start("correspondent", "download", url, 8_000_000)
    echoing = roaming.start("correspondent", "udp", HOME, 7, 200, 0.03)
    pinging = roaming.start("correspondent", "ping", HOME, 200, 0.03)
    for _ in range(5):
        roaming.move()
    downloaded = result(downloading)
    assert (downloaded["octets"], downloaded["sha256"]) == (50_000_000, digest)
    echoed = result(echoing)
    assert echoed["sources"] == [HOME]
    # Lost is what was under way, or came between leaving a network and being bound in the next.
    assert echoed["received"] >= 80
    assert result(pinging)["received"] >= 80


def test_ping_as_it_comes_with_the_system(roaming):
    ping = shutil.which("ping")
    if ping is None:
        pytest.skip("needs ping (Debian, Ubuntu: apt install iputils-ping)")
    out = run(roaming.network, "correspondent", ping, "-6", "-c", "3", "-i", "0.1", HOME)
    assert " 0% packet loss" in out, out
    assert f"bytes from {HOME}" in out


def test_packets_of_every_length_pass(roaming):
    """The device's MTU leaves room for the 24 octets; what is longer goes in fragments."""
    assert roaming.ready["data_plane"]["mtu"] == 1476
    roaming.serve("udp_echo", HOME, 7)
    for octets in (16, 1428, 1429, 4000, 60_000):
        told = result(roaming.start("correspondent", "udp", HOME, 7, 5, 0.05, octets))
        assert told["received"] == 5, (octets, told)


def test_a_narrow_way_is_found_out(roaming):
    """A router on the way answers Packet Too Big; TCP and fragments get smaller."""
    network = roaming.network
    roaming.serve("sink", HOME, 9)
    roaming.serve("udp_echo", HOME, 7)
    roaming.serve("udp_echo", HOME, 8, 16)
    for name, interface in (("router", "visited1"), (roaming.node.name, roaming.node.uplink)):
        namespace = network.namespace(name)
        namespace._ask("link", "set", index=namespace.index(interface), mtu=1280)
    told = result(roaming.start("correspondent", "upload", HOME, 9, 1_000_000))
    assert told["octets"] == 1_000_000
    for port, octets in ((7, 16), (7, 1232), (8, 2000)):  # 1232: a packet of 1280 octets
        told = result(roaming.start("correspondent", "udp", HOME, port, 10, 0.05, octets))
        assert told["received"] >= 8, octets
    # In the next network the way is as wide as ever, and the kernel isn't told of the old one.
    assert route_mtu(network) == 1280
    roaming.move()
    wait_until(lambda: route_mtu(network) != 1280)


def route_mtu(network):
    """What the correspondent's kernel knows of the way to the home address, or None."""
    namespace = network.namespace("correspondent")
    (route,) = namespace._ask("get_routes", family=socket.AF_INET6, dst=HOME)
    metrics = route.get_attr("RTA_METRICS")
    return metrics and metrics.get_attr("RTAX_MTU")


def test_routes_follow_the_bindings(lab_network, scene, plane):
    first, second = scene.node(0x100), scene.node(0x200)
    daemon = Daemon(lab_network, scene.path, data_plane=plane)
    facts = daemon.ready()["data_plane"]
    assert (facts["interface"], facts["plane"], facts["why"]) == ("roamkey0", plane, "asked for")
    visitor = Visitor(lab_network, "visited1")
    assert routes(lab_network) == []
    visitor.exchange(first, first.update(0, visitor.address))
    visitor.exchange(second, second.update(0, visitor.address, lifetime=1))  # four seconds
    both = ["2001:db8:a::100", "2001:db8:a::200"]
    wait_until(lambda: sorted(routes(lab_network)) == both)
    wait_until(lambda: routes(lab_network) == both[:1])
    visitor.exchange(first, first.update(1, visitor.address, lifetime=0), removes=True)
    wait_until(lambda: routes(lab_network) == [])
    visitor.exchange(first, first.update(2, visitor.address))
    assert daemon.end()[0] == 0
    assert routes(lab_network) == []
    daemon = Daemon(lab_network, scene.path, data_plane=plane)
    assert daemon.ready()["bindings"] == 1
    wait_until(lambda: routes(lab_network) == both[:1])
    assert daemon.end()[0] == 0


def data_of(node, option=None):
    """A UDP datagram of a node to port 7, from its first extension header on."""
    option = option or packets.home_address_option(node.home, packets.UDP)
    return option + packets.udp(node.home, node.correspondent, 5, 7, b"data")


def test_data_under_way_when_a_node_moves_are_taken_for_a_moment(lab_network, scene, plane):
    """From where it was bound before, under the same key, and from nowhere else; not for long."""
    node = scene.node(0x100)
    daemon = Daemon(lab_network, scene.path, data_plane=plane)
    daemon.ready()
    before = Visitor(lab_network, "visited1")
    after = Visitor(lab_network, "visited1", "2001:db8:1::a", stays=True)
    never = Visitor(lab_network, "visited1", "2001:db8:1::bad", stays=True)
    program = lab_network.namespace("correspondent").socket(socket.AF_INET6, socket.SOCK_DGRAM)
    program.bind((ADDRESS, 7))
    program.settimeout(30)

    def send(visitor):
        visitor.sockets[packets.DESTINATION_OPTIONS].sendto(data_of(node), (ADDRESS, 0))

    def is_refused(visitor):
        send(visitor)
        _, error = visitor.receive(packets.MOBILITY)
        return (error[2], error[6], error[8:24]) == (7, 1, node.home)

    bound(before, node, node.update(0, before.address))
    bound(after, node, node.update(1, after.address))
    for visitor in (before, after, before):
        send(visitor)
        assert program.recvfrom(100)[0] == b"data"
    assert is_refused(never)
    time.sleep(GRACE_MS / 1000)
    assert is_refused(before)
    send(after)
    assert program.recvfrom(100)[0] == b"data"
    after.exchange(node, node.update(2, after.address, lifetime=0), removes=True)
    time.sleep(0.5)
    assert is_refused(before) and is_refused(after)  # at once, where there is no binding any more
    program.settimeout(0.5)
    with pytest.raises(TimeoutError):
        program.recvfrom(100)
    until(lambda: told(lab_network)["delivered"] == 4, 10)
    counted = told(lab_network)
    assert (counted["delivered"], counted["late"]) == (4, 2)
    assert daemon.end()[0] == 0


def told(network):
    """What `status` says of the data plane's packets."""
    code, out, _ = run_cli(network, "status", "--json")
    assert code == 0
    return json.loads(out)[0]["data_plane"]["packets"]


def test_data_are_believed_from_the_bound_address_alone(lab_network, scene, plane):
    node = scene.node(0x100)
    daemon = Daemon(lab_network, scene.path, data_plane=plane)
    daemon.ready()
    visitor = Visitor(lab_network, "visited1")
    program = lab_network.namespace("correspondent").socket(socket.AF_INET6, socket.SOCK_DGRAM)
    program.bind((ADDRESS, 7))
    program.settimeout(30)
    away = visitor.sockets[packets.DESTINATION_OPTIONS]

    away.sendto(data_of(node), (ADDRESS, 0))
    source, error = visitor.receive(packets.MOBILITY)
    assert (source, error[2], error[6], error[8:24]) == (ADDRESS, 7, 1, node.home)

    bound(visitor, node, node.update(0, visitor.address))
    away.sendto(data_of(node), (ADDRESS, 0))
    assert program.recvfrom(100)[:2][0] == b"data"
    # Another layout of the same header: Pad1 in place of PadN, and a header before it.
    odd = bytes((packets.UDP, 2, 0, 0, 0, 0, packets.HOME_ADDRESS_OPTION, 16)) + node.home
    away.sendto(data_of(node, odd), (ADDRESS, 0))
    assert program.recvfrom(100)[1][0] == "2001:db8:a::100"
    before = bytes((packets.DESTINATION_OPTIONS, 0, 1, 4, 0, 0, 0, 0))
    away.sendto(before + data_of(node), (ADDRESS, 0))
    assert program.recvfrom(100)[0] == b"data"

    # From another address than the bound one it is as if there were no binding.
    stranger = Visitor(lab_network, "visited2", "2001:db8:2::bad")
    for _ in range(50):
        stranger.sockets[packets.DESTINATION_OPTIONS].sendto(data_of(node), (ADDRESS, 0))
    stranger.receive(packets.MOBILITY, 30)
    answers = 1
    with pytest.raises(TimeoutError):
        while True:
            stranger.receive(packets.MOBILITY, 1)
            answers += 1
    assert answers <= 20, "Binding Errors are limited"
    program.settimeout(0.2)
    with pytest.raises(TimeoutError):
        program.recvfrom(100)
    code, out, _ = daemon.end()
    counters = json.loads(out.splitlines()[-1])["counters"]
    assert ["dropped", "no binding", 51] in counters and code == 0


def test_the_kernels_own_answers_are_suppressed(lab_network, scene, plane):
    node = scene.node(0x100)
    daemon = Daemon(lab_network, scene.path, data_plane=plane)
    warning = daemon.ready()["data_plane"]["warning"]
    if NFT is None and plane == "tun":
        assert "apt install nftables" in warning
        assert "nftables" in daemon.event("warning")["detail"]
        daemon.end()
        pytest.skip("needs nft (Debian, Ubuntu: apt install nftables)")
    assert warning is None
    visitor = Visitor(lab_network, "visited1")
    namespace = lab_network.namespace("board")
    hearing = namespace.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)
    visitor.exchange(node, node.update(0, visitor.address))
    visitor.sockets[packets.DESTINATION_OPTIONS].sendto(data_of(node), (ADDRESS, 0))
    hearing.settimeout(1)
    with pytest.raises(TimeoutError):
        while hearing.recv(2048)[0] != PARAMETER_PROBLEM:
            pass
    assert daemon.end()[0] == 0
    assert tables(lab_network) == ""


def tables(network):
    return run(network, "correspondent", NFT, "list", "tables") if NFT else ""


def test_nothing_stays_behind(lab_network, scene, plane):
    """After kill -9 of the daemon the data plane tidies up; after its own, the daemon does; after
    that of both, whatever outlives them."""
    node = scene.node(0x100)
    namespace = lab_network.namespace("correspondent")
    visitor = Visitor(lab_network, "visited1")

    def start(sequence):
        daemon = Daemon(lab_network, scene.path, data_plane=plane)
        daemon.ready()
        visitor.exchange(node, node.update(sequence, visitor.address))
        wait_until(lambda: routes(lab_network))
        assert bool(tables(lab_network)) == (bool(NFT) and plane == "tun")
        assert len(states(lab_network)) == (6 if plane == "kernel" else 0)
        return daemon

    def is_tidy():
        return "roamkey0" not in namespace.interfaces() and not states(lab_network)

    daemon = start(0)
    daemon.process.kill()
    daemon.process.wait(30)
    wait_until(lambda: is_tidy() and not tables(lab_network))

    daemon = start(1)
    os.kill(plane_of(daemon), signal.SIGKILL)
    assert daemon.event("trouble")["detail"].startswith("no data plane: it ")  # ended, or hung up
    assert daemon.end()[0] == 0
    assert is_tidy()
    assert not tables(lab_network)

    daemon = start(2)
    for pid in (daemon.process.pid, plane_of(daemon)):
        os.kill(pid, signal.SIGKILL)
    daemon.process.wait(30)
    wait_until(is_tidy)


@pytest.mark.kernel
def test_what_others_do_to_the_kernels_state_is_mended_and_theirs_stays(lab_network, scene):
    need_tun()
    node = scene.node(0x100)
    daemon = Daemon(lab_network, scene.path, data_plane="kernel")
    daemon.ready()
    namespace = lab_network.namespace("correspondent")
    visitor = Visitor(lab_network, "visited1")
    bound(visitor, node, node.update(0, visitor.address))
    whole = states(lab_network)
    assert len(whole) == 6
    other = IPv6Address("2001:db8:c::99").packed
    others = namespace._there(xfrm.open_socket)
    for request in (
        xfrm.state(xfrm.OUT, other, node.home, visitor.address, 600, 0, True),
        *xfrm.policies(other, node.home),
    ):
        others.send(request)
    theirs = namespace._there(inkernel.found, other)
    assert len(theirs) == 4
    ours = socket.inet_pton(socket.AF_INET6, ADDRESS)
    namespace._there(
        inkernel.sweep, ours
    )  # as by `ip xfrm state flush` and `ip xfrm policy flush`
    assert states(lab_network) == []
    wait_until(lambda: states(lab_network) == whole)
    assert daemon.end()[0] == 0
    assert states(lab_network) == []
    assert namespace._there(inkernel.found, other) == theirs


_CIRCLE = """
import json, select, socket, sys, time
from ipaddress import IPv6Address
from pathlib import Path
from roamkey.correspondent import clock
from roamkey.correspondent.dataplane.client import DataPlane
from roamkey.registry.records import Binding
here, first, second = map(IPv6Address, sys.argv[1:])
plane = DataPlane(here)
ends = clock.now_ms() + 600_000
plane.bind((a.packed, Binding(b.packed, 600, 0, ends, 1)) for a, b in
           ((first, second), (second, first)))
one = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
one.bind((str(here), 0))
while first.packed.hex() not in Path("/proc/net/ipv6_route").read_text():
    time.sleep(0.05)
for octets in (10, 60_000):
    one.sendto(bytes(octets), (str(first), 7))
until = time.monotonic() + 3.5
while time.monotonic() < until:
    if select.select([plane], [], [], 0.1)[0]:
        plane.receive()
print(json.dumps(plane.counters["packets"]))
plane.close()
"""


def test_a_packet_passes_once(lab_network):
    """Two nodes, each bound to the other's home address: a datagram goes out, and no further."""
    need_tun()
    homes = ("2001:db8:a::1", "2001:db8:a::2")
    out = run(lab_network, "correspondent", sys.executable, "-c", _CIRCLE, ADDRESS, *homes)
    counted = json.loads(out)
    assert counted["loop"] > 0, counted
    fragments = 60_000 // 1400 + 2  # and once more, as they come back with 24 octets too many
    assert counted["sent"] <= 1 + fragments, counted
    assert counted["loop"] <= 2 * (1 + fragments), counted


@pytest.mark.parametrize("capability", [12, None], ids=["CAP_NET_ADMIN", "no device"])
def test_without_the_right_to_a_device(lab_network, scene, monkeypatch, tmp_path, capability):
    program = (
        "import ctypes, os, sys; ctypes.CDLL(None).prctl(24, int(sys.argv[1]), 0, 0, 0); "
        "os.execv(sys.executable, [sys.executable, *sys.argv[2:]])"
    )
    if capability is None:  # hide the device from this sandbox
        if Path(tun.PATH).exists():
            subprocess.run(["mount", "--bind", "/dev/null", tun.PATH], check=True)
    else:
        need_tun()
    for more, code in ((["--no-data-plane"], 0), ([], 5)):
        command = [*CLI[1:], "run", "--address", ADDRESS, "--registry", str(scene.path), *more]
        process = lab_network.spawn(
            "correspondent",
            [sys.executable, "-c", program, str(capability or 12), *command],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        if code == 0:
            assert " ready " in process.stdout.readline()
            process.terminate()
        out, err = process.communicate(timeout=30)
        assert process.returncode == code
        if code:
            assert out == "" and len(err.splitlines()) == 1
            assert re.match("roamkey: no data plane: .*; --no-data-plane serves signalling", err)


def test_a_node_at_home_is_answered_there(lab_network, scene, plane):
    """Though a route leads to where it was last: also where its update is refused."""
    node = scene.node(0x100)
    daemon = Daemon(lab_network, scene.path, data_plane=plane)
    daemon.ready()
    visitor = Visitor(lab_network, "visited1")
    visitor.exchange(node, node.update(5, visitor.address))
    wait_until(lambda: routes(lab_network))
    home = Visitor(lab_network, "home", "2001:db8:a::100")
    refused = node.update(5, home.address, lifetime=0, away=False)
    assert home.exchange(node, refused, removes=True).status == 135
    assert routes(lab_network)
    removal = node.update(6, home.address, lifetime=0, away=False)
    assert home.exchange(node, removal, removes=True).status == 0
    wait_until(lambda: not routes(lab_network))
    assert daemon.end()[0] == 0


def test_its_process_imports_nothing_from_the_current_folder(tmp_path):
    """With the rights of the daemon, from a folder that may be anybody's."""
    for name in ("pyroute2", "json", "roamkey", "mip6"):
        (tmp_path / f"{name}.py").write_text("open('taken', 'w')\n")
    shell = f"import sys; print(sys.path); sys.argv[1:] = {[''] * 4 + client._paths()!r}"
    command = client._command(client.Kind().program)
    command[-1] = f"{shell}; {command[-1]}".replace("; main()", "; import pyroute2, json")
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert not (tmp_path / "taken").exists()
    assert all(Path(path).is_absolute() for path in client._paths())
