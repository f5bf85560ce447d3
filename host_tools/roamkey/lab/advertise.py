"""Router Advertisements: one to each Router Solicitation at once, and unasked at intervals.

`python -m roamkey.lab.advertise` runs it as a process (see `helper`) in the router's namespace.
A board learns the prefix of the network it is on from nothing else.
"""

import ipaddress
import json
import select
import socket
import struct
import sys
import time
from dataclasses import dataclass

from roamkey.lab.helper import Control

# RFC 4861, sections 4.1 and 4.2
_ROUTER_SOLICITATION = 133
_ROUTER_ADVERTISEMENT = 134
_HOP_LIMIT = 255
_ADVERTISED_HOP_LIMIT = 64
# RFC 4861, section 4.6; RFC 6275, section 7.3
_OPTION_SOURCE_LINK_LAYER = 1
_OPTION_PREFIX = 3
_OPTION_MTU = 5
_OPTION_ADVERTISEMENT_INTERVAL = 7
_PREFIX_ON_LINK = 0x80
_PREFIX_AUTONOMOUS = 0x40

_ALL_NODES = "ff02::1"
# linux/icmpv6.h: a filter of 256 bits, a set bit blocks the type
_ICMPV6_FILTER = 1
_IPV6_RECVHOPLIMIT = 51
_IPV6_HOPLIMIT = 52


@dataclass(frozen=True)
class Advertisement:
    """What a router says about a link; times in seconds, `mac` in colon form."""

    prefix: str
    mac: str
    interval: float
    router_lifetime: int = 1800
    valid_lifetime: int = 86400
    preferred_lifetime: int = 14400
    mtu: int = 1500

    def encode(self) -> bytes:
        """The ICMPv6 message of RFC 4861, section 4.2; the checksum field is 0."""
        prefix = ipaddress.IPv6Network(self.prefix)
        head = struct.pack(
            "!BBHBBHII",
            _ROUTER_ADVERTISEMENT,
            0,
            0,
            _ADVERTISED_HOP_LIMIT,
            0,
            self.router_lifetime,
            0,
            0,
        )
        link_layer = struct.pack("!BB6s", _OPTION_SOURCE_LINK_LAYER, 1, _octets(self.mac))
        mtu = struct.pack("!BBHI", _OPTION_MTU, 1, 0, self.mtu)
        information = struct.pack(
            "!BBBBIII16s",
            _OPTION_PREFIX,
            4,
            prefix.prefixlen,
            _PREFIX_ON_LINK | _PREFIX_AUTONOMOUS,
            self.valid_lifetime,
            self.preferred_lifetime,
            0,
            prefix.network_address.packed,
        )
        interval = struct.pack(
            "!BBHI", _OPTION_ADVERTISEMENT_INTERVAL, 1, 0, round(self.interval * 1000)
        )
        return head + link_layer + mtu + information + interval


class Advertiser:
    """The router's voice on one interface."""

    def __init__(self, interface: str, advertisement: Advertisement) -> None:
        self._advertisement = advertisement.encode()
        self._interval = advertisement.interval
        self.next_time = time.monotonic()
        index = socket.if_nametoindex(interface)
        self._everyone = (_ALL_NODES, 0, 0, index)
        self._socket = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)
        self._socket.setsockopt(
            socket.SOL_SOCKET, socket.SO_BINDTODEVICE, interface.encode() + b"\0"
        )
        for option, value in (
            (socket.IPV6_MULTICAST_IF, index),
            (socket.IPV6_MULTICAST_HOPS, _HOP_LIMIT),
            (socket.IPV6_UNICAST_HOPS, _HOP_LIMIT),
            (socket.IPV6_MULTICAST_LOOP, 0),
            (_IPV6_RECVHOPLIMIT, 1),
        ):
            self._socket.setsockopt(socket.IPPROTO_IPV6, option, value)
        allow = [0xFFFFFFFF] * 8
        allow[_ROUTER_SOLICITATION // 32] &= ~(1 << _ROUTER_SOLICITATION % 32)
        self._socket.setsockopt(socket.IPPROTO_ICMPV6, _ICMPV6_FILTER, struct.pack("=8I", *allow))

    def fileno(self) -> int:
        return self._socket.fileno()

    def answer(self) -> None:
        """Answer the solicitation that waits: to its source, or to all if it has no address."""
        _, ancillary, _, source = self._socket.recvmsg(1500, 64)
        hop_limits = [
            struct.unpack("=i", data[:4])[0]
            for level, kind, data in ancillary
            if (level, kind) == (socket.IPPROTO_IPV6, _IPV6_HOPLIMIT)
        ]
        if hop_limits != [_HOP_LIMIT]:  # RFC 4861, section 6.1.1: it came through a router
            return
        self._send(self._everyone if source[0] == "::" else source)

    def advertise(self) -> None:
        """Advertise to all, and set the time of the next."""
        self._send(self._everyone)
        self.next_time = time.monotonic() + self._interval

    def _send(self, destination: tuple[str, int, int, int]) -> None:
        try:
            self._socket.sendto(self._advertisement, destination)
        except OSError as error:  # the link is down: the next one may do better
            print(f"router advertisement not sent: {error}", file=sys.stderr)


def _octets(mac: str) -> bytes:
    return bytes.fromhex(mac.replace(":", ""))


def main() -> None:
    links = json.loads(sys.argv[2])
    advertisers = [
        Advertiser(interface, Advertisement(**values)) for interface, values in links.items()
    ]

    def advertise() -> None:
        for advertiser in advertisers:
            advertiser.advertise()

    control = Control(int(sys.argv[1]), {"advertise": advertise})
    advertise()
    control.ready()
    sources: list[Control | Advertiser] = [control, *advertisers]
    while True:
        timeout = max(0, min(a.next_time for a in advertisers) - time.monotonic())
        readable, _, _ = select.select(sources, (), (), timeout)
        for source in readable:
            if isinstance(source, Advertiser):
                source.answer()
            elif not control.serve():
                return
        for advertiser in advertisers:
            if advertiser.next_time <= time.monotonic():
                advertiser.advertise()


if __name__ == "__main__":
    main()
