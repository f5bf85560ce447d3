"""The sockets at UDP port 4191: who gets what, what is cut, and whence answers leave; and the
daemon behind them, over IPv4 and IPv6."""

import itertools
import os
import random
import signal
import socket
import time
from collections import Counter
from contextlib import suppress
from ipaddress import ip_address

import pytest
from json_output import checked
from support.daemons import ADDRESS, Daemon, Reply, run_cli
from support.nodes import CORRESPONDENT, Scene

from mip6 import addresses, messages, packets
from roamkey.correspondent import encapsulation
from roamkey.correspondent.core import endpoints
from roamkey.correspondent.core.endpoints import Endpoint
from roamkey.correspondent.core.entries import ENCAPSULATED
from roamkey.errors import BadInputError, SystemRefusedError
from roamkey.waiting import until

PORT = packets.ENCAPSULATION_PORT
NODE = "10.9.0.7"
HERE = ("10.9.0.1", "10.9.0.2", "2001:db8:9::1", "2001:db8:9::2")
NODE6 = "2001:db8:9::7"
EMPTY = (encapsulation.TRUNCATED, encapsulation.IP_OPTIONS, encapsulation.UDP_CHECKSUM)
SO_NO_CHECK = 11

lab = pytest.mark.lab


@pytest.fixture
def cable(lab_network):
    """Namespaces of correspondent and node, a cable between: two addresses of each family there,
    one here."""
    there = lab_network.namespace("correspondent")
    here = lab_network.add_node("udp-node")
    there.add_veth("udp0", "02:00:00:00:09:01", here, "udp0", "02:00:00:00:09:02")
    for one in (there, here):
        one.set_up("udp0")
    for one in HERE:
        there.add_address("udp0", f"{one}/{64 if ':' in one else 24}")
    here.add_address("udp0", f"{NODE}/24")
    here.add_address("udp0", f"{NODE6}/64")
    return there, here


def packet(protocol, octets=24):
    return bytes((0x60, 0, 0, 0, 0, octets, protocol, 64)) + bytes(32 + octets)


def arrived(one, count, bad):
    """What is there once `count` have come, the bad ones included."""
    found = []

    def all_there():
        found.extend(encapsulation.receive(one, 100, bad))
        return len(found) + bad.total() >= count

    assert until(all_there, 10), (found, bad)
    return found


def udp(namespace, family=socket.AF_INET, address=NODE):
    one = namespace.socket(family, socket.SOCK_DGRAM)
    one.settimeout(10)
    one.bind((address, 0))
    return one


def test_places():
    four, six = map(encapsulation.parse_place, ("192.0.2.1:4192", "[::1]:4191"))
    assert (four, str(four)) == (("::ffff:192.0.2.1", 4192), "192.0.2.1:4192")
    assert (six, str(six)) == (("::1", 4191), "[::1]:4191")
    for text in ("", "on:", "::1:4191", "[::1]", "[::1]:0", "1.2.3.4:65536", "[fe80::1%lo]:1"):
        with pytest.raises(BadInputError):
            encapsulation.parse_place(text)


@lab
def test_signalling_and_data_come_to_their_sockets(cable):
    there, here = cable
    with there.entered():
        daemon = encapsulation.open_socket(encapsulation.EVERYWHERE)
    bad, sender = Counter(), udp(here)
    data = (packets.UDP, packets.ICMPV6, 6)
    other = (packets.MOBILITY, packets.NO_NEXT_HEADER, packets.DESTINATION_OPTIONS, 50)

    def sent():
        for kind in (*data, *other):
            sender.sendto(packet(kind), (HERE[0], PORT))

    for _ in range(3):  # a data plane that comes, and goes
        sent()
        assert [octets[6] for _, octets in arrived(daemon, 7, bad)] == [*data, *other]
        with there.entered():
            plane = encapsulation.open_socket(encapsulation.EVERYWHERE, data=True)
        with plane:
            sent()
            assert [octets[6] for _, octets in arrived(plane, 3, bad)] == list(data)
            assert [octets[6] for _, octets in arrived(daemon, 4, bad)] == list(other)
    daemon.close()
    assert not bad


