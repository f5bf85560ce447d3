"""Raw IPv6, UDP and netlink sockets on Linux; MicroPython wants addresses packed by hand."""

import errno
import socket
import struct

from .. import addresses, packets
from ..compat import MICROPYTHON, const
from . import netlink

if MICROPYTHON:
    from uctypes import addressof
else:
    import ctypes

TYPE_CHECKING = const(False)

if TYPE_CHECKING:
    from typing import Any

    from ..protocols import Octets

_SOCK_RAW = const(3)
_SOL_SOCKET = const(1)
_SO_RCVBUF = const(8)
_SO_BINDTODEVICE = const(25)
_IPV6 = const(41)
_IPV6_MULTICAST_HOPS = const(18)
_ICMPV6 = const(58)
_ICMP6_FILTER = const(1)
_SOLICITATION = b"\x85\0\0\0\0\0\0\0"  # the kernel fills the checksum in
_ALL_ROUTERS = b"\xff\x02" + bytes(13) + b"\x02"
_ALL_ROUTERS_MAC = b"\x33\x33\0\0\0\x02"  # RFC 2464 section 7
# The same as a whole packet, hop limit 255, from the unspecified address, with its checksum.
_ANONYMOUS = b"\x60\0\0\0\0\x08\x3a\xff" + bytes(16) + _ALL_ROUTERS + b"\x85\0\x7b\xb8\0\0\0\0"
_NO_SOURCE = (99, 101)  # EADDRNOTAVAIL, ENETUNREACH: IPv6 begins on that link just now
_AF_PACKET = const(17)
_ETH_P_IPV6 = const(0x86DD)
_SO_ATTACH_FILTER = const(26)
_LOAD_OCTET = const(0x30)  # operations of classic BPF, linux/filter.h
_JUMP_EQUAL = const(0x15)
_RETURN = const(0x06)
_ANSWER = const(8192)  # of the kernel
_NETLINK_RECEIVE = const(262144)  # octets: a storm of address changes shouldn't overflow it


def place(address: bytes, port: int = 0) -> "Any":
    """A sockaddr_in6 for 16 octets, as the interpreter wants it."""
    if not MICROPYTHON:
        return socket.inet_ntop(socket.AF_INET6, address), port
    return (
        struct.pack(netlink.NATIVE + "H", socket.AF_INET6)
        + struct.pack(">HI", port, 0)
        + address
        + bytes(4)
    )


def _origin(place: "Any") -> bytes:
    """The 16 octets in what recvfrom() calls the sender."""
    if not MICROPYTHON:
        return socket.inet_pton(socket.AF_INET6, place[0].partition("%")[0])
    return bytes(place[8:24])


def _origin_port(place: "Any") -> int:
    return place[1] if not MICROPYTHON else place[2] << 8 | place[3]  # type: ignore[no-any-return]  # an int


def _receive(stream: "socket.socket", octets: int) -> "tuple[bytes, Any] | None":
    """What recvfrom() gives, or None where nothing waits."""
    try:
        return stream.recvfrom(octets)
    except OSError as error:
        if error.args[0] == errno.EAGAIN:
            return None
        raise


def raw_allowed() -> bool:
    """Whether this process may have raw sockets (CAP_NET_RAW)."""
    try:
        socket.socket(socket.AF_INET6, _SOCK_RAW, packets.NO_NEXT_HEADER).close()
    except OSError:
        return False
    return True


class Raw:
    """A raw socket of one protocol at one address of one interface; doesn't block. OSError."""

    def __init__(
        self, address: bytes, interface: str, protocol: int, icmp_type: int | None = None
    ) -> None:
        self.address = address
        self.protocol = protocol
        self.socket = socket.socket(socket.AF_INET6, _SOCK_RAW, protocol)
        try:
            if icmp_type is not None:  # a set bit keeps a type out (RFC 3542 section 3.2)
                words = [0xFFFFFFFF] * 8
                words[icmp_type >> 5] &= ~(1 << (icmp_type & 31)) & 0xFFFFFFFF
                self.socket.setsockopt(
                    _ICMPV6, _ICMP6_FILTER, struct.pack(netlink.NATIVE + "8I", *words)
                )
            # Not the routing table but the address decides which way a packet leaves.
            self.socket.setsockopt(_SOL_SOCKET, _SO_BINDTODEVICE, interface.encode() + b"\0")
            self.socket.bind(place(address))
            self.socket.setblocking(False)
        except OSError:
            self.socket.close()
            raise

    def send(self, destination: bytes, payload: "Octets") -> None:
        """Send `payload`, which begins with the protocol's header, to 16 octets of address."""
        self.socket.sendto(payload, place(destination))

    def receive(self, octets: int) -> tuple[bytes, bytes] | None:
        """(payload, source) of a packet waiting, or None."""
        found = _receive(self.socket, octets)
        return None if found is None else (found[0], _origin(found[1]))

    def close(self) -> None:
        """Give the socket back."""
        self.socket.close()


