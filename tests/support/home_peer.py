"""The mobile end of a home agent's tunnel, and no more of a node: `home_peer.py HOME AGENT MTU`.

Its home address is on a TUN device, by which programs beside it send: all goes through the tunnel.
What to do it is told in lines of JSON on standard input:

{"native": care_of}         the tunnel is IPv6 in IPv6 from there; {"opened": 0}
{"open": [address, port]}   it is inside UDP, from a new port; {"opened": port}
{"send": hex}               a packet is sent that way: whole, or natively from its options on
{"tunnel": hex}             a packet is sent through the tunnel as it is

Mobility Headers that arrive are told: {"came": hex}, from the message on.
"""

import contextlib
import json
import os
import select
import socket
import sys
from ipaddress import IPv6Address

from pyroute2 import IPRoute

from mip6 import packets
from roamkey.correspondent.dataplane import filters, tun

_IFA_F_NODAD = 0x02
_IN_IPV6 = 41
_METRIC = 10
UPLINK = b"wlan0\0"  # the route to anywhere leads into the device


class Peer:
    """Device, and the sockets of the way that it uses."""

    def __init__(self, home, agent, mtu):
        self.home, self.agent = IPv6Address(home).packed, agent
        self.device, name = tun.open_device("home%d")
        with IPRoute() as netlink:
            (index,) = netlink.link_lookup(ifname=name)
            netlink.link("set", index=index, mtu=int(mtu), state="up")
            netlink.addr("add", index=index, address=home, prefixlen=128, flags=_IFA_F_NODAD)
            netlink.route("add", family=socket.AF_INET6, dst="::/0", oif=index, priority=_METRIC)
        self.out = self.tunnel = self.acknowledged = None
        self.lines = b""

    def run(self):
        tell(ready=True)
        while True:
            ways = [one for one in (self.tunnel, self.acknowledged) if one is not None]
            ready, _, _ = select.select([self.device, sys.stdin, *ways], [], [])
            if sys.stdin in ready and not self.obey():
                return
            if self.device in ready:
                packet = os.read(self.device, 65536)
                if self.tunnel is not None and packet[8:24] == self.home:
                    with contextlib.suppress(OSError):  # an error's report: lost on the way
                        self.tunnel.send(packet)
            for one in ways:
                if one in ready and one in (self.tunnel, self.acknowledged):
                    self.inward(one)

    def obey(self):
        told = os.read(0, 65536)
        *lines, self.lines = (self.lines + told).split(b"\n")
        for line in lines:
            what = json.loads(line)
            if "send" in what:
                self.out.send(bytes.fromhex(what["send"]))
            elif "tunnel" in what:
                self.tunnel.send(bytes.fromhex(what["tunnel"]))
            else:
                for one in {self.out, self.tunnel, self.acknowledged} - {None}:
                    one.close()
                self.open(what)
        return bool(told)

    def open(self, what):
        if "open" in what:
            address, port = what["open"]
            family = socket.AF_INET6 if ":" in address else socket.AF_INET
            self.out = self.tunnel = socket.socket(family, socket.SOCK_DGRAM)
            self.tunnel.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, UPLINK)
            self.tunnel.connect((address, port))
            self.acknowledged = None
            tell(opened=self.tunnel.getsockname()[1])
            return
        kinds = (packets.DESTINATION_OPTIONS, _IN_IPV6, packets.ROUTING)
        self.out, self.tunnel, self.acknowledged = (
            socket.socket(socket.AF_INET6, socket.SOCK_RAW, kind) for kind in kinds
        )
        filters.nothing(self.out)
        for one in (self.out, self.tunnel, self.acknowledged):
            one.bind((what["native"], 0))
            one.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, UPLINK)
        for one in (self.out, self.tunnel):
            one.connect((self.agent, 0))
        tell(opened=0)

    def inward(self, one):
        try:
            packet = one.recv(65536)
        except OSError:
            return
        if one is self.acknowledged:
            tell(came=packet[packets.EXTENSION_OCTETS :].hex())
        elif packet[6] == packets.MOBILITY:
            tell(came=packet[packets.IPV6_HEADER_OCTETS :].hex())
        else:
            os.write(self.device, packet)


def tell(**what):
    print(json.dumps(what), flush=True)


if __name__ == "__main__":
    Peer(*sys.argv[1:]).run()
