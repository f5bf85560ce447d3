"""A home agent on the laboratory's home link, its daemon, and a node on another network.

correspondent (any host) ── router ── home link ── agent
└── visited1, visited2 ── board
"""

import contextlib
import json
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
from ipaddress import IPv6Address
from pathlib import Path
from types import SimpleNamespace

import pytest
from json_output import checked

from mip6 import messages, packets
from roamkey.correspondent.core.endpoints import Endpoint
from roamkey.lab.lans import CORRESPONDENT_ADDRESS, HOME_ROUTER
from roamkey.lab.namespaces import nft_program
from support import uml
from support.homes import AGENT, HomeNode, HomeScene
from support.hostile import resident
from support.mutations import mutated
from support.roaming import need_tun
from support.tunnel import Lines

AGENT_TEXT = str(IPv6Address(AGENT))
ROUTER = HOME_ROUTER
CLI = [sys.executable, "-c", "from roamkey.cli import main; main()", "home-agent"]
NUMBER = 0x77
INSIDE4 = IPv6Address("::ffff:10.1.0.9").packed  # behind the NAT
_OUTER4 = "192.0.2.2"
_NAT = """
table ip nat {
    chain postrouting {
        type nat hook postrouting priority srcnat; policy accept;
        ip saddr 10.1.0.0/24 oifname "home" masquerade fully-random
    }
}
"""
PING = shutil.which("ping")


