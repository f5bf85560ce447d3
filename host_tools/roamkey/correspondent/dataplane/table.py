"""Home addresses, where they are, and the sockets to there."""

import resource
import socket
from collections import deque
from collections.abc import Callable
from ipaddress import IPv6Address

from mip6 import packets
from roamkey.correspondent.dataplane import filters

_SOCKETS_MAX = 4096
_SPARE_DESCRIPTORS = 64
_SEND_BUFFER = 4 << 20

# linux/in6.h; not all in the socket module
_IPV6_MTU_DISCOVER = 23
_IPV6_MTU = 24
_IPV6_DONTFRAG = 62
_PMTUDISC_DO = 2


class Entry:
    """A bound node. `care_of_text` as recvfrom() spells it; `send`: None without a socket."""

    __slots__ = (
        "addresses",
        "care_of_text",
        "expires_ms",
        "home_address",
        "send",
        "socket",
        "squeezed",
    )

    def __init__(self, home_address: bytes, correspondent: bytes) -> None:
        """Not bound to anything yet."""
        self.home_address = home_address
        self.addresses = home_address + correspondent
        self.care_of_text = ""
        self.expires_ms = 0
        self.socket: socket.socket | None = None
        self.send: Callable[[memoryview], int] | None = None
        self.squeezed = False  # the kernel was told of a way that takes less than the device


class Table:
    """The bound nodes. `by_home`: by home address; `by_flow`: by our address and that one, the
    way both stand in the header of a packet that goes out."""

    def __init__(self, address: IPv6Address) -> None:
        """`address`: ours."""
        self._address = address
        self._sending: deque[Entry] = deque()  # those with a socket, the oldest socket first
        self._sockets_max = _raise_descriptor_limit()
        self.by_home: dict[bytes, Entry] = {}
        self.by_flow: dict[bytes, Entry] = {}

    def bind(self, home_address: bytes, care_of_address: bytes, expires_ms: int) -> Entry | None:
        """Note where a node is; its entry if it is somewhere else than before, else None."""
        text = socket.inet_ntop(socket.AF_INET6, care_of_address)
        entry = self.by_home.get(home_address)
        if entry is None:
            entry = Entry(home_address, self._address.packed)
            self.by_home[home_address] = entry
            self.by_flow[self._address.packed + home_address] = entry
        entry.expires_ms = expires_ms
        if entry.care_of_text == text:
            return None
        self._hang_up(entry)
        entry.care_of_text = text
        return entry

    def unbind(self, home_address: bytes) -> None:
        """A node is nowhere, or at home."""
        entry = self.by_home.pop(home_address, None)
        if entry is not None:
            del self.by_flow[self._address.packed + home_address]
            self._hang_up(entry)

    def connect(self, entry: Entry) -> Callable[[memoryview], int]:
        """Give an entry its socket; that one's `send`. Raises OSError.

        It is connected, so that the kernel looks the way up once and notes what a Packet Too Big
        says of it; what doesn't fit is refused rather than fragmented.
        """
        while len(self._sending) >= self._sockets_max:
            self._hang_up(self._sending[0])
        one = socket.socket(socket.AF_INET6, socket.SOCK_RAW, packets.ROUTING)
        try:
            filters.nothing(one)
            one.setblocking(False)
            one.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)
            one.setsockopt(socket.IPPROTO_IPV6, _IPV6_MTU_DISCOVER, _PMTUDISC_DO)
            one.setsockopt(socket.IPPROTO_IPV6, _IPV6_DONTFRAG, 1)
            one.bind((str(self._address), 0))
            one.connect((entry.care_of_text, 0))
        except OSError:
            one.close()
            raise
        entry.socket, entry.send = one, one.send
        self._sending.append(entry)
        return one.send

    def _hang_up(self, entry: Entry) -> None:
        if entry.socket is not None:
            self._sending.remove(entry)
            entry.socket.close()
            entry.socket = entry.send = None


def path_mtu(one: socket.socket) -> int:
    """What the kernel knows of the way that a socket is connected over, in octets."""
    return one.getsockopt(socket.IPPROTO_IPV6, _IPV6_MTU)


def allow_fragments(one: socket.socket) -> None:
    """From now on the kernel fragments what doesn't fit."""
    one.setsockopt(socket.IPPROTO_IPV6, _IPV6_DONTFRAG, 0)


def _raise_descriptor_limit() -> int:
    """Take as many descriptors as we are granted; how many sockets there may be then."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = _SOCKETS_MAX + _SPARE_DESCRIPTORS
    wanted = most if hard == resource.RLIM_INFINITY else min(hard, most)
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return max(1, wanted - _SPARE_DESCRIPTORS)
