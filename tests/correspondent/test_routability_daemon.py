"""A node without a key and the daemon, over real raw sockets: return routability, and data."""

import json
import socket
from ipaddress import IPv6Address

import pytest
from json_output import checked
from support.daemons import ADDRESS, Daemon, Reply, Visitor, run_cli
from support.nodes import MobileNode
from support.roaming import need_tun
from support.strangers import Stranger

from mip6 import messages, packets
from roamkey.lab.network import HOME_PREFIX
from roamkey.waiting import until

HOME = str(IPv6Address(HOME_PREFIX.split("/")[0]) + 0x1234)

pytestmark = [pytest.mark.lab, pytest.mark.timeout(120)]


class Guest:
    """A node that is heard at home and in a visited network, by an interface in each; so tests to
    its home address come without a home agent's tunnel."""

    def __init__(self, network):
        network.attach("board", "wlan1", "home", dad=False)
        network.wait_for_address("board", "wlan1", "home")
        namespace = network.namespace("board")
        namespace.add_address("wlan1", f"{HOME}/64")
        self.visitor = Visitor(network, "visited1")
        self.node = Stranger(home=IPv6Address(HOME).packed)
        self.sockets = {}
        for text in (HOME, self.visitor.text):
            one = namespace.socket(socket.AF_INET6, socket.SOCK_RAW, packets.MOBILITY)
            one.bind((text, 0))
            one.settimeout(10)
            self.sockets[IPv6Address(text).packed] = one

    @property
    def care_of(self):
        return self.visitor.address

    def test(self, source):
        """Send the Init from an address, and take the test that comes there."""
        one = self.sockets[source]
        one.sendto(self.node.init(source).payload, (ADDRESS, 0))
        payload = b"\0\0\7"
        while payload[2] == messages.BINDING_ERROR:  # which the other socket has had too
            payload, (text, *_) = one.recvfrom(2048)
            assert text == ADDRESS
        self.node.take(Reply(source, packets.MOBILITY, payload))

    def prove(self):
        self.test(self.node.home)
        self.test(self.care_of)

    def bind(self, sequence, **how):
        """Send an update, and read its answer."""
        self.visitor.send(self.node.update(sequence, self.care_of, **how))
        source, payload = self.visitor.receive(packets.ROUTING)
        assert source == ADDRESS
        reply = Reply(self.care_of, packets.ROUTING, payload)
        return self.node.read(reply, self.care_of, removes=how.get("lifetime") == 0)


def ask(network, what, *more):
    code, out, err = run_cli(network, what, "--json", *more)
    assert (code, err) == (0, "")
    return checked(f"correspondent-{what}", out)


def test_the_whole_procedure_and_what_is_told(lab_network, scene, tmp_path):
    registry = ("--registry", str(scene.path))
    events = ("--events", str(tmp_path / "events.sqlite"))
    daemon = Daemon(lab_network, scene.path, more=events)
    daemon.ready()
    guest = Guest(lab_network)
    guest.prove()
    answer = guest.bind(1)
    assert (answer.status, answer.lifetime) == (0, 105)
    event = daemon.event("accepted")
    assert (event["authorized_by"], event["generation"]) == ("return routability", None)
    (row,) = ask(lab_network, "bindings", *registry)
    assert (row["home_address"], row["care_of_address"]) == (HOME, guest.visitor.text)
    assert (row["authorized_by"], row["uses_left"]) == ("return routability", None)
    (facts,) = ask(lab_network, "status")
    told = facts["return_routability"]
    assert (told["on"], told["bound"], facts["bindings"], facts["nodes"]) == (True, 1, 1, 0)
    assert facts["tested"] == {"home": 1, "care-of": 1}
    code, out, _ = run_cli(lab_network, "bindings", *registry)
    assert code == 0 and "return routability" in out
    code, out, _ = run_cli(lab_network, "status")
    assert code == 0 and "on True, bound 1, remembered 0" in out

    # A key is entered: what was bound without goes at once, and nothing is given without any more.
    node = MobileNode(1)
    node.home = guest.node.home
    scene.provision(node)
    assert until(lambda: ask(lab_network, "status")[0]["bindings"] == 0, 10)
    guest.visitor.send(guest.node.update(2, guest.care_of))
    with pytest.raises(TimeoutError):
        guest.visitor.receive(packets.ROUTING, 0.5)
    (drop,) = ask(lab_network, "drops")
    assert (drop["reason"], drop["count"]) == ("a key was entered", 1)
    assert "roamkey retire" in drop["advice"]
    assert guest.visitor.exchange(node, node.update(0, guest.care_of)).status == 0
    assert daemon.event("accepted")["authorized_by"] == "static key"
    assert daemon.end()[0] == 0
    code, out, _ = run_cli(lab_network, "events", "--json", *events, *registry)
    found = checked("correspondent-events", out)
    by = [one.get("reason") for one in found if one["kind"] == "bound"]
    assert by == ["return routability", None]


