"""A DHCP server for the laboratory's IPv4 networks (RFC 2131): address, router, resolver.

`python -m roamkey.lab.dhcp` runs it as a process (see `helper`) in the router, for stations that
have a client, as an emulated Pico W has. A station gets the same address whenever it asks.
"""

import ipaddress
import json
import select
import socket
import struct
import sys
from collections.abc import Iterable

import dpkt
from dpkt.dhcp import (
    DHCP,
    DHCP_OP_REPLY,
    DHCP_OP_REQUEST,
    DHCP_OPT_DNS_SVRS,
    DHCP_OPT_LEASE_SEC,
    DHCP_OPT_MSGTYPE,
    DHCP_OPT_NETMASK,
    DHCP_OPT_REQ_IP,
    DHCP_OPT_ROUTER,
    DHCP_OPT_SERVER_ID,
    DHCPACK,
    DHCPDISCOVER,
    DHCPNAK,
    DHCPOFFER,
    DHCPREQUEST,
)

from roamkey.lab.helper import Control
from roamkey.lab.lans import RESOLVERS, Lan

_SERVER_PORT, _CLIENT_PORT = 67, 68
_OCTETS = 1500
_LEASE_S = 600
_FIRST, _LAST = 100, 250  # the last octet of an address
_BROADCAST = "255.255.255.255"


class Server:
    """On one network: `router` is its own address there and the stations' way out."""

    def __init__(self, interface: str, router: str, resolver: str) -> None:
        """Listen."""
        self._router = ipaddress.IPv4Address(router)
        self._resolver = ipaddress.IPv4Address(resolver)
        self._network = ipaddress.IPv4Network((router, 24), strict=False)
        self._leases: dict[bytes, ipaddress.IPv4Address] = {}
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setsockopt(
            socket.SOL_SOCKET, socket.SO_BINDTODEVICE, interface.encode() + b"\0"
        )
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._socket.bind(("", _SERVER_PORT))

    def fileno(self) -> int:
        """For select."""
        return self._socket.fileno()

    def serve(self) -> None:
        """Answer the message that waits. To all: who asks has no address yet."""
        answer = self.answer(self._socket.recv(_OCTETS))
        if answer is not None:
            self._socket.sendto(answer, (_BROADCAST, _CLIENT_PORT))

    def answer(self, octets: bytes) -> bytes | None:
        """The answer to a message; None for none."""
        try:
            message = DHCP(octets)
        except (dpkt.Error, struct.error, IndexError, ValueError):
            return None
        options = dict(message.opts)
        kind = options.get(DHCP_OPT_MSGTYPE)
        if message.op != DHCP_OP_REQUEST or kind not in _ANSWERS:
            return None
        server = options.get(DHCP_OPT_SERVER_ID, self._router.packed)
        lease = self._lease(message.chaddr)
        if lease is None or server != self._router.packed:  # it chose another
            return None
        told = _ANSWERS[kind]
        asked = options.get(DHCP_OPT_REQ_IP) or message.ciaddr.to_bytes(4, "big")
        if kind == _REQUEST and asked != lease.packed:
            told = DHCPNAK
        given: list[tuple[int, bytes]] = [
            (DHCP_OPT_MSGTYPE, bytes((told,))),
            (DHCP_OPT_SERVER_ID, self._router.packed),
        ]
        if told != DHCPNAK:
            given += [
                (DHCP_OPT_LEASE_SEC, struct.pack("!I", _LEASE_S)),
                (DHCP_OPT_NETMASK, self._network.netmask.packed),
                (DHCP_OPT_ROUTER, self._router.packed),
                (DHCP_OPT_DNS_SVRS, self._resolver.packed),
            ]
        return bytes(
            DHCP(
                op=DHCP_OP_REPLY,
                xid=message.xid,
                flags=message.flags,
                yiaddr=0 if told == DHCPNAK else int(lease),
                siaddr=int(self._router),
                chaddr=message.chaddr,
                opts=given,
            )
        )

    def _lease(self, station: bytes) -> ipaddress.IPv4Address | None:
        if station not in self._leases:
            octet = _FIRST + len(self._leases)
            if octet > _LAST:
                return None
            self._leases[station] = self._network.network_address + octet
        return self._leases[station]


_DISCOVER, _REQUEST = bytes((DHCPDISCOVER,)), bytes((DHCPREQUEST,))
_ANSWERS = {_DISCOVER: DHCPOFFER, _REQUEST: DHCPACK}


def configuration(lans: Iterable[Lan]) -> list[list[str]]:
    """What the process is told: interface, router and resolver of each network with IPv4."""
    return [[lan.name, lan.router_ipv4, RESOLVERS[0]] for lan in lans if lan.conditions.ipv4]


def main() -> None:
    servers = [Server(*one) for one in json.loads(sys.argv[2])]
    control = Control(int(sys.argv[1]), {})
    control.ready()
    sources: list[Control | Server] = [control, *servers]
    while True:
        readable, _, _ = select.select(sources, (), ())
        if control in readable and not control.serve():
            return
        for server in servers:
            if server in readable:
                server.serve()


if __name__ == "__main__":
    main()