class Udp:
    """A UDP socket at an address of one interface (none named: of any) that gives what it receives
    as packets. OSError.

    A raw socket would do to receive, but then the kernel answers that nobody listens.
    """

    protocol = packets.UDP

    def __init__(self, address: bytes, interface: str, port: int) -> None:
        self.address = address
        self.port = port
        self.socket = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
        try:
            if interface:
                self.socket.setsockopt(_SOL_SOCKET, _SO_BINDTODEVICE, interface.encode() + b"\0")
            self.socket.bind(place(address, port))
            self.socket.setblocking(False)
        except OSError:
            self.socket.close()
            raise

    def receive(self, octets: int) -> tuple[bytes, bytes] | None:
        """(UDP header and data, source) of a datagram waiting, or None."""
        found = _receive(self.socket, octets)
        if found is None:
            return None
        data, place = found
        source = _origin(place)
        return packets.udp(source, self.address, _origin_port(place), self.port, data), source

    def close(self) -> None:
        """Give the socket back."""
        self.socket.close()


class Outside:
    """A UDP socket at an address of an interface, for packets inside datagrams. OSError.

    `protocol`: packets.ENCAPSULATED and the source port of what was received last.
    """

    def __init__(self, address: bytes, interface: str, port: int) -> None:
        self.address = address
        self.protocol = packets.ENCAPSULATED
        self._ipv4 = addresses.is_ipv4(address)
        family = socket.AF_INET if self._ipv4 else socket.AF_INET6
        self.socket = socket.socket(family, socket.SOCK_DGRAM)
        try:
            try:
                self.socket.setsockopt(_SOL_SOCKET, _SO_BINDTODEVICE, interface.encode() + b"\0")
            except OSError as error:  # before Linux 5.7 a right: then the routes choose
                if error.args[0] != errno.EPERM:
                    raise
            self.socket.bind(self._at(address, port))
            self.socket.setblocking(False)
        except OSError:
            self.socket.close()
            raise

    def _at(self, address: bytes, port: int) -> "Any":
        if not self._ipv4:
            return place(address, port)
        if not MICROPYTHON:
            return addresses.text(address), port
        head = struct.pack(netlink.NATIVE + "H", socket.AF_INET) + struct.pack(">H", port)
        return head + address[12:] + bytes(8)

    def send_to(self, destination: bytes, port: int, payload: "Octets") -> None:
        """Send a datagram to 16 octets of address (IPv4 mapped)."""
        self.socket.sendto(payload, self._at(destination, port))

    def receive(self, octets: int) -> tuple[bytes, bytes] | None:
        """(data, source) of a datagram waiting, or None."""
        found = _receive(self.socket, octets)
        if found is None:
            return None
        data, place = found
        self.protocol = packets.ENCAPSULATED + _origin_port(place)
        return data, _ipv4_origin(place) if self._ipv4 else _origin(place)

    def close(self) -> None:
        """Give the socket back."""
        self.socket.close()


def _ipv4_origin(place: "Any") -> bytes:
    if not MICROPYTHON:
        return addresses.parse(place[0])
    return addresses.IPV4_MAPPED + bytes(place[4:8])


def look_up(name: str) -> list[bytes]:
    """The addresses of a name, as the system's resolver tells them; it takes its time. OSError."""
    found = []
    for family, _, _, _, place in socket.getaddrinfo(name, 0, 0, socket.SOCK_DGRAM):
        if family == socket.AF_INET6:
            found.append(_origin(place))
        elif family == socket.AF_INET:
            found.append(_ipv4_origin(place))
    return found


def neighbourly(interface: str, source: bytes | None = None) -> "socket.socket":
    """A socket for ICMPv6 to the neighbours on an interface, hop limit 255, from an address of
    ours (None: the kernel's choice). OSError."""
    stream = socket.socket(socket.AF_INET6, _SOCK_RAW, _ICMPV6)
    try:
        stream.setsockopt(_SOL_SOCKET, _SO_BINDTODEVICE, interface.encode() + b"\0")
        stream.setsockopt(_IPV6, _IPV6_MULTICAST_HOPS, 255)
        if source is not None:
            stream.bind(place(source))
    except OSError:
        stream.close()
        raise
    return stream