def test_a_restart_is_healed_by_a_binding_error(lab_network, scene):
    daemon = Daemon(lab_network, scene.path)
    daemon.ready()
    guest = Guest(lab_network)
    guest.prove()
    assert guest.bind(1).status == 0
    assert daemon.end()[0] == 0
    daemon = Daemon(lab_network, scene.path)
    assert daemon.ready()["bindings"] == 0, "it was in memory alone"
    data = packets.udp(guest.node.home, IPv6Address(ADDRESS).packed, 5, 7, b"data")
    option = packets.home_address_option(guest.node.home, packets.UDP)
    guest.visitor.sockets[packets.DESTINATION_OPTIONS].sendto(option + data, (ADDRESS, 0))
    error = b"\0\0\4"
    while error[2] == messages.CARE_OF_TEST:  # that of before
        _, error = guest.visitor.receive(packets.MOBILITY)
    assert (error[2], error[6], error[8:24]) == (7, 1, guest.node.home)
    guest.prove()
    assert guest.bind(2).status == 0
    assert daemon.end()[0] == 0


def test_off_nobody_is_tested(lab_network, scene):
    daemon = Daemon(lab_network, scene.path, more=("--return-routability", "off"))
    daemon.ready()
    guest = Guest(lab_network)
    guest.sockets[guest.care_of].settimeout(0.5)
    with pytest.raises(TimeoutError):
        guest.test(guest.care_of)
    (drop,) = ask(lab_network, "drops")
    assert drop["reason"] == "return routability is off"
    assert ask(lab_network, "status")[0]["return_routability"]["on"] is False
    assert daemon.end()[0] == 0


def test_data_go_the_direct_way_and_tests_go_home(lab_network, scene):
    """With a data plane the binding has a route; a Home Test doesn't take it (section 6.1)."""
    need_tun()
    daemon = Daemon(lab_network, scene.path, data_plane=True)
    daemon.ready()
    guest = Guest(lab_network)
    guest.prove()
    assert guest.bind(1).status == 0
    program = lab_network.namespace("correspondent").socket(socket.AF_INET6, socket.SOCK_DGRAM)
    program.bind((ADDRESS, 7000))
    arrived = guest.visitor.sockets[packets.ROUTING]
    arrived.settimeout(0.2)

    def comes():
        program.sendto(b"to the home address", (HOME, 7001))
        try:
            payload, (source, *_) = arrived.recvfrom(2048)
        except TimeoutError:
            return False
        assert source == ADDRESS and payload[8:24] == guest.node.home
        return payload.endswith(b"to the home address")

    assert until(comes, 10)
    datagram = packets.udp(guest.node.home, IPv6Address(ADDRESS).packed, 7001, 7000, b"back")
    option = packets.home_address_option(guest.node.home, packets.UDP)
    guest.visitor.sockets[packets.DESTINATION_OPTIONS].sendto(option + datagram, (ADDRESS, 0))
    program.settimeout(10)
    octets, (source, port, *_) = program.recvfrom(2048)
    assert (octets, source, port) == (b"back", HOME, 7001)
    guest.prove()  # the Home Test comes to the home address itself, by its own interface
    assert guest.bind(2, lifetime=0).status == 0
    arrived.settimeout(0.5)
    program.sendto(b"home again", (HOME, 7001))
    with pytest.raises(TimeoutError):
        arrived.recvfrom(2048)
    assert daemon.end()[0] == 0


def test_a_home_address_of_the_daemons_own_link_is_refused(lab_network, scene):
    daemon = Daemon(lab_network, scene.path)
    daemon.ready()
    guest = Guest(lab_network)
    guest.prove()
    lab_network.namespace("correspondent").add_address("eth0", f"{IPv6Address(HOME) + 1}/64")

    def refused():
        refused.sequence += 1
        return guest.bind(refused.sequence).status == 129

    refused.sequence = 0
    assert until(refused, 10, 0.5)
    assert daemon.event("refused")["reason"] == "home address in use here"
    assert json.loads(daemon.end()[1].splitlines()[-1])["event"] == "stopped"