@lab
def test_what_is_bad_is_cut_and_counted_by_reason(cable):
    there, here = cable
    with there.entered():
        daemon = encapsulation.open_socket(encapsulation.EVERYWHERE)
    bad, sent = Counter(), Counter()
    for octets in (b"", b"1", b"12", b"123", packet(135)[:39]):
        udp(here).sendto(octets, (HERE[0], PORT))
        udp(here, socket.AF_INET6, NODE6).sendto(octets, (HERE[2], PORT))
        sent["truncated"] += 2
    with_options = udp(here)
    with_options.setsockopt(socket.IPPROTO_IP, socket.IP_OPTIONS, b"\x01\x01\x01\x00")
    without_checksum = udp(here)
    without_checksum.setsockopt(socket.SOL_SOCKET, SO_NO_CHECK, 1)
    for octets in (packet(135), packet(17)):
        with_options.sendto(octets, (HERE[0], PORT))
        without_checksum.sendto(octets, (HERE[0], PORT))
    with_options.sendto(b"", (HERE[0], PORT))
    sent.update({"truncated": 1, "ip options": 2, "udp checksum": 2})
    for family, node, target in (
        (socket.AF_INET, NODE, HERE[0]), (socket.AF_INET6, NODE6, HERE[2])
    ):  # fmt: skip
        udp(here, family, node).sendto(packet(135, 200) + bytes(2800), (target, PORT))
        sent["fragment"] += 1
    assert arrived(daemon, sent.total(), bad) == [] and bad == sent
    good = udp(here)
    good.sendto(packet(135, 0), (HERE[0], PORT))
    ((endpoint, octets),) = arrived(daemon, sent.total() + 1, bad)
    assert octets == packet(135, 0)
    assert endpoints.text(endpoint) == f"{NODE}:{good.getsockname()[1]}"
    daemon.close()


@lab
def test_an_answer_leaves_from_where_its_cause_came_to(cable):
    there, here = cable
    with there.entered():
        daemon = encapsulation.open_socket(encapsulation.EVERYWHERE)
    bad = Counter()
    for target in HERE:
        six = ":" in target
        node = udp(here, socket.AF_INET6 if six else socket.AF_INET, NODE6 if six else NODE)
        node.sendto(packet(135), (target, PORT))
        ((endpoint, _),) = arrived(daemon, 1, bad)
        assert endpoints.unpack(endpoint) == Endpoint(
            addresses.parse(NODE6 if six else NODE), node.getsockname()[1], addresses.parse(target)
        )
        encapsulation.send(daemon, endpoint, b"answer")
        octets, source = node.recvfrom(100)
        assert (octets, source[:2]) == (b"answer", (target, PORT))
        # another host saw that one: nothing leaves from an address that isn't here
        away = endpoints.unpack(endpoint)._replace(local=addresses.parse("203.0.113.1"))
        if not six:
            with pytest.raises(OSError):
                encapsulation.send(daemon, away.packed, b"answer")
    daemon.close()


@lab
def test_another_daemon_or_program_at_the_port_is_noticed(cable):
    there, _ = cable
    with there.entered():
        with encapsulation.open_socket(encapsulation.EVERYWHERE):
            for place in (encapsulation.EVERYWHERE, encapsulation.Place("::ffff:10.9.0.1", PORT)):
                with pytest.raises(SystemRefusedError, match="in use"):
                    encapsulation.open_socket(place)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
            other.bind(("0.0.0.0", PORT))
            with pytest.raises(SystemRefusedError, match="in use"):
                encapsulation.open_socket(encapsulation.EVERYWHERE)
        alone = encapsulation.parse_place(f"{HERE[1]}:{PORT}")
        encapsulation.open_socket(alone).close()


@pytest.fixture
def scene(tmp_path):
    made = Scene(tmp_path / "registry.sqlite")
    yield made
    made.registry.close()