class Agent:
    """The home agent's host; `start` its daemon."""

    name, link = "agent", "eth0"

    def __init__(self, network, path, plane="tun"):
        need_tun()
        self.plane = plane
        self.network, self.path = network, path
        network.attach(self.name, self.link, "home", dad=False)
        namespace = network.namespace(self.name)
        for scope in ("all", self.link):
            namespace.set_ipv6(scope, forwarding=1)
        namespace.set_ipv6(self.link, accept_ra=0)
        namespace.add_address(self.link, f"{AGENT_TEXT}/64")
        namespace.add_route("default", ROUTER, self.link)
        self.namespace = namespace

    def start(self, *more, path=None):
        command = [*CLI, "run", "--address", AGENT_TEXT, "--registry", str(path or self.path)]
        chosen = [] if self.plane is None else ["--data-plane", self.plane]
        self.process = self.network.spawn(
            self.name,
            [*command, "--log", "json", *chosen, *more],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        return self.event("ready")

    def event(self, name):
        """The next event of this name; skips others."""
        for line in self.process.stdout:
            event = json.loads(line)
            if event["event"] == name:
                return event
        raise AssertionError(f"no {name}: {self.process.stderr.read()}")

    def end(self, number=signal.SIGTERM):
        self.process.send_signal(number)
        code = self.process.wait(30)
        return code, self.process.stdout.read(), self.process.stderr.read()

    def ask(self, *arguments):
        """What a command prints as JSON there."""
        process = self.network.spawn(
            self.name, [*CLI, *arguments, "--json"], stdout=subprocess.PIPE, text=True
        )
        out, _ = process.communicate(timeout=30)
        assert process.returncode == 0, out
        return out

    def bindings(self):
        return self.ask("bindings", "--registry", str(self.path))


class Away:
    """A node on a visited network, registered with what it sends."""

    name, uplink = "board", "wlan0"

    def __init__(self, network, node, mtu=1452):
        self.network, self.node = network, node
        self.home = str(IPv6Address(node.home))
        self.sequence = -1
        self.join("visited1")
        self.peer = Lines(network, self.name, "home_peer.py", self.home, AGENT_TEXT, mtu)
        self.peer.hear("ready")

    def join(self, lan):
        self.network.attach(self.name, self.uplink, lan, dad=False)
        self.care_of = self.network.wait_for_address(self.name, self.uplink, lan)

    def open(self, way, outer=None):
        """The tunnel goes this way from now on; `outer`: the agent's IPv4 address."""
        self.way = way
        if way == "native":
            self.peer.say(native=self.care_of)
        else:
            target = AGENT_TEXT if way == "udp6" else outer
            self.peer.say(open=[target, packets.ENCAPSULATION_PORT])
        self.peer.hear("opened")

    def update(self, **more):
        """The next update that way, and the care-of address in it."""
        self.sequence += 1
        if self.way == "native":
            care_of = IPv6Address(self.care_of).packed
            return self.node.update(self.sequence, care_of, **more), care_of
        care_of = INSIDE4 if self.way == "udp4" else IPv6Address(self.care_of).packed
        made = self.node.inside(self.sequence, Endpoint(care_of, 1, bytes(16)), **more)
        return made, care_of

    def register(self, **more):
        """Its acknowledgement, checked."""
        update, care_of = self.update(**more)
        self.peer.say(send=update.payload.hex())
        return self.answer(care_of)

    def answer(self, care_of):
        while True:
            header = bytes.fromhex(self.peer.hear("came"))
            if messages.decode(header).kind == messages.BINDING_ACKNOWLEDGEMENT:
                break
        if self.way == "native":
            route = packets.routing_header(self.node.home, packets.MOBILITY)
            reply = SimpleNamespace(
                endpoint=b"",
                next_header=packets.ROUTING,
                payload=route + header,
                destination=care_of,
            )
        else:
            inner = packets.ipv6_header(AGENT, self.node.home, packets.MOBILITY, len(header))
            seen = care_of if self.way == "udp6" else b"the router's"
            reply = SimpleNamespace(endpoint=b"some", payload=inner + header, destination=seen)
        return self.node.read(reply, care_of)


class Home:
    """Everything: agent, node, network."""

    def __init__(self, network, scene, plane, mtu=1452):
        self.network, self.scene = network, scene
        self.node = node_of(scene)
        self.agent = Agent(network, scene.path, plane)
        self.ready = self.agent.start()
        self.away = Away(network, self.node, mtu)
        self.text = self.away.home

    def plane(self):
        """What `status` says of the data plane."""
        (facts,) = checked("home-agent-status", self.agent.ask("status"))
        return facts["data_plane"]

    def packets(self):
        return self.plane().get("packets", {})


def connect_ipv4(home):
    """IPv4 between the node, behind a NAT, and its home agent; the latter's address."""
    if nft_program() is None:
        pytest.skip("needs nft (Debian, Ubuntu: apt install nftables)")
    if uml.inside():
        pytest.skip("this kernel has no NAT that nft knows")
    network, router = home.network, home.network.namespace("router")
    router.add_address("home", "192.0.2.1/24")
    router.add_address("visited1", "10.1.0.1/24")
    router.nft(_NAT)
    home.agent.namespace.add_address(Agent.link, f"{_OUTER4}/24")
    board = network.namespace(Away.name)
    board.add_address(Away.uplink, "10.1.0.9/24")
    board.add_route("default", "10.1.0.1", Away.uplink)
    return _OUTER4


def ping(network, node, target, octets=56, count=3):
    """How many of so many echo requests were answered."""
    if PING is None:
        pytest.skip("needs ping (Debian, Ubuntu: apt install iputils-ping)")
    command = [PING, "-6", "-c", str(count), "-i", "0.1", "-W", "3", "-s", str(octets), target]
    process = network.spawn(node, command, stdout=subprocess.PIPE, text=True)
    out, _ = process.communicate(timeout=60)
    return out.count(f"bytes from {target}")


def against_tunnel(total, network, path, plane="tun"):
    """`total` packets into the tunnel of a node that is bound, from where it isn't: with its home
    address inside, another's, and what is no packet. `believed`: those that came out of it."""
    scene = HomeScene(path)
    node = node_of(scene)
    agent = Agent(network, path, plane)
    agent.start("--no-events", "--no-metrics")
    away = Away(network, node)
    away.open("native")
    assert away.register().status == 0
    network.attach("stranger", "eth0", "visited1", dad=False)
    network.wait_for_address("stranger", "eth0", "visited1")
    pid = agent.process.pid
    (plane,) = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    cn = IPv6Address(CORRESPONDENT_ADDRESS).packed
    datagram = packets.udp(node.home, cn, 5, 7, b"forged")
    good = packets.ipv6_header(node.home, cn, packets.UDP, len(datagram)) + datagram
    chance, memory = random.Random(2473), []
    with network.namespace("stranger").socket(socket.AF_INET6, socket.SOCK_RAW, 41) as one:
        one.connect((AGENT_TEXT, 0))
        for sent in range(total):
            forged = good if sent % 2 else mutated(chance, good)
            with contextlib.suppress(OSError):
                one.send(forged)
            if not sent % 512:
                time.sleep(0.004)  # what is lost in a buffer shows nothing
            if sent in (total // 10, total - 1):
                memory.append(resident(plane))
    time.sleep(2)
    (facts,) = json.loads(agent.ask("status"))
    counts = facts["data_plane"]["packets"]
    assert ping(network, "correspondent", away.home) == 3
    agent.end()
    scene.registry.close()
    away.peer.end()
    judged = {name: count for name, count in counts.items() if count and name != "delivered"}
    return {
        "packets": total,
        "judged": sum(judged.values()),
        "crashes": facts["data_plane"]["restarts"],
        "believed": counts["delivered"],
        "reasons": judged,
        "resident_octets": memory,
    }


def node_of(scene, number=NUMBER, generations=1):
    node = HomeNode(number, generations)
    scene.provision(node)
    return node
