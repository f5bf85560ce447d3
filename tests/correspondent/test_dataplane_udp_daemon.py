"""Data inside UDP with the daemon: moves between ways, ends of processes, a site without IPv6."""

import json
import os
import signal
import socket
import subprocess
import time
from ipaddress import IPv6Address
from types import SimpleNamespace

import pytest
from json_output import checked
from support.daemons import ADDRESS, Daemon, plane_of, run_cli
from support.nodes import MobileNode
from support.roaming import need_tun, result
from support.tunnel import HOME, Tunnel

from mip6 import messages, packets
from roamkey.correspondent.core.endpoints import Endpoint
from roamkey.waiting import until

pytestmark = [pytest.mark.lab, pytest.mark.timeout(180)]

NUMBER = 0x77
INSIDE4 = IPv6Address("::ffff:10.1.0.9").packed  # behind the NAT


class Served:
    """A daemon with its data plane, and a node that may `move` to another way."""

    def __init__(self, network, scene, address=ADDRESS):
        need_tun()
        ours = IPv6Address(address).packed
        self.network = network
        self.node = MobileNode(NUMBER, correspondent=ours)
        scene.provision(self.node)
        self.tunnel = Tunnel(network, correspondent=address)
        self.daemon = Daemon(network, scene.path, address, data_plane=True)
        self.ready = self.daemon.ready()
        self.sequence = 0
        self.address = address

    def update(self, way, **more):
        """The next update that way, as the peer sends it, and its care-of address."""
        care_of = INSIDE4 if way == "udp4" else IPv6Address(self.tunnel.care_of).packed
        self.sequence += 1
        if way == "native":
            made = self.node.update(self.sequence, care_of, **more)
        else:
            made = self.node.inside(self.sequence, Endpoint(care_of, 1, bytes(16)), **more)
        return made.payload, care_of

    def move(self, way):
        """Go on that way, from a new port; returns once the correspondent has said so."""
        self.tunnel.open(way)
        update, care_of = self.update(way)
        self.tunnel.send(update)
        packet = self.hear(messages.BINDING_ACKNOWLEDGEMENT)
        if way == "native":
            message = messages.decode(packet[40:])
        else:
            seen = care_of if way == "udp6" else b"the router's"
            answer = SimpleNamespace(endpoint=b"some", payload=packet, destination=seen)
            message = self.node.read(answer, care_of)
        assert (message.status, message.sequence) == (0, self.sequence)

    def hear(self, kind):
        """The next message of a kind that comes to the node, as a whole packet. Data that go
        before an update are told that there is no binding, as they should be."""
        while True:
            packet = bytes.fromhex(self.tunnel.peer.hear("came"))
            if messages.decode(packet[40:]).kind == kind:
                return packet

    def plane(self):
        """What `status` says of the data plane."""
        code, out, _ = run_cli(self.network, "status", "--json")
        assert code == 0
        (facts,) = checked("correspondent-status", out)
        return facts["data_plane"]


class Connection:
    """TCP from a program of the node's to one of the correspondent's, until `end`."""

    def __init__(self, served):
        self._server = served.tunnel.serve(
            "node", "stream", HOME, 8000, 2_000_000, stdin=subprocess.PIPE
        )
        self._client = served.tunnel.start("correspondent", "fetch", HOME, 8000)
        assert until(lambda: served.plane().get("octets", {"inward": 0})["inward"] > 500_000, 30)

    def end(self):
        """All that was sent has come; how much it was."""
        self._server.stdin.close()
        self._server.stdin = None
        sent, came = result(self._server), result(self._client)
        assert sent == came
        return sent["octets"]


@pytest.fixture
def served(lab_network, scene):
    return Served(lab_network, scene)


def test_a_connection_outlives_moves_between_all_ways(served):
    """The same node natively, inside UDP over both families, and at a NAT that forgot its port."""
    served.move("native")
    connection = Connection(served)
    for way in ("udp6", "udp4", "udp4", "native", "udp4", "udp6", "native"):
        time.sleep(0.5)
        served.move(way)
    assert connection.end() > 1_000_000
    counted = served.plane()["packets"]
    assert counted["failed"] == counted["loop"] == 0, counted
    code, out, _ = served.daemon.end()
    assert code == 0
    told = [json.loads(line) for line in out.splitlines()]
    assert sum(one["event"] == "accepted" for one in told) == served.sequence


