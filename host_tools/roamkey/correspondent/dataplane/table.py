"""Home addresses, where they are, and the sockets to there."""

import errno
import resource
import socket
from collections.abc import Callable
from functools import partial
from ipaddress import IPv6Address
from typing import NamedTuple

from mip6 import addresses, packets
from roamkey.correspondent import encapsulation
from roamkey.correspondent.core.endpoints import unpack
from roamkey.correspondent.dataplane import filters, mmsg
from roamkey.correspondent.dataplane.mmsg import Way

_SOCKETS_MAX = 4096
_SPARE_DESCRIPTORS = 64
_SEND_BUFFER = 4 << 20


LEAST_MTU = 1280  # RFC 8200 section 5: every way takes as much
_ANY_MTU = 1 << 16
_MTU_FORGOTTEN_MS = 600_000
#: For so long what was under way from where a node was before is taken, too.
GRACE_MS = 3000
NATIVE_BODY = 16  # in the buffer: see `forward`
OVERHEAD4 = 20 + packets.UDP_HEADER_OCTETS  # of a packet inside UDP, over IPv4
OVERHEAD6 = packets.IPV6_HEADER_OCTETS + packets.UDP_HEADER_OCTETS


class Native(NamedTuple):
    """What is put round a packet where a node is reached without UDP: `protocol`: of the socket
    that sends it; `overhead`: octets more; `body`: where that begins in the buffer; `connects`:
    each node has a socket of its own, as far as there are any."""

    protocol: int
    overhead: int
    body: int
    connects: bool


ROUTED = Native(packets.ROUTING, packets.EXTENSION_OCTETS, NATIVE_BODY, True)


class Entry:
    """A bound node. `care_of_text` as recvfrom() spells it, where it is reached natively; else
    `endpoint`, and `outer`: address and port of that, as recvmsg() has them.

    `send`: takes what goes to it, from `body` on in the buffer; None without a socket. `mtu`: the
    longest packet of a program that goes there whole; `squeezed`: one was told so; `overhead`: how
    much longer a packet becomes. `key`: which one the binding was made under. `peer`: where it
    sends from, as `mmsg` has it. `segments`: on the way inside UDP the kernel cuts datagrams.
    """

    __slots__ = (
        "addresses",
        "body",
        "care_of_text",
        "endpoint",
        "expires_ms",
        "home_address",
        "key",
        "mtu",
        "mtu_until_ms",
        "native",
        "outer",
        "overhead",
        "path_mtu",
        "peer",
        "segments",
        "send",
        "socket",
        "squeezed",
        "was",
        "was_until_ms",
    )

    def __init__(self, home_address: bytes, correspondent: bytes, native: Native = ROUTED) -> None:
        """Not bound to anything yet."""
        self.native = native
        self.home_address = home_address
        self.addresses = home_address + correspondent
        self.expires_ms = self.key = self.was_until_ms = 0
        self.was: str | tuple[str, int] | None = None
        self.socket: socket.socket | None = None
        self.send: Callable[[bytes | memoryview], int] | None = None
        self.squeezed = False
        self.place("", b"")

    def place(self, care_of_text: str, endpoint: bytes) -> None:
        """It is there now: at a care-of address, or, where one is given, at a packed endpoint."""
        self.care_of_text = "" if endpoint else care_of_text
        self.endpoint = endpoint
        self.outer: tuple[str, int] | None = None
        self.overhead, self.body = self.native.overhead, self.native.body
        self.peer = b""
        self.segments = False
        if care_of_text and not endpoint:
            self.peer = mmsg.name_of(socket.inet_pton(socket.AF_INET6, care_of_text), 0)
        if endpoint:
            address, port, _ = unpack(endpoint)
            self.outer = socket.inet_ntop(socket.AF_INET6, address), port
            self.peer = mmsg.name_of(address, port)
            self.overhead = OVERHEAD4 if addresses.is_ipv4(address) else OVERHEAD6
            self.body = 0
        self.widen()

    def leave(self, key: int, now: int) -> None:
        """It is about to be somewhere else, as was told under `key`: what it sent before is taken
        for a moment, where it said both under one key, and the binding of before wasn't over."""
        self.was = None
        if self.key == key and now < self.expires_ms:
            self.was = self.outer or self.care_of_text
            self.was_until_ms = min(now + GRACE_MS, self.expires_ms)

    def was_at(self, source: str | tuple[str, int], now: int) -> bool:
        """Whether it was there a moment ago: at a care-of address, or an address and port."""
        return self.was == source and now < self.was_until_ms and now < self.expires_ms

    def widen(self) -> None:
        """Nothing is known of the way any more."""
        self.mtu = self.path_mtu = _ANY_MTU
        self.mtu_until_ms = 0

    def is_narrow(self, now: int) -> bool:
        """Whether its way is known to be too narrow for what a program may send."""
        return self.path_mtu < _ANY_MTU and now < self.mtu_until_ms

    def narrow(self, path_mtu: int, now: int) -> None:
        """The way takes no more than `path_mtu` octets; over IPv6 1280 at least."""
        if path_mtu >= self.path_mtu:
            return
        self.path_mtu = path_mtu
        self.mtu = path_mtu - self.overhead
        self.mtu_until_ms = now + _MTU_FORGOTTEN_MS


