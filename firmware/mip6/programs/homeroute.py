"""The home address and the route of programs that use it (rtnetlink(7)): octets only.

The address is on the loopback interface, marked as a home address, since the kernel takes type 2
routing headers for no other; and deprecated, so that nothing but our route offers it as a source.
Both are leases, which the kernel ends by itself; the route is known by a number of its own.

Numbers are in the machine's byte order.
"""

import struct
from socket import AF_INET6

from ..compat import const
from ..ports.netlink import NATIVE, attributes
from .xfrm import BITS, attribute, message, messages

ROUTES = const(0)  # NETLINK_ROUTE
NEWS = const(0x400)  # RTMGRP_IPV6_ROUTE

_NEWADDR = const(20)
_DELADDR = const(21)
_NEWROUTE = const(24)
_DELROUTE = const(25)
_GETROUTE = const(26)
_REPLACE_CREATE = const(0x500)
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
_OF_OURS = const(114)  # protocol, and metric: `ip -6 route` shows "proto 114"
_MAIN = const(254)
_UNICAST = const(1)
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
    body = struct.pack(NATIVE + _HEAD, AF_INET6, BITS, BITS, 0, 0, 0, 0, 0, 0)
    body += attribute(_RTA_DST, correspondent) + attribute(_RTA_SRC, source)
    return message(_GETROUTE, body + _word(_RTA_OIF, interface))


def gateway(told: bytes) -> bytes | None:
    """The router in the answer (16 octets; none: nobody, a neighbour); None: there is no way."""
    for kind, body in messages(told):
        if kind == _NEWROUTE and len(body) > 12 and body[7] == _UNICAST:
            for name, value in attributes(body[12:]):
                if name == _RTA_GATEWAY:
                    return value
            return b""
    return None


def route(correspondent: bytes, home: bytes, seconds: int, interface: int, router: bytes) -> bytes:
    """The octets that have programs use the home address, for so long."""
    body = _of_route(correspondent) + attribute(_RTA_PREFSRC, home)
    body += _word(_RTA_OIF, interface) + _word(_RTA_EXPIRES, seconds)
    if router:
        body += attribute(_RTA_GATEWAY, router)
    return message(_NEWROUTE, body, _REPLACE_CREATE)


def no_route(correspondent: bytes) -> bytes:
    """The octets that take that away."""
    return message(_DELROUTE, _of_route(correspondent))


def is_news(told: bytes) -> bool:
    """Whether a route changed that isn't ours."""
    for kind, body in messages(told):
        if kind in (_NEWROUTE, _DELROUTE) and len(body) >= 12 and body[5] != _OF_OURS:
            return True
    return False


def _of_route(correspondent: bytes) -> bytes:
    head = struct.pack(NATIVE + _HEAD, AF_INET6, BITS, 0, 0, _MAIN, _OF_OURS, 0, _UNICAST, 0)
    return head + attribute(_RTA_DST, correspondent) + _word(_RTA_PRIORITY, _OF_OURS)


def _address(kind: int, flags: int, home: bytes, rest: bytes) -> bytes:
    head = struct.pack(NATIVE + "BBBBI", AF_INET6, BITS, _HOMEADDRESS_NODAD, 0, _LOOPBACK)
    return message(kind, head + attribute(_IFA_ADDRESS, home) + rest, flags)


def _word(kind: int, value: int) -> bytes:
    return struct.pack(NATIVE + "HHI", 8, kind, value)