class Solicitor:
    """Asks the routers on an interface for an advertisement (RFC 4861 section 4.1)."""

    def __init__(self) -> None:
        # For asking without an address. It stays open: closing one takes the kernel 10 ms.
        self._anonymous: socket.socket | None = None

    def ask(self, interface: str, index: int) -> bool:
        """Ask once; whether from an address of ours. OSError.

        Where none can be used yet, from none: then routers answer to all, and not always at once.
        """
        stream = neighbourly(interface)
        try:
            stream.sendto(_SOLICITATION, place(_ALL_ROUTERS))
            return True
        except OSError as error:
            if error.args[0] not in _NO_SOURCE:
                raise
        finally:
            stream.close()
        if self._anonymous is None:  # of no protocol: it receives nothing
            self._anonymous = socket.socket(_AF_PACKET, socket.SOCK_DGRAM, 0)
        self._anonymous.sendto(_ANONYMOUS, _frame(interface, index))
        return False

    def close(self) -> None:
        """Give the socket back."""
        if self._anonymous is not None:
            self._anonymous.close()
            self._anonymous = None


def _frame(interface: str, index: int) -> "Any":
    """A sockaddr_ll (packet(7)) for IPv6 to all routers, as the interpreter wants it."""
    if not MICROPYTHON:
        return interface, _ETH_P_IPV6, 0, 0, _ALL_ROUTERS_MAC
    head = struct.pack(netlink.NATIVE + "H", _AF_PACKET) + struct.pack(">H", _ETH_P_IPV6)
    return (
        head + struct.pack(netlink.NATIVE + "iHBB", index, 0, 0, 6) + _ALL_ROUTERS_MAC + bytes(2)
    )


def open_netlink() -> "socket.socket":
    """A netlink socket that hears of interfaces and IPv6 addresses; doesn't block. OSError."""
    stream = open_family(0, netlink.GROUPS)
    stream.setsockopt(_SOL_SOCKET, _SO_RCVBUF, _NETLINK_RECEIVE)
    return stream


def open_family(family: int, groups: int = 0) -> "socket.socket":
    """A socket to the kernel, of one netlink family; doesn't block. OSError."""
    stream = socket.socket(netlink.FAMILY, _SOCK_RAW, family)
    try:
        if MICROPYTHON:
            stream.bind(struct.pack(netlink.NATIVE + "HHII", netlink.FAMILY, 0, 0, groups))
        else:
            stream.bind((0, groups))
        stream.setblocking(False)
    except OSError:
        stream.close()
        raise
    return stream


def ask(stream: "socket.socket", request: bytes) -> bytes:
    """What the kernel answers, which it does at once. OSError."""
    stream.send(request)
    told = b""
    while True:
        try:
            told = told or stream.recv(_ANSWER)
            stream.recv(_ANSWER)  # an acknowledgement after the answer
        except OSError as error:
            if error.args[0] != errno.EAGAIN:
                raise
            return told


def deaf_at(address: bytes, protocol: int) -> "socket.socket":
    """A raw socket at an address that takes packets of a protocol, and drops them. OSError."""
    stream = socket.socket(socket.AF_INET6, _SOCK_RAW, protocol)
    try:
        _filter(stream, _DROP)
        stream.bind(place(address))
    except OSError:
        stream.close()
        raise
    return stream


def only_mobility(stream: "socket.socket") -> None:
    """Have a raw socket of an extension header take Mobility Headers behind it alone. OSError."""
    _filter(stream, _MOBILITY_ALONE)


_DROP = ((_RETURN, 0, 0, 0),)
_MOBILITY_ALONE = (
    (_LOAD_OCTET, 0, 0, 0),
    (_JUMP_EQUAL, 0, 1, packets.MOBILITY),
    (_RETURN, 0, 0, 0xFFFFFFFF),
    (_RETURN, 0, 0, 0),
)


def _filter(stream: "socket.socket", program: "tuple[tuple[int, int, int, int], ...]") -> None:
    """Have the kernel's classic BPF choose what a socket receives. OSError."""
    code = b"".join([struct.pack(netlink.NATIVE + "HBBI", *one) for one in program])
    if MICROPYTHON:
        at = addressof(code)
    else:
        held = ctypes.create_string_buffer(code, len(code))
        at = ctypes.addressof(held)
    stream.setsockopt(_SOL_SOCKET, _SO_ATTACH_FILTER, struct.pack("@HP", len(program), at))
