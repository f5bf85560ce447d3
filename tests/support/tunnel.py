"""A node inside UDP in the laboratory's network, over IPv6 or over IPv4 behind a NAT."""

import json
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from mip6 import packets
from support.daemons import ADDRESS
from support.roaming import PROGRAMS

HOME = "2001:db8:a::77"
OUTER4 = "192.0.2.2"
PORT = packets.ENCAPSULATION_PORT
NFT = shutil.which("nft", path="/usr/sbin:/sbin:/usr/bin")
_SUPPORT = Path(__file__).parent
_ROUTER4 = "192.0.2.1"
_NAT = """
table ip nat {
    chain postrouting {
        type nat hook postrouting priority srcnat; policy accept;
        ip saddr 10.1.0.0/24 oifname "wan" masquerade fully-random
    }
}
"""


class Lines:
    """A process that is told lines of JSON and tells such lines."""

    def __init__(self, network, node, program, *arguments, **options):
        self.process = network.spawn(
            node,
            [sys.executable, str(_SUPPORT / program), *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            **options,
        )

    def say(self, **what):
        self.process.stdin.write(json.dumps(what) + "\n")
        self.process.stdin.flush()

    def hear(self, name):
        """The next line that has this name; what it says of it."""
        for line in self.process.stdout:
            told = json.loads(line)
            if name in told:
                return told[name]
        raise AssertionError(f"it ended and told no {name}")

    def end(self):
        self.process.stdin.close()
        assert self.process.wait(30) == 0


class Tunnel:
    """The node, on `visited1` at first, with both families; the router is a NAT for IPv4."""

    name, uplink = "tunnelled", "wlan0"

    def __init__(self, network, home=HOME, correspondent=ADDRESS, mtu=1452):
        if NFT is None:
            pytest.skip("needs nft (Debian, Ubuntu: apt install nftables)")
        self.network, self.home = network, home
        self._connect_ipv4()
        network.attach(self.name, self.uplink, "visited1", dad=False)
        self.care_of = network.wait_for_address(self.name, self.uplink, "visited1")
        node = network.namespace(self.name)
        node.add_address(self.uplink, "10.1.0.9/24")
        self._route4(self.name, "10.1.0.1", self.uplink)
        self.peer = Lines(network, self.name, "tunnel_peer.py", home, correspondent, mtu)
        self.peer.hear("ready")

    def _connect_ipv4(self):
        network = self.network
        router = network.namespace("router")
        network.namespace("correspondent").add_address("eth0", f"{OUTER4}/24")
        self._route4("correspondent", _ROUTER4, "eth0")
        router.add_address("wan", f"{_ROUTER4}/24")
        router.add_address("visited1", "10.1.0.1/24")
        self.run("router", "sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward")
        self.nft("router", _NAT)

    def _route4(self, node, gateway, interface):
        namespace = self.network.namespace(node)
        namespace._ask(
            "route",
            "replace",
            family=socket.AF_INET,
            dst="0.0.0.0/0",
            gateway=gateway,
            oif=namespace.index(interface),
        )

    def nft(self, node, script):
        process = self.network.spawn(node, [NFT, "-f", "-"], stdin=subprocess.PIPE, text=True)
        process.communicate(script, timeout=30)
        assert process.returncode == 0

    def run(self, node, *command):
        """Standard output of a command that succeeds."""
        process = self.network.spawn(node, command, stdout=subprocess.PIPE, text=True)
        out, _ = process.communicate(timeout=60)
        assert process.returncode == 0, command
        return out

    def narrow(self, octets):
        """The link between router and node takes so many octets, both ways."""
        for node, interface in (("router", "visited1"), (self.name, self.uplink)):
            namespace = self.network.namespace(node)
            namespace._ask("link", "set", index=namespace.index(interface), mtu=octets)

    def open(self, way):
        """Data go this way from now on; the port where the node sends from, 0 natively."""
        if way == "native":
            self.peer.say(native=self.care_of)
        else:
            self.peer.say(open=[ADDRESS if way == "udp6" else OUTER4, PORT])
        return self.peer.hear("opened")

    def send(self, packet):
        """A packet the way that is open."""
        self.peer.say(send=bytes(packet).hex())

    def start(self, node, *arguments, **options):
        """A program of programs.py, at "correspondent" or "node"."""
        name = self.name if node == "node" else node
        command = [sys.executable, PROGRAMS, *map(str, arguments)]
        return self.network.spawn(name, command, stdout=subprocess.PIPE, text=True, **options)

    def serve(self, node, *arguments, **options):
        """A server, ready to be used."""
        process = self.start(node, *arguments, **options)
        assert json.loads(process.stdout.readline())["ready"]
        return process