class Visitor:
    """A node's UDP socket."""

    def __init__(self, namespace, family=socket.AF_INET, address=NODE):
        self.socket = udp(namespace, family, address)
        self.endpoint = Endpoint(addresses.parse(address), self.socket.getsockname()[1], b"")

    def send(self, inbound, target=HERE[1]):
        self.socket.sendto(inbound.payload, (target, PORT))

    def receive(self):
        octets, source = self.socket.recvfrom(2048)
        return octets, source[0]

    def exchange(self, node, inbound, care_of, target=HERE[1], **more):
        self.send(inbound, target)
        octets, source = self.receive()
        assert source == target
        reply = Reply(self.endpoint.address, ENCAPSULATED, octets)
        reply.endpoint = self.endpoint.packed
        return node.read(reply, care_of, **more)


def told(network, command, *more):
    code, out, err = run_cli(network, command, "--json", *more)
    assert (code, err) == (0, "")
    return checked(f"correspondent-{command}", out)


@lab
def test_nodes_are_served_over_ipv4_and_ipv6(cable, lab_network, scene, tmp_path):
    there, here = cable
    four, six = scene.node(1), scene.node(2)
    file = tmp_path / "events.sqlite"
    daemon = Daemon(lab_network, scene.path, more=["--events", str(file), "--nat-refresh", "9"])
    daemon.ready()
    at_four, at_six = Visitor(here), Visitor(here, socket.AF_INET6, NODE6)
    private = addresses.parse("192.168.1.5")
    answer = at_four.exchange(four, four.inside(0, at_four.endpoint, private), private)
    assert answer.option(messages.NAT_DETECTION) == b"\0\0\0\0\0\x09"
    accepted = daemon.event("accepted")
    where = f"{NODE}:{at_four.endpoint.port}"
    assert (accepted["way"], accepted["endpoint"]) == ("udp4", where)
    assert accepted["care_of_address"] == "192.168.1.5"
    own = at_six.endpoint.address
    answer = at_six.exchange(six, six.inside(0, at_six.endpoint), own, HERE[3])
    assert answer.option(messages.NAT_DETECTION) is None

    at_four.send(four.keepalive(at_four.endpoint))
    stranger = Visitor(here)
    stranger.send(four.keepalive(stranger.endpoint))
    octets, _ = stranger.receive()
    error = packets.parse_encapsulated(octets)
    assert (error.source, error.destination) == (CORRESPONDENT, four.home)
    assert messages.decode(error.payload).status == messages.UNKNOWN_BINDING
    stranger.socket.sendto(b"nonsense", (HERE[0], PORT))

    (facts,) = told(lab_network, "status")
    assert facts["packets"]["keepalive"] == 1
    assert facts["ways"] == {
        "encapsulation": "[::]:4191",
        "bound": {"native": 0, "udp6": 1, "udp4": 1},
        "received": {"native": 0, "udp6": 1, "udp4": 3},
    }
    assert {row["reason"] for row in told(lab_network, "drops")} == {"no binding", "truncated"}
    code, out, _ = run_cli(lab_network, "status")
    assert code == 0 and "encapsulation [::]:4191" in out and "1 udp4" in out
    found = told(lab_network, "bindings", "--registry", str(scene.path))
    assert [(row["way"], row["endpoint"]) for row in found] == [
        ("udp4", where), ("udp6", f"[{NODE6}]:{at_six.endpoint.port}")
    ]  # fmt: skip
    _, out, _ = run_cli(lab_network, "bindings", "--registry", str(scene.path))
    assert f"udp4 {where}" in out
    assert daemon.end()[0] == 0
    bound = [one for one in told(lab_network, "events", "--events", str(file)) if "way" in one]
    assert [(one["kind"], one["way"], one["endpoint"]) for one in bound] == [
        ("bound", "udp4", where), ("bound", "udp6", f"[{NODE6}]:{at_six.endpoint.port}")
    ]  # fmt: skip
    assert bound[0]["care_of_address"] == "192.168.1.5"
    _, out, _ = run_cli(lab_network, "events", "--events", str(file))
    assert f"at 192.168.1.5 by udp4 from {where}" in out

    # the next daemon goes on with what was bound, and with the node's next number
    daemon = Daemon(lab_network, scene.path)
    assert daemon.ready()["bindings"] == 2
    at_four.exchange(four, four.inside(1, at_four.endpoint, private), private)
    gone = four.inside(2, at_four.endpoint, private, lifetime=0)
    at_four.exchange(four, gone, private, removes=True)
    daemon.event("removed")
    daemon.end()


