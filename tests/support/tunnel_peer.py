"""A node that is reached inside UDP, and no more of one: `tunnel_peer.py HOME CORRESPONDENT MTU`.

Its home address is on a TUN device of that MTU, so any program beside it may use it. What to do it
is told in lines of JSON on standard input; what it is told is done when it has said so:

{"open": [address, port]}   data go inside UDP to there, from a new port; {"opened": port}
{"native": care_of}         data go natively; {"opened": 0}
{"send": hex}               a packet is sent that way: whole, or from its extension header on

Signalling that arrives is told: {"came": hex}.
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
UPLINK = b"wlan0\0"  # the route to the correspondent leads into the device
_NOT_DATA = (packets.MOBILITY, packets.NO_NEXT_HEADER)


class Peer:
    """Device, and the socket of the way that it uses."""

    def __init__(self, home, correspondent, mtu):
        self.home, self.correspondent = IPv6Address(home).packed, IPv6Address(correspondent).packed
        self.device, name = tun.open_device("home%d")
        with IPRoute() as netlink:
            (index,) = netlink.link_lookup(ifname=name)
            netlink.link("set", index=index, mtu=int(mtu), state="up")
            netlink.addr("add", index=index, address=home, prefixlen=128, flags=_IFA_F_NODAD)
            netlink.route(
                "add", family=socket.AF_INET6, dst=f"{correspondent}/128", oif=index, prefsrc=home
            )
        self.way = self.inner = None
        self.lines = b""

    def run(self):
        tell(ready=True)
        while True:
            ways = [one for one in (self.way, self.inner) if one is not None]
            ready, _, _ = select.select([self.device, sys.stdin, *ways], [], [])
            if sys.stdin in ready and not self.obey():
                return
            if self.device in ready:
                self.outward()
            for one in ways:
                if one in ready and one in (self.way, self.inner):
                    self.inward(one)

    def obey(self):
        told = os.read(0, 65536)
        *lines, self.lines = (self.lines + told).split(b"\n")
        for line in lines:
            what = json.loads(line)
            if "send" in what:
                self.way.send(bytes.fromhex(what["send"]))
                continue
            for one in (self.way, self.inner):
                if one is not None:
                    one.close()
            self.way = self.inner = None
            if "open" in what:
                address, port = what["open"]
                family = socket.AF_INET6 if ":" in address else socket.AF_INET
                self.way = socket.socket(family, socket.SOCK_DGRAM)
                self.way.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, UPLINK)
                self.way.connect((address, port))
                tell(opened=self.way.getsockname()[1])
            else:
                kinds = (packets.DESTINATION_OPTIONS, packets.ROUTING)
                self.way, self.inner = (
                    socket.socket(socket.AF_INET6, socket.SOCK_RAW, kind) for kind in kinds
                )
                filters.nothing(self.way)
                self.inner.bind((what["native"], 0))
                self.way.bind((what["native"], 0))
                self.way.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, UPLINK)
                self.way.connect((str(IPv6Address(self.correspondent)), 0))
                tell(opened=0)
        return bool(told)

    def outward(self):
        packet = os.read(self.device, 65536)
        if self.way is None or packet[8:40] != self.home + self.correspondent:
            return
        if self.inner is not None:
            packet = packets.home_address_option(self.home, packet[6]) + packet[40:]
        with contextlib.suppress(
            OSError
        ):  # a report of an error, or too long: lost, as on any way
            self.way.send(packet)

    def inward(self, one):
        try:
            packet = one.recv(65536)
        except OSError:
            return
        if one is self.inner:
            kind, packet = packet[0], packet[packets.EXTENSION_OCTETS :]
            header = packets.ipv6_header(self.correspondent, self.home, kind, len(packet))
            packet = header + packet
        if packet[6] in _NOT_DATA:
            tell(came=packet.hex())
        else:
            os.write(self.device, packet)


def tell(**what):
    print(json.dumps(what), flush=True)


if __name__ == "__main__":
    Peer(*sys.argv[1:]).run()
