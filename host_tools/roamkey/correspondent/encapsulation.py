"""The UDP sockets that encapsulated packets come and go by: docs/SPEC.md.

One socket serves IPv4 and IPv6; an IPv4 address is an IPv4-mapped one throughout. With a data
plane there are two at the port (SO_REUSEPORT, so of one user): the daemon's, which is there first,
and the data plane's. A program of classic BPF tells the kernel which: what the inner packet's next
header names as UDP, TCP or ICMPv6 is the second socket's, all else the first's. While there is no
second the kernel falls back to the one that there is. A socket that goes makes room for the last
in the row, and one that comes stands last: so with the daemon's own going last, as it does, the
order holds whatever becomes of the data plane.

A filter cuts what is bad to a length that nothing good has, so that it is counted by reason, and
costs no look at its octets. IPv6 datagrams without a checksum the kernel drops by itself.
"""

import errno
import socket
import struct
from collections import Counter
from collections.abc import Callable, Iterator
from ipaddress import ip_address
from typing import NamedTuple

from mip6 import packets
from mip6.limits import ADDRESS_OCTETS
from roamkey.correspondent import bpf, buffers
from roamkey.correspondent.core.endpoints import WAYS, unpack, way
from roamkey.correspondent.core.entries import Inbound, Reply, encapsulated
from roamkey.errors import BadInputError, SystemRefusedError

# Why a datagram is dropped here already
FRAGMENT = "fragment"
IP_OPTIONS = "ip options"
TRUNCATED = "truncated"
UDP_CHECKSUM = "udp checksum"

_CUT = (TRUNCATED, IP_OPTIONS, UDP_CHECKSUM)  # by the octets that the filter leaves of it
_WHOLE = 0xFFFF
_DATA = (packets.UDP, 6, packets.ICMPV6)  # inner next headers; 6: TCP
_NEXT_HEADER_AT = 6
_CHECKSUM_AT = 6  # of the UDP header
_IHL = 5  # 32-bit words of an IPv4 header without options

_OCTETS_MAX = 65535
_ANCILLARY = 256
_RECEIVE_BUFFER = 16 << 20
_IPV6_RECVFRAGSIZE = 77  # linux/in6.h; since Linux 4.13
_IP_RECVFRAGSIZE = 25  # linux/in.h
_PACKET_INFO = struct.Struct("@16sI")  # struct in6_pktinfo: address, interface's index

_FILTER: list[bpf.Instruction] = [
    (bpf.LOAD_LENGTH, 0, 0, 0),
    (bpf.JUMP_AT_LEAST, 1, 0, packets.UDP_HEADER_OCTETS + packets.IPV6_HEADER_OCTETS),
    (bpf.RETURN, 0, 0, packets.UDP_HEADER_OCTETS + _CUT.index(TRUNCATED)),
    (bpf.LOAD_OCTET, 0, 0, bpf.NETWORK_HEADER),
    (bpf.RIGHT_SHIFT, 0, 0, 4),
    (bpf.JUMP_EQUAL, 0, 7, 4),  # IPv6: whole
    (bpf.LOAD_OCTET, 0, 0, bpf.NETWORK_HEADER),
    (bpf.AND, 0, 0, 0x0F),
    (bpf.JUMP_EQUAL, 1, 0, _IHL),
    (bpf.RETURN, 0, 0, packets.UDP_HEADER_OCTETS + _CUT.index(IP_OPTIONS)),
    (bpf.LOAD_HALF, 0, 0, _CHECKSUM_AT),
    (bpf.JUMP_EQUAL, 0, 1, 0),
    (bpf.RETURN, 0, 0, packets.UDP_HEADER_OCTETS + _CUT.index(UDP_CHECKSUM)),
    (bpf.RETURN, 0, 0, _WHOLE),
]
# The number of a socket in its row; this program sees a datagram from its payload on.
CHOICE: list[bpf.Instruction] = [
    (bpf.LOAD_OCTET, 0, 0, _NEXT_HEADER_AT),  # of one that is shorter 0 comes out
    *((bpf.JUMP_EQUAL, len(_DATA) - at, 0, kind) for at, kind in enumerate(_DATA)),
    (bpf.RETURN, 0, 0, 0),
    (bpf.RETURN, 0, 0, 1),
]


class Place(NamedTuple):
    """Where to listen: an address as text, an IPv4 one mapped, and a UDP port."""

    address: str
    port: int

    def __str__(self) -> str:
        mapped = ip_address(self.address).ipv4_mapped  # type: ignore[union-attr]
        return f"{mapped}:{self.port}" if mapped else f"[{self.address}]:{self.port}"


EVERYWHERE = Place("::", packets.ENCAPSULATION_PORT)


def parse_place(text: str) -> Place:
    """The place in "[::]:4191" or "192.0.2.1:4191"; raises BadInputError."""
    host, colon, port = text.rpartition(":")
    try:
        bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
        address = ip_address(bare)
        if not colon or (address.version == 6) != host.startswith("[") or "%" in bare:
            raise ValueError
        if not port.isascii() or not port.isdigit() or not 0 < int(port) <= 0xFFFF:
            raise ValueError
    except ValueError:
        raise BadInputError(f"{text!r} is not an address and port, as [::]:4191") from None
    return Place(f"::ffff:{address}" if address.version == 4 else str(address), int(port))