def test_a_process_that_ends_is_followed_by_another(served):
    """Data go on inside UDP; the daemon's socket gets signalling meanwhile, and afterwards."""
    network = served.network
    served.move("udp4")
    connection = Connection(served)
    for times in (1, 2):
        os.kill(plane_of(served.daemon), signal.SIGKILL)
        served.move("udp4")
        assert until(lambda n=times: served.plane()["restarts"] == n, 30)
        assert until(lambda: served.plane()["running"], 30)
        served.move("udp6" if times == 1 else "udp4")
    assert connection.end() > 1_000_000
    served.daemon.process.kill()
    served.daemon.process.wait(30)
    namespace = network.namespace("correspondent")
    assert until(lambda: "roamkey0" not in namespace.interfaces(), 30)


def test_data_from_another_port_are_answered_with_a_binding_error(served):
    """As after a NAT forgot the port: the node is told at once, and what it is told is no longer
    than its own packet."""
    served.move("udp4")
    program = served.network.namespace("correspondent").socket(socket.AF_INET6, socket.SOCK_DGRAM)
    program.bind((ADDRESS, 7))
    program.settimeout(0.5)
    datagram = packets.udp(served.node.home, served.node.correspondent, 5, 7, bytes(100))
    packet = served.node.carried(Endpoint(INSIDE4, 1, bytes(16)), packets.UDP, datagram).payload
    served.tunnel.open("udp4")
    served.tunnel.send(packet)
    error = served.hear(messages.BINDING_ERROR)
    assert messages.decode(error[40:]).status == 1
    assert len(error) <= len(packet)
    with pytest.raises(TimeoutError):
        program.recvfrom(200)
    served.tunnel.send(served.update("udp4")[0])
    served.tunnel.peer.hear("came")
    served.tunnel.send(packet)
    assert program.recvfrom(200)[1][0] == HOME
    assert served.daemon.end()[0] == 0


def test_a_site_without_ipv6(lab_network, scene):
    """Unique local addresses inside, IPv4 outside: the daemon serves an address that no interface
    has, and goes on where its data plane's process, and with it the address, was gone."""
    network = lab_network
    for scope in ("all", "default"):
        network.namespace("correspondent").set_ipv6(scope, disable_ipv6=1)
    address = "fd72:6f61:6d6b::1"
    served = Served(network, scene, address)
    assert served.ready["data_plane"]["own_address"] is True
    served.move("udp4")
    served.tunnel.serve("node", "udp_echo", HOME, 7)
    echo = ("correspondent", "udp", HOME, 7, 10, 0.05)
    assert result(served.tunnel.start(*echo))["received"] >= 8
    os.kill(plane_of(served.daemon), signal.SIGKILL)
    assert until(lambda: served.plane()["restarts"] == 1 and served.plane()["running"], 30)
    served.move("udp4")
    assert until(lambda: result(served.tunnel.start(*echo))["received"] >= 8, 30)
    assert served.plane()["address"] == "here"
    assert served.daemon.end()[0] == 0
    assert "roamkey0" not in network.namespace("correspondent").interfaces()


def test_whose_data_flow_is_asked_for_a_new_binding(served):
    """Only such a node is (RFC 6275 section 9.5.5): the data plane has told of its data."""
    served.tunnel.open("udp4")
    served.tunnel.send(served.update("udp4", lifetime=2)[0])  # eight seconds
    served.tunnel.peer.hear("came")
    served.tunnel.serve("node", "udp_echo", HOME, 7)
    told = result(served.tunnel.start("correspondent", "udp", HOME, 7, 10, 0.05))
    assert told["received"] >= 8
    assert served.hear(messages.BINDING_REFRESH_REQUEST)
    assert served.daemon.end()[0] == 0
