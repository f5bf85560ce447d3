"""The home address and the route of programs that use it (rtnetlink(7)): octets only.

The address is on the loopback interface, marked as a home address, since the kernel takes type 2
routing headers for no other; and deprecated, so that nothing but our route offers it as a source.
Both are leases, which the kernel ends by itself; the route is known by a number of its own.

Numbers are in the machine's byte order.
"""

import struct

from ..compat import const
from .netlink import NATIVE
from .xfrm import messages

TYPE_CHECKING = const(False)

if TYPE_CHECKING:
    from collections.abc import Iterator

PROTOCOL = const(0)  # NETLINK_ROUTE
NEWS = const(0x400)  # RTMGRP_IPV6_ROUTE

_NEWADDR = const(20)
_DELADDR = const(21)
_NEWROUTE = const(24)
_DELROUTE = const(25)
_GETROUTE = const(26)
_REQUEST_ACK = const(0x5)
_REPLACE_CREATE = const(0x500)
_AF_INET6 = const(10)
_LOOPBACK = const(1)
_HOMEADDRESS_NODAD = const(0x12)
_IFA_ADDRESS = const(1)
_IFA_CACHEINFO = const(6)
_RTA_DST = const(1)
_RTA_SRC = const(2)
_RTA_OIF = const(4)
_RTA_GATEWAY = const(5)
_RTA_PRIORITY = const(6)
_RTA_PREFSRC = const(7)
_RTA_EXPIRES = const(23)
_OF_OURS = const(114)  # protocol, and the first metric: `ip -6 route` shows "proto 114"
_MAIN = const(254)
_UNICAST = const(1)
_UNREACHABLE = const(7)
_BITS = const(128)
_HEAD = "BBBBBBBBI"


def address(home: bytes, seconds: int) -> bytes:
    """The octets that have the kernel keep the home address for so long."""
    lease = struct.pack(NATIVE + "HHIIII", 20, _IFA_CACHEINFO, 0, seconds, 0, 0)
    return _address(_NEWADDR, _REPLACE_CREATE, home, lease)


def no_address(home: bytes) -> bytes:
    """The octets that take it away."""
    return _address(_DELADDR, 0, home, b"")


def ask_route(correspondent: bytes, source: bytes, interface: int) -> bytes:
    """The octets that ask how packets go: see `gateway`."""
    body = struct.pack(NATIVE + _HEAD, _AF_INET6, _BITS, _BITS, 0, 0, 0, 0, 0, 0)
    body += _octets(_RTA_DST, correspondent) + _octets(_RTA_SRC, source)
    return _message(_GETROUTE, 0, body + _number(_RTA_OIF, interface))


def gateway(told: bytes) -> bytes | None:
    """The router in the answer (16 octets; none: nobody, a neighbour); None: there is no way."""
    for kind, body in messages(told):
        if kind == _NEWROUTE and len(body) > 12 and body[7] == _UNICAST:
            for attribute, value in _attributes(body[12:]):
                if attribute == _RTA_GATEWAY:
                    return value
            return b""
    return None


def route(
    correspondent: bytes, home: bytes, seconds: int, interface: int = 0, router: bytes = b""
) -> bytes:
    """The octets that have programs use the home address, for so long. Without an interface that
    is the route for when there is no other: nobody is reached, by no other address."""
    body = _of_route(correspondent, not interface) + _octets(_RTA_PREFSRC, home)
    body += _number(_RTA_EXPIRES, seconds)
    if interface:
        body += _number(_RTA_OIF, interface)
    if router:
        body += _octets(_RTA_GATEWAY, router)
    return _message(_NEWROUTE, _REPLACE_CREATE, body)


def no_routes(correspondent: bytes) -> list[bytes]:
    """The octets that take both away."""
    return [_message(_DELROUTE, 0, _of_route(correspondent, one)) for one in (False, True)]


def is_news(told: bytes) -> bool:
    """Whether a route changed that isn't ours."""
    for kind, body in messages(told):
        if kind in (_NEWROUTE, _DELROUTE) and len(body) >= 12 and body[5] != _OF_OURS:
            return True
    return False


def _of_route(correspondent: bytes, rejects: bool) -> bytes:
    kind = _UNREACHABLE if rejects else _UNICAST
    head = struct.pack(NATIVE + _HEAD, _AF_INET6, _BITS, 0, 0, _MAIN, _OF_OURS, 0, kind, 0)
    return head + _octets(_RTA_DST, correspondent) + _number(_RTA_PRIORITY, _OF_OURS + rejects)


def _address(kind: int, flags: int, home: bytes, rest: bytes) -> bytes:
    head = struct.pack(NATIVE + "BBBBI", _AF_INET6, _BITS, _HOMEADDRESS_NODAD, 0, _LOOPBACK)
    return _message(kind, flags, head + _octets(_IFA_ADDRESS, home) + rest)


def _message(kind: int, flags: int, body: bytes) -> bytes:
    return struct.pack(NATIVE + "IHHII", 16 + len(body), kind, _REQUEST_ACK | flags, 1, 0) + body


def _octets(kind: int, value: bytes) -> bytes:
    return struct.pack(NATIVE + "HH", 4 + len(value), kind) + value


def _number(kind: int, value: int) -> bytes:
    return struct.pack(NATIVE + "HHI", 8, kind, value)


def _attributes(octets: bytes) -> "Iterator[tuple[int, bytes]]":
    at = 0
    while at + 4 <= len(octets):
        size, kind = struct.unpack(NATIVE + "HH", octets[at : at + 4])
        if size < 4:
            return
        yield kind, bytes(octets[at + 4 : at + size])
        at += (size + 3) & ~3