@lab
def test_a_flood_at_the_port_starves_no_node(cable, lab_network, scene):
    _, here = cable
    nodes = [scene.node(number) for number in range(1, 11)]
    daemon = Daemon(lab_network, scene.path)
    daemon.ready()
    chance = random.Random(5)
    sockets = [udp(here) for _ in range(16)]
    made = []
    for number in range(4000):
        who = chance.choice(nodes) if number % 4 else scene.node_type(1000 + number)
        endpoint = Endpoint(addresses.parse(NODE), 1, b"")
        forged = who.inside(chance.getrandbits(16), endpoint).payload if number % 3 else b""
        made.append(forged[:-12] + chance.randbytes(12) if forged else who.keepalive(endpoint)[1])
    child = os.fork()
    if not child:
        for at in itertools.count():
            with suppress(OSError):
                sockets[at % 16].sendto(made[at % len(made)], (HERE[0], PORT))
            if not at % 1024:  # a burst; a busy machine's daemon has its share of time, too
                time.sleep(0.01)
    try:
        for round_ in range(2):
            for node in nodes:
                visitor = Visitor(here)
                visitor.socket.settimeout(1.0)
                care_of = visitor.endpoint.address
                for number in range(100 * round_, 100 * round_ + 60):
                    with suppress(TimeoutError):  # then it sends again, under its next number
                        visitor.exchange(node, node.inside(number, visitor.endpoint), care_of)
                        break
                else:
                    raise AssertionError("a node was starved")
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    (facts,) = told(lab_network, "status")
    assert facts["packets"]["accepted"] >= 20 and facts["bindings"] == len(nodes)
    assert facts["dropped"].get("flood", 0) > 0 and facts["withheld"] > 0
    assert daemon.end()[0] == 0


@lab
def test_where_to_listen_is_an_option(cable, lab_network, scene):
    there, here = cable
    node = scene.node()
    run = ["run", "--address", ADDRESS, "--registry", str(scene.path), "--no-data-plane"]
    daemon = Daemon(lab_network, scene.path, more=["--encapsulation", "off"])
    daemon.ready()
    assert told(lab_network, "status")[0]["ways"]["encapsulation"] is None
    with there.entered(), encapsulation.open_socket(encapsulation.EVERYWHERE):  # it is free
        daemon.end()
        daemon = Daemon(lab_network, scene.path)
        assert "UDP [::]:4191: in use" in daemon.event("trouble")["detail"]
        daemon.ready()
        daemon.end()
        for more in ("on", "10.9.0.1:4191"):
            code, out, err = run_cli(lab_network, *run, "--encapsulation", more)
            assert (code, err.count("\n")) == (5, 1) and "in use" in err
    code, out, err = run_cli(lab_network, *run, "--encapsulation", "somewhere")
    assert code != 0 and "is not an address and port" in err
    daemon = Daemon(lab_network, scene.path, more=["--encapsulation", f"{HERE[1]}:{PORT}"])
    daemon.ready()
    visitor = Visitor(here)
    visitor.exchange(node, node.inside(0, visitor.endpoint), visitor.endpoint.address)
    daemon.end()


@lab
def test_ipv4_addresses_of_the_host_are_known(cable):
    from roamkey.correspondent.ownaddresses import OwnAddresses

    there, _ = cable
    with there.entered():
        own = OwnAddresses()
        own.look()
        found, _ = own.take()
        assert {addresses.parse(one) for one in HERE} <= found
        assert addresses.parse("10.9.0.255") not in found  # the broadcast's
        there.add_address("udp0", "10.9.0.3/24")
        assert until(lambda: (own.hear(), own.changed)[1], 10)
        assert addresses.parse("10.9.0.3") in own.take()[0]
        own.close()
    assert all(ip_address(one) for one in HERE)