def open_socket(
    place: Place, data: bool = False, choice: list[bpf.Instruction] = CHOICE
) -> socket.socket:
    """The daemon's socket at a place, or, for `data`, the data plane's beside that. `choice`: the
    program that tells which is a datagram's.

    Raises SystemRefusedError; for the daemon's also where anybody else has the port.
    """
    try:
        if not data:
            with _new() as alone:  # a plain one can't have it beside anybody
                alone.bind((place.address, place.port))
        one = _new()
        try:
            one.setblocking(False)
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
            one.setsockopt(socket.IPPROTO_IPV6, _IPV6_RECVFRAGSIZE, 1)
            one.setsockopt(socket.IPPROTO_IP, _IP_RECVFRAGSIZE, 1)
            bpf.attach(one, _FILTER)
            buffers.widen(one, _RECEIVE_BUFFER)
            one.bind((place.address, place.port))
            if not data:
                bpf.attach(one, choice, bpf.SO_ATTACH_REUSEPORT_CBPF)
        except BaseException:
            one.close()
            raise
    except OSError as error:
        text = "in use" if error.errno == errno.EADDRINUSE else error.strerror
        raise SystemRefusedError(f"encapsulation at UDP {place}: {text}") from None
    return one


def receive(one: socket.socket, most: int, bad: Counter[str]) -> Iterator[tuple[bytes, bytes]]:
    """What waits, `most` datagrams at most: packed endpoint and payload; doesn't wait.

    What is dropped here is one of the `most` too, and counted in `bad`, by reason.
    """
    for _ in range(most):
        try:
            payload, ancillary, _, source = one.recvmsg(_OCTETS_MAX, _ANCILLARY)
        except BlockingIOError:
            return
        except OSError:  # an error report for an earlier packet of ours
            continue
        local = b""
        fragment = False
        for level, kind, told in ancillary:
            if level == socket.IPPROTO_IPV6 and kind == socket.IPV6_PKTINFO:
                local = told[:ADDRESS_OCTETS]
            else:
                fragment = True
        if len(payload) < packets.IPV6_HEADER_OCTETS:
            bad[cut(len(payload))] += 1
        elif fragment:
            bad[FRAGMENT] += 1
        else:
            address = socket.inet_pton(socket.AF_INET6, source[0].partition("%")[0])
            yield address + source[1].to_bytes(2, "big") + local, payload


def cut(octets: int) -> str:
    """Why the filter left so few octets of a datagram."""
    return _CUT[min(octets, len(_CUT) - 1)]


def sender(one: socket.socket, endpoint: bytes) -> Callable[[bytes | memoryview], int]:
    """What sends a whole IPv6 packet to a packed endpoint, from the local address that this names;
    it raises OSError."""
    address, port, local = unpack(endpoint)
    target = socket.inet_ntop(socket.AF_INET6, address), port
    leaves_from = [(socket.IPPROTO_IPV6, socket.IPV6_PKTINFO, _PACKET_INFO.pack(local, 0))]
    sendmsg = one.sendmsg

    def send(packet: bytes | memoryview) -> int:
        return sendmsg((packet,), leaves_from, 0, target)

    return send


def send(one: socket.socket, endpoint: bytes, packet: bytes | memoryview) -> None:
    """Send a whole IPv6 packet to a packed endpoint once; raises OSError."""
    sender(one, endpoint)(packet)


class Encapsulation:
    """The daemon's end. `place`: where it listens; without one it receives nothing, and what is
    to be sent there is counted as not sent. `close()` it."""

    def __init__(self, place: Place | None, choice: list[bpf.Instruction] = CHOICE) -> None:
        """Listen; raises SystemRefusedError. `choice`: as for `open_socket`."""
        self.place = place
        self._socket = None if place is None else open_socket(place, choice=choice)
        self._bad: Counter[str] = Counter()
        self.send_errors = 0
        #: datagrams and packets taken, by way: those received natively are counted by the inbox
        self.received = dict.fromkeys(WAYS, 0)

    @property
    def readable(self) -> list[socket.socket]:
        """What to select on."""
        return [] if self._socket is None else [self._socket]

    def receive(self, most: int) -> list[Inbound]:
        """What waits, `most` at most; doesn't wait."""
        if self._socket is None:
            return []
        found = [encapsulated(*one) for one in receive(self._socket, most, self._bad)]
        for one in found:
            self.received[way(one.endpoint)] += 1
        return found

    def take_bad(self) -> Counter[str]:
        """What was dropped since last asked, by reason."""
        bad, self._bad = self._bad, Counter()
        return bad

    def send(self, reply: Reply) -> None:
        """Send a reply to its endpoint; what the kernel doesn't take is counted."""
        try:
            if self._socket is None:
                raise OSError
            send(self._socket, reply.endpoint, reply.payload)
        except OSError:
            self.send_errors += 1

    def overflows(self) -> int:
        """Datagrams that the kernel dropped: for want of room, or with a wrong checksum."""
        return 0 if self._socket is None else buffers.overflows(self._socket)

    def close(self) -> None:
        """Listen no longer."""
        if self._socket is not None:
            self._socket.close()


def _new() -> socket.socket:
    one = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    return one
