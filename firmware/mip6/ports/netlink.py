"""What the Linux kernel says about interfaces and their addresses (rtnetlink), octets only.

An IPv4 address is told as the IPv4-mapped one.

RTM_NEWADDR, RTM_DELADDR, RTM_NEWLINK, RTM_DELLINK and what asks for them: rtnetlink(7),
linux/if_addr.h, linux/if_link.h. Numbers are in the machine's byte order.
"""

import struct
import sys

from ..addresses import IPV4_MAPPED, is_autoip
from ..compat import const

TYPE_CHECKING = const(False)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

NATIVE = "<" if sys.byteorder == "little" else ">"  # MicroPython has no "="

FAMILY = const(16)  # AF_NETLINK
# RTMGRP_LINK, RTMGRP_IPV4_IFADDR, RTMGRP_IPV4_ROUTE, RTMGRP_IPV6_IFADDR, RTMGRP_IPV6_PREFIX
GROUPS = const(0x20151)

ADDRESS = const(1)
NO_ADDRESS = const(2)
LINK = const(3)
NO_LINK = const(4)
DONE = const(5)
ROUTE = const(6)
LOCAL = const(7)
PREFIX = const(8)

#: Whether an address can be used: not; its detection is over; it isn't, and it can (RFC 4429).
UNUSABLE = const(0)
USABLE = const(1)
OPTIMISTIC = const(2)

_NLMSG_ERROR = const(2)
_NLMSG_DONE = const(3)
_RTM_NEWLINK = const(16)
_RTM_DELLINK = const(17)
_RTM_GETLINK = const(18)
_RTM_NEWADDR = const(20)
_RTM_DELADDR = const(21)
_RTM_GETADDR = const(22)
_RTM_NEWROUTE = const(24)
_RTM_NEWPREFIX = const(52)
_NLM_F_REQUEST = const(0x1)
_NLM_F_REQUEST_DUMP = const(0x301)
_NLM_F_CREATE = const(0x400)
_NLM_F_MULTI = const(0x2)  # a part of a dump
_AF_INET = const(2)
_AF_INET6 = const(10)

_IFA_ADDRESS = const(1)
_IFA_LOCAL = const(2)  # of IPv4: ours, where _IFA_ADDRESS may be the other end's
_IFA_CACHEINFO = const(6)
_IFA_FLAGS = const(8)
_IFLA_ADDRESS = const(1)
_IFLA_IFNAME = const(3)
_IFLA_CARRIER_CHANGES = const(35)
_IFF_LOOPBACK = const(0x8)
_IFF_LOWER_UP = const(0x10000)
_IFF_UP = const(0x1)
_SCOPE_GLOBAL = const(0)  # RT_SCOPE_UNIVERSE
_SCOPE_LINK = const(253)
_RTA_OIF = const(4)
_ALONE = const(128)  # bits of the prefix of an address that we add
_FORMED = const(64)  # of one that the kernel forms on Ethernet

_NODAD = const(0x02)
_PREFIX_ADDRESS = const(1)
_TEMPORARY = const(0x01)  # of RFC 8981: a new one each day would be a move each day
_DADFAILED = const(0x08)
_FLAG_OPTIMISTIC = const(0x04)  # beside _TENTATIVE, and only where it may be used at once
_DEPRECATED = const(0x20)
_TENTATIVE = const(0x40)
_FOR_EVER = const(0xFFFFFFFF)  # seconds


def ask_links() -> bytes:
    """The octets that ask for all interfaces."""
    return struct.pack(NATIVE + "IHHIIBBHiII", 32, _RTM_GETLINK, _NLM_F_REQUEST_DUMP, 1, 0,
                       0, 0, 0, 0, 0, 0)  # fmt: skip


def ask_addresses() -> bytes:
    """The octets that ask for all addresses."""
    return struct.pack(NATIVE + "IHHIIBBBBI", 24, _RTM_GETADDR, _NLM_F_REQUEST_DUMP, 2, 0,
                       0, 0, 0, 0, 0)  # fmt: skip


def add_address(index: int, address: bytes) -> bytes:
    """The octets that have an interface use 16 octets of address, with no detection before, and
    no route to its neighbours (whatever advertised it made that)."""
    return _address_message(_RTM_NEWADDR, _NLM_F_CREATE, index, address, _ALONE, _NODAD)


def remove_address(index: int, address: bytes, formed: bool = False) -> bytes:
    """The octets that take an address from an interface: one that was added as above, or one that
    the kernel `formed` (RFC 4862). It tells them apart by the length of their prefixes."""
    return _address_message(_RTM_DELADDR, 0, index, address, _FORMED if formed else _ALONE, 0)


def _address_message(
    kind: int, flags: int, index: int, address: bytes, bits: int, how: int
) -> bytes:
    return (
        struct.pack(NATIVE + "IHHII", 44, kind, _NLM_F_REQUEST | flags, 3, 0)
        + struct.pack(NATIVE + "BBBBI", _AF_INET6, bits, how, _SCOPE_GLOBAL, index)
        + struct.pack(NATIVE + "HH", 20, _IFA_ADDRESS)
        + address
    )


