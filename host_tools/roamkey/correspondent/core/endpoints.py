"""The ways to a node, and the endpoint of one that is reached through UDP (no I/O).

An endpoint is the outer address and port that a datagram came from, and the local address that it
came to: docs/SPEC.md, "Encapsulated in UDP". It travels packed, as the registry keeps it; b"" is
the endpoint of what came, or goes, natively.
"""

from typing import NamedTuple

from mip6 import addresses
from mip6.bindings import ways
from mip6.limits import ADDRESS_OCTETS

WAYS = NATIVE, UDP6, UDP4 = ways.NAMES

_PORT_OCTETS = 2
_PEER = slice(0, ADDRESS_OCTETS + _PORT_OCTETS)
ENDPOINT_OCTETS = 2 * ADDRESS_OCTETS + _PORT_OCTETS

_LINK_LOCAL4 = b"\xa9\xfe"  # 169.254/16, RFC 3927
_LOOPBACK4 = 127
_MULTICAST4 = 224  # and all above it


class Endpoint(NamedTuple):
    """Where a node is heard: its outer `address` (16 octets, an IPv4 one mapped) and `port`, and
    the `local` address (16 octets) that it sends to."""

    address: bytes
    port: int
    local: bytes

    @property
    def packed(self) -> bytes:
        """34 octets: address, port (big-endian), local."""
        return self.address + self.port.to_bytes(_PORT_OCTETS, "big") + self.local


def unpack(packed: bytes) -> Endpoint:
    """The endpoint in 34 octets."""
    port = int.from_bytes(packed[ADDRESS_OCTETS : _PEER.stop], "big")
    return Endpoint(packed[:ADDRESS_OCTETS], port, packed[_PEER.stop :])


def way(packed: bytes) -> str:
    """The way that a packed endpoint stands for, one of `WAYS`."""
    if not packed:
        return NATIVE
    return UDP4 if addresses.is_ipv4(packed) else UDP6


def is_same(one: bytes, other: bytes) -> bool:
    """Whether two endpoints are the same node's port; the local address may be another."""
    return one[_PEER] == other[_PEER]


def text(packed: bytes) -> str:
    """Outer address and port as "192.0.2.1:5000" or "[2001:db8::1]:5000"; empty for b""."""
    if not packed:
        return ""
    address, port, _ = unpack(packed)
    shown = addresses.text(address)
    return f"{shown}:{port}" if addresses.is_ipv4(address) else f"[{shown}]:{port}"


def can_answer(packed: bytes) -> bool:
    """Whether anything may be sent to an endpoint."""
    return is_unicast(packed[:ADDRESS_OCTETS]) and any(packed[ADDRESS_OCTETS : _PEER.stop])


def is_unicast(address: bytes) -> bool:
    """Whether an outer or a care-of address can be one host's own, and be answered from afar:
    not unspecified, loopback, link-local, multicast or reserved. Private ones pass."""
    if not addresses.is_ipv4(address):
        return bool(addresses.is_unicast_global(address))
    first = address[12]
    return 0 < first < _MULTICAST4 and first != _LOOPBACK4 and address[12:14] != _LINK_LOCAL4