class Table:
    """The bound nodes. `by_home`: by home address; `by_flow`: by our address and that one, the
    way both stand in the header of a packet that goes out; `by_endpoint`: those at an endpoint.
    `segments`: the kernel cuts datagrams, for those bound from now on."""

    def __init__(
        self,
        address: IPv6Address,
        udp: socket.socket | None = None,
        native: Native = ROUTED,
    ) -> None:
        """`address`: ours; `udp`: what reaches endpoints; none are bound without."""
        self._native = native
        self._text = str(address)
        self.address = address.packed
        self._udp = udp
        self.segments = False
        self._connected = 0  # nodes with a socket of their own
        self._shared: socket.socket | None = None
        self._sockets_max = _raise_descriptor_limit()
        self.by_home: dict[bytes, Entry] = {}
        self.by_flow: dict[bytes, Entry] = {}
        self.by_endpoint: dict[bytes, set[Entry]] = {}

    def bind(
        self,
        home_address: bytes,
        care_of_address: bytes,
        expires_ms: int,
        endpoint: bytes = b"",
        key: int = 0,
        now: int = 0,
    ) -> Entry | None:
        """Note where a node is; its entry if it is somewhere else than before, else None.

        `key`: which one it said that under.
        """
        text = "" if endpoint else socket.inet_ntop(socket.AF_INET6, care_of_address)
        entry = self.by_home.get(home_address)
        if entry is None:
            entry = Entry(home_address, self.address, self._native)
            self.by_home[home_address] = entry
            self.by_flow[self.address + home_address] = entry
        stays = (entry.care_of_text, entry.endpoint) == (text, endpoint)
        if not stays or entry.key != key:
            entry.leave(key, now)
        entry.expires_ms, entry.key = expires_ms, key
        if stays:
            return None
        self._hang_up(entry)
        entry.place(text, endpoint)
        if endpoint:
            entry.segments = self.segments
            self.by_endpoint.setdefault(endpoint, set()).add(entry)
        return entry

    def unbind(self, home_address: bytes) -> None:
        """A node is nowhere, or at home."""
        entry = self.by_home.pop(home_address, None)
        if entry is not None:
            del self.by_flow[self.address + home_address]
            self._hang_up(entry)

    def connect(self, entry: Entry) -> Callable[[bytes | memoryview], int]:
        """Give an entry its socket; that one's `send`. Raises OSError.

        It is connected, so that the kernel looks the way up once and not for each packet. Nodes
        beyond the number of sockets share one: a way looked up for each packet costs less than a
        socket made for each. Endpoints share the one at our port: another one there, connected,
        would be given the node's signalling.
        """
        if entry.outer is not None:
            if self._udp is None:
                raise OSError(errno.ENOTCONN, "no way inside UDP")
            entry.send = encapsulation.sender(self._udp, entry.endpoint)
            return entry.send
        if not self._native.connects or self._connected >= self._sockets_max:
            if self._shared is None:
                self._shared = self.open(self._native.protocol)
            entry.send = partial(_send_to, self._shared, (entry.care_of_text, 0))
            return entry.send
        one = self.open(self._native.protocol)
        try:
            one.connect((entry.care_of_text, 0))
        except OSError:
            one.close()
            raise
        entry.socket, entry.send = one, one.send
        self._connected += 1
        return one.send

    def way(self, entry: Entry) -> Way:
        """The same for many packets in one call. Raises OSError."""
        if entry.send is None:
            self.connect(entry)
        if entry.outer is not None:
            assert self._udp is not None
            info = mmsg.info_of(unpack(entry.endpoint)[2])
            return Way(self._udp.fileno(), entry.peer, info)
        if entry.socket is not None:
            return Way(entry.socket.fileno())
        assert self._shared is not None
        return Way(self._shared.fileno(), entry.peer)

    def open(self, protocol: int) -> socket.socket:
        """A raw socket of a protocol that sends from our address, and hears nothing. Raises
        OSError."""
        one = socket.socket(socket.AF_INET6, socket.SOCK_RAW, protocol)
        try:
            filters.nothing(one)
            one.setblocking(False)
            one.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)
            one.bind((self._text, 0))
        except OSError:
            one.close()
            raise
        return one

    def _hang_up(self, entry: Entry) -> None:
        if entry.socket is not None:
            self._connected -= 1
            entry.socket.close()
        entry.socket = entry.send = None
        there = self.by_endpoint.get(entry.endpoint)
        if there is not None:
            there.discard(entry)
            if not there:
                del self.by_endpoint[entry.endpoint]


def _send_to(one: socket.socket, target: tuple[str, int], octets: bytes | memoryview) -> int:
    return one.sendto(octets, target)


def _raise_descriptor_limit() -> int:
    """Take as many descriptors as we are granted; how many sockets there may be then."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = _SOCKETS_MAX + _SPARE_DESCRIPTORS
    wanted = most if hard == resource.RLIM_INFINITY else min(hard, most)
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return max(1, wanted - _SPARE_DESCRIPTORS)