def read(octets: bytes) -> "Iterator[tuple[Any, ...]]":
    """What a datagram of the kernel says, one tuple a message:

    (ADDRESS, interface index, address, usable, preferred, valid, news),
    (NO_ADDRESS, interface index, address),
    (LINK, interface index, name, up, changes, MAC), (NO_LINK, interface index), (DONE, None),
    (ROUTE, interface index): IPv4 has a default route there now, which comes after the address;
    (LOCAL, interface index): a link-local address can be used there, as a solicitation's source;
    (PREFIX, interface index, prefix): a Router Advertisement came that has one (16 octets).
    `usable`: USABLE where it is global in scope, not temporary, and duplicate address detection is
    over; OPTIMISTIC where it isn't and need not be (RFC 4429); else UNUSABLE. `preferred`: not
    deprecated (RFC 4862 section 5.5.4); `valid`: seconds, None for ever; `news`: it happened now,
    an advertisement maybe, and isn't just the answer to what we asked.
    `up`: switched on, with a carrier, no loopback; `changes`: how often the carrier came
    or went (0 before Linux 3.15), for of a short failure the kernel may tell no more than that;
    `MAC`: as many octets as a link-layer address has there, none maybe.
    Other messages, and what is cut short, are passed over.
    """
    at = 0
    while at + 16 <= len(octets):
        size, kind, flags = struct.unpack(NATIVE + "IHH", octets[at : at + 8])
        if size < 16 or at + size > len(octets):
            return
        body = octets[at + 16 : at + size]
        at += (size + 3) & ~3
        if kind in (_NLMSG_DONE, _NLMSG_ERROR):
            yield DONE, None
        elif kind in (_RTM_NEWADDR, _RTM_DELADDR) and len(body) >= 8:
            event = _address(kind, body, not flags & _NLM_F_MULTI)
            if event:
                yield event
        elif kind in (_RTM_NEWLINK, _RTM_DELLINK) and len(body) >= 16:
            yield _link(kind, body)
        elif kind == _RTM_NEWROUTE and len(body) >= 12 and body[0] == _AF_INET and not body[1]:
            for attribute, value in attributes(body[12:]):
                if attribute == _RTA_OIF and len(value) == 4:
                    yield ROUTE, struct.unpack(NATIVE + "I", value)[0]
        elif kind == _RTM_NEWPREFIX and len(body) >= 12 and body[0] == _AF_INET6:
            for attribute, value in attributes(body[12:]):
                if attribute == _PREFIX_ADDRESS and len(value) == 16:
                    yield PREFIX, struct.unpack(NATIVE + "i", body[4:8])[0], value


def _address(kind: int, body: bytes, news: bool) -> "tuple[Any, ...] | None":
    family, _, flags, scope, index = struct.unpack(NATIVE + "BBBBI", body[:8])
    address = None
    preferred = valid = _FOR_EVER
    for attribute, value in attributes(body[8:]):
        if attribute == _IFA_LOCAL or (attribute == _IFA_ADDRESS and address is None):
            address = value
        elif attribute == _IFA_FLAGS and len(value) == 4:
            flags = struct.unpack(NATIVE + "I", value)[0]
        elif attribute == _IFA_CACHEINFO and len(value) >= 8:
            preferred, valid = struct.unpack(NATIVE + "II", value[:8])
    if family == _AF_INET and address is not None:
        address = IPV4_MAPPED + address
        flags &= ~_TEMPORARY  # "secondary" there
    elif family != _AF_INET6:
        return None
    if address is None or len(address) != 16:
        return None
    usable = _usable(flags, valid)
    if scope == _SCOPE_LINK and family == _AF_INET6:
        return (LOCAL, index) if usable and kind == _RTM_NEWADDR else None
    if scope != _SCOPE_GLOBAL or is_autoip(address):
        return None
    if kind == _RTM_DELADDR:
        return NO_ADDRESS, index, address
    return (
        ADDRESS,
        index,
        address,
        usable,
        bool(preferred and not flags & _DEPRECATED),
        None if valid == _FOR_EVER else valid,
        news,
    )


def _usable(flags: int, valid: int) -> int:
    if flags & (_DADFAILED | _TEMPORARY) or not valid:
        return UNUSABLE
    if flags & _FLAG_OPTIMISTIC:
        return OPTIMISTIC
    return UNUSABLE if flags & _TENTATIVE else USABLE


def _link(kind: int, body: bytes) -> "tuple[Any, ...]":
    _, _, _, index, flags, _ = struct.unpack(NATIVE + "BBHiII", body[:16])
    if kind == _RTM_DELLINK:
        return NO_LINK, index
    name = ""
    mac = b""
    changes = 0
    for attribute, value in attributes(body[16:]):
        if attribute == _IFLA_IFNAME:
            name = bytes(value[:-1]).decode()
        elif attribute == _IFLA_ADDRESS:
            mac = value
        elif attribute == _IFLA_CARRIER_CHANGES and len(value) == 4:
            changes = struct.unpack(NATIVE + "I", value)[0]
    up = flags & _IFF_UP and flags & _IFF_LOWER_UP and not flags & _IFF_LOOPBACK
    return LINK, index, name, bool(up), changes, mac


def attributes(octets: bytes) -> "Iterator[tuple[int, bytes]]":
    """Kind and value of each attribute, as long as they are whole."""
    at = 0
    while at + 4 <= len(octets):
        size, kind = struct.unpack(NATIVE + "HH", octets[at : at + 4])
        if size < 4 or at + size > len(octets):
            return
        yield kind & 0x3FFF, bytes(octets[at + 4 : at + size])
        at += (size + 3) & ~3
