"""The resolver of the laboratory's networks: one name, over UDP, in the router.

`python -m roamkey.lab.resolver` runs it as a process (see `helper`). It stands at one address of
each protocol, everywhere the same, as a public resolver does; what it does is told by whom asks,
since each network may have another (see `conditions`).
"""

import ipaddress
import json
import select
import socket
import struct
import sys
from collections.abc import Iterable

import dpkt

from roamkey.lab.helper import Control
from roamkey.lab.lans import (
    CORRESPONDENT_ADDRESS,
    CORRESPONDENT_IPV4,
    CORRESPONDENT_NAME,
    RESOLVERS,
    Lan,
)

_PORT = 53
_OCTETS = 512  # RFC 1035 section 4.2.1
_TTL_S = 1
_TYPES = {dpkt.dns.DNS_A: socket.AF_INET, dpkt.dns.DNS_AAAA: socket.AF_INET6}


class Resolver:
    """`names`: addresses by name; `networks`: what is done for askers, by prefix."""

    def __init__(self, names: dict[str, list[str]], networks: dict[str, str]) -> None:
        self._names = {name: [_packed(one) for one in found] for name, found in names.items()}
        self._networks = {
            ipaddress.ip_network(prefix): behaviour for prefix, behaviour in networks.items()
        }
        self.asked = 0

    def set(self, prefix: str, behaviour: str) -> None:
        """From now on it does this for a network: answers, fails, silent."""
        self._networks[ipaddress.ip_network(prefix)] = behaviour

    def statistics(self) -> dict[str, int]:
        """`asked`: questions that came, answered or not."""
        return {"asked": self.asked}

    def answer(self, question: bytes, asker: str) -> bytes | None:
        """The answer to a message; None for none."""
        try:
            message = dpkt.dns.DNS(question)
        except (dpkt.Error, struct.error, IndexError, ValueError):
            return None
        if message.qr != dpkt.dns.DNS_Q or len(message.qd) != 1:
            return None
        self.asked += 1
        behaviour = self._behaviour(asker)
        if behaviour == "silent":
            return None
        message.qr, message.ra = dpkt.dns.DNS_R, 1
        message.an, message.ns, message.ar = [], [], []
        asked = message.qd[0]
        found = self._names.get(asked.name.lower())
        if behaviour == "fails":
            message.rcode = dpkt.dns.DNS_RCODE_SERVFAIL
        elif found is None:
            message.rcode = dpkt.dns.DNS_RCODE_NXDOMAIN
        else:
            message.an = [
                dpkt.dns.DNS.RR(
                    name=asked.name, type=asked.type, cls=dpkt.dns.DNS_IN, ttl=_TTL_S, rdata=packed
                )
                for family, packed in found
                if family == _TYPES.get(asked.type)
            ]
        return bytes(message)

    def _behaviour(self, asker: str) -> str:
        address = ipaddress.ip_address(asker)
        for network, behaviour in self._networks.items():
            if address in network:
                return behaviour
        return "answers"


def _packed(address: str) -> tuple[socket.AddressFamily, bytes]:
    found = ipaddress.ip_address(address)
    return (socket.AF_INET if found.version == 4 else socket.AF_INET6), found.packed


def configuration(lans: Iterable[Lan]) -> dict[str, object]:
    """What the process is told: where it stands, what it knows, and what it does where."""
    return {
        "addresses": RESOLVERS,
        "names": {CORRESPONDENT_NAME: [CORRESPONDENT_ADDRESS, CORRESPONDENT_IPV4]},
        "networks": {prefix: lan.conditions.resolver for lan in lans for prefix in lan.prefixes},
    }


def main() -> None:
    configuration = json.loads(sys.argv[2])
    resolver = Resolver(configuration["names"], configuration["networks"])
    sockets: list[socket.socket] = []
    for address in configuration["addresses"]:
        family, _ = _packed(address)
        sockets.append(socket.socket(family, socket.SOCK_DGRAM))
        sockets[-1].bind((address, _PORT))
    control = Control(int(sys.argv[1]), {"set": resolver.set, "statistics": resolver.statistics})
    control.ready()
    sources: list[Control | socket.socket] = [control, *sockets]
    while True:
        readable, _, _ = select.select(sources, (), ())
        if control in readable and not control.serve():
            return
        for source in sockets:
            if source not in readable:
                continue
            question, asker = source.recvfrom(_OCTETS)
            answer = resolver.answer(question, asker[0])
            if answer is not None:
                source.sendto(answer, asker)


if __name__ == "__main__":
    main()
