"""The addresses of this host, and the prefixes on its links, as they come and go."""

import socket
from contextlib import suppress
from pathlib import Path

from mip6 import addresses
from mip6.limits import ADDRESS_OCTETS
from roamkey.correspondent.core.places import Link
from roamkey.correspondent.localaddress import DADFAILED

_ADDRESSES = 0x100 | 0x10  # linux/rtnetlink.h: RTMGRP_IPV6_IFADDR, RTMGRP_IPV4_IFADDR
_OCTETS = 65536
_AT_ONCE = 256
_WHOLE = 8 * ADDRESS_OCTETS  # bits: an address alone, no prefix of a link


class OwnAddresses:
    """Select on it where it `listens`, then `hear`; `look` now and then, for what wasn't told.
    `changed`: until they are taken."""

    def __init__(self) -> None:
        """Listen from now on, where the system lets one."""
        self._notices: socket.socket | None = None
        self._found: _Found = frozenset(), frozenset()
        self.changed = False
        with suppress(OSError):
            self._notices = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
            self._notices.setblocking(False)
            self._notices.bind((0, _ADDRESSES))
        self.look()

    @property
    def listens(self) -> bool:
        """Whether the kernel tells of changes."""
        return self._notices is not None

    def fileno(self) -> int:
        """For select."""
        return -1 if self._notices is None else self._notices.fileno()

    def hear(self) -> None:
        """The kernel has told something: look."""
        for _ in range(_AT_ONCE if self._notices is not None else 0):
            try:
                self._notices.recv(_OCTETS)  # type: ignore[union-attr]
            except BlockingIOError:
                break
            except OSError:  # more than the buffer holds
                continue
        self.look()

    def look(self) -> None:
        """Read them; where the system doesn't tell they stay as they were."""
        found = _read()
        if found is not None and found != self._found:
            self._found, self.changed = found, True

    def take(self) -> "_Found":
        """The addresses, 16 octets each, IPv4 ones mapped: those that answer here, of the host and
        for anycast. A duplicate (dadfailed) is another host's. And the prefixes on its links, of
        IPv6, as its addresses have them."""
        self.changed = False
        return self._found

    def close(self) -> None:
        """Listen no longer."""
        if self._notices is not None:
            self._notices.close()


_Found = tuple[frozenset[bytes], frozenset[Link]]


def _read() -> _Found | None:
    try:
        # address, interface's index, prefix length, scope, flags, name; all in hexadecimal
        lines = [line.split() for line in Path("/proc/net/if_inet6").read_text().splitlines()]
        texts = [fields[0] for fields in lines if not int(fields[4], 16) & DADFAILED]
        links = {(bytes.fromhex(fields[0]), int(fields[2], 16)) for fields in lines}
        # index, name, address, users
        with suppress(OSError):
            anycast = Path("/proc/net/anycast6").read_text().splitlines()
            texts += [line.split()[2] for line in anycast]
        found = frozenset(map(bytes.fromhex, texts))
    except (OSError, ValueError, IndexError):
        return None
    own = frozenset(one for one in found if len(one) == ADDRESS_OCTETS) | _read_ipv4()
    return own, frozenset(_link(*link) for link in links if 0 < link[1] < _WHOLE)


def _link(address: bytes, bits: int) -> Link:
    network = int.from_bytes(address, "big") >> _WHOLE - bits << _WHOLE - bits
    return Link(network.to_bytes(ADDRESS_OCTETS, "big"), bits)


def _read_ipv4() -> frozenset[bytes]:
    """Of the routing table's tree, the leaves that are this host's ("|-- 192.0.2.1", then
    "/32 host LOCAL")."""
    found, leaf = set(), ""
    with suppress(OSError, ValueError):
        for line in Path("/proc/net/fib_trie").read_text().splitlines():
            _, mark, text = line.partition("|-- ")
            if mark:
                leaf = text
            elif line.endswith("/32 host LOCAL"):
                found.add(addresses.parse(leaf))
    return frozenset(found)
