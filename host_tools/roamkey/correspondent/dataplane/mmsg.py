"""Many packets in one system call: sendmmsg(2) and recvmmsg(2), which Python has no names for.

What the calls read and write is made once and used again; a packet costs a few numbers in it. An
outgoing packet has two pieces: its headers may be in one place and its data in another, without a
copy. The same pieces, one behind the other, are one datagram of UDP that the kernel cuts, where
it can (UDP_SEGMENT).
"""

import ctypes
import os
import socket
import struct
from typing import NamedTuple

AT_ONCE = 64  # packets
#: Octets between long buffers, or their beginnings would share a few lines of the cache.
APART = 64
NAME_OCTETS = 28  # struct sockaddr_in6
INFO_OCTETS = 40  # IPV6_PKTINFO, as an ancillary message with its padding
_NAME = struct.Struct("=H2sI16sI")  # family, port, flow, address, zone
_INFO = struct.Struct("@Nii16sI4x")
_INFO_OCTETS = 36  # without padding
_SEGMENT = struct.Struct("@NiiH6x")
_SEGMENT_OCTETS = 18
_UDP_SEGMENT = 103  # linux/udp.h

#: The longest datagram to cut, less than IPv4 and IPv6 have room for.
SEGMENTED_MAX = 65_000


class _Vector(ctypes.Structure):  # struct iovec
    _fields_ = (("base", ctypes.c_size_t), ("octets", ctypes.c_size_t))


class _Header(ctypes.Structure):  # struct msghdr
    _fields_ = (
        ("name", ctypes.c_size_t),
        ("name_octets", ctypes.c_uint),
        ("vectors", ctypes.c_size_t),
        ("vector_count", ctypes.c_size_t),
        ("ancillary", ctypes.c_size_t),
        ("ancillary_octets", ctypes.c_size_t),
        ("flags", ctypes.c_int),
    )


class _Message(ctypes.Structure):  # struct mmsghdr
    _fields_ = (("header", _Header), ("octets", ctypes.c_uint))


_VECTOR, _MESSAGE = ctypes.sizeof(_Vector), ctypes.sizeof(_Message)
_WORD = 4  # octets of a c_uint

_libc = ctypes.CDLL(None, use_errno=True)
_sendmsg, _sendmmsg, _recvmmsg = _libc.sendmsg, _libc.sendmmsg, _libc.recvmmsg
_sendmsg.argtypes = (ctypes.c_int, ctypes.c_void_p, ctypes.c_int)
_sendmmsg.argtypes = (ctypes.c_int, ctypes.c_void_p, ctypes.c_uint, ctypes.c_int)
_recvmmsg.argtypes = (*_sendmmsg.argtypes, ctypes.c_void_p)


class Way(NamedTuple):
    """Where packets go: the descriptor of a socket; `name`: the kernel's form of an address, none
    where that is connected; `info`: what says the address they leave from, none elsewhere."""

    descriptor: int
    name: bytes = b""
    info: bytes = b""


def name_of(address: bytes, port: int) -> bytes:
    """The kernel's form of an IPv6 address and a port, as it tells them too."""
    return _NAME.pack(socket.AF_INET6, port.to_bytes(2, "big"), 0, address, 0)


def place_of(name: bytes | bytearray) -> tuple[str, int]:
    """Address, with its zone, and port of a name, as recvfrom() has them."""
    _, port, _, address, zone = _NAME.unpack(name)
    text = socket.inet_ntop(socket.AF_INET6, address)
    return (f"{text}%{zone}" if zone else text), int.from_bytes(port, "big")


def info_of(local: bytes) -> bytes:
    """What has a datagram leave from a local address."""
    return _INFO.pack(_INFO_OCTETS, socket.IPPROTO_IPV6, socket.IPV6_PKTINFO, local, 0)


def can_segment(udp: socket.socket) -> bool:
    """Whether this kernel cuts datagrams."""
    try:
        udp.getsockopt(socket.IPPROTO_UDP, _UDP_SEGMENT)
    except OSError:
        return False
    return True


def address_of(buffer: bytearray) -> int:
    """Where a buffer is; it must not get longer or shorter any more."""
    return ctypes.addressof(ctypes.c_char.from_buffer(buffer))


class Outbox:
    """Packets that leave by one call; `count` of them. `add`, then `send`, then `clear`."""

    def __init__(self) -> None:
        """Empty."""
        self.count = 0
        vectors = bytearray(2 * AT_ONCE * _VECTOR)
        self._numbers = memoryview(vectors).cast("P")
        self._none = memoryview(bytes(len(vectors))).cast("P")
        self._has_more = False  # of any packet, a second piece
        self._name, self._info = bytearray(NAME_OCTETS), bytearray(INFO_OCTETS + _SEGMENT.size)
        self._vectors = address_of(vectors)
        name, info = address_of(self._name), address_of(self._info)
        self._messages: dict[tuple[bool, bool], ctypes.Array[_Message]] = {}
        for named, told in ((False, False), (True, False), (True, True)):
            self._messages[named, told] = messages = (_Message * AT_ONCE)()
            for number, one in enumerate(messages):
                one.header.vectors = self._vectors + number * 2 * _VECTOR
                one.header.vector_count = 2
                if named:
                    one.header.name, one.header.name_octets = name, NAME_OCTETS
                if told:
                    one.header.ancillary, one.header.ancillary_octets = info, INFO_OCTETS
        self._whole = _Header(
            name=name, name_octets=NAME_OCTETS, ancillary=info, ancillary_octets=len(self._info)
        )

    def add(self, base: int, octets: int, more: int = 0, more_octets: int = 0) -> None:
        """A packet, in one or two pieces, by their places in memory; those stay until `clear`."""
        numbers, at = self._numbers, 4 * self.count
        numbers[at] = base
        numbers[at + 1] = octets
        if more_octets:
            numbers[at + 2] = more
            numbers[at + 3] = more_octets
            self._has_more = True
        self.count += 1

    def clear(self) -> None:
        """Empty it."""
        if self._has_more:
            self._numbers[:] = self._none
            self._has_more = False
        self.count = 0

    def sizes(self) -> list[int]:
        """Octets of each packet."""
        numbers = self._numbers[: 4 * self.count].tolist()
        return [a + b for a, b in zip(numbers[1::4], numbers[3::4], strict=True)]

    def packet(self, number: int) -> bytes:
        """A copy of one."""
        base, octets, more, more_octets = self._numbers[4 * number : 4 * number + 4]
        first = ctypes.string_at(base, octets)
        return first + ctypes.string_at(more, more_octets) if more_octets else first

    def send(self, way: Way, first: int = 0) -> int:
        """Send them, from the `first` on; how many have left: what stopped the next one, whoever
        sends that alone is told."""
        messages = self._messages[bool(way.name), bool(way.info)]
        self._address(way)
        at = ctypes.byref(messages, first * _MESSAGE)
        return max(0, int(_sendmmsg(way.descriptor, at, self.count - first, 0)))

    def send_segmented(self, way: Way, size: int, first: int, count: int) -> None:
        """Send some as one datagram, to be cut into pieces of `size` octets, which all have but
        the last. Raises OSError, and nothing has left then."""
        self._address(way)
        _SEGMENT.pack_into(
            self._info, INFO_OCTETS, _SEGMENT_OCTETS, socket.IPPROTO_UDP, _UDP_SEGMENT, size
        )
        self._whole.vectors = self._vectors + first * 2 * _VECTOR
        self._whole.vector_count = 2 * count
        _checked(_sendmsg(way.descriptor, ctypes.byref(self._whole), 0))

    def _address(self, way: Way) -> None:
        if way.name:
            self._name[:] = way.name
        if way.info:
            self._info[:INFO_OCTETS] = way.info


class Inbox:
    """What came by one call. Of packet n `octets[n]` are in `buffer` from n * `stride` + `front`
    on; `names` and `ancillary` have NAME_OCTETS and `told` octets of each, `lengths[n]` says how
    many of the latter are told."""

    def __init__(self, front: int, longest: int, told: int = 0) -> None:
        """`front`: octets to leave free before each packet; `longest`: of one."""
        self.stride = front + longest + APART
        self.told = told
        self.buffer = bytearray(AT_ONCE * self.stride)
        self.view = memoryview(self.buffer)
        self.names = bytearray(AT_ONCE * NAME_OCTETS)
        self.ancillary = bytearray(AT_ONCE * told)
        self._vectors = (_Vector * AT_ONCE)()
        messages = bytearray(AT_ONCE * _MESSAGE)
        start, name = address_of(self.buffer) + front, address_of(self.names)
        info = address_of(self.ancillary) if told else 0
        vectors = ctypes.addressof(self._vectors)
        for number, one in enumerate((_Message * AT_ONCE).from_buffer(messages)):
            vector = self._vectors[number]
            vector.base, vector.octets = start + number * self.stride, longest
            one.header.vectors, one.header.vector_count = vectors + number * _VECTOR, 1
            one.header.name, one.header.name_octets = name + number * NAME_OCTETS, NAME_OCTETS
            one.header.ancillary, one.header.ancillary_octets = info + number * told, told
        self._messages, self._fresh = messages, bytes(messages)
        self._at = address_of(messages)
        whole = memoryview(messages).cast("I")
        step = _MESSAGE // _WORD
        self.octets = whole[_Message.octets.offset // _WORD :: step]
        sizes = memoryview(messages).cast("P")
        word = sizes.itemsize
        self.lengths = sizes[_Header.ancillary_octets.offset // word :: _MESSAGE // word]

    def receive(self, descriptor: int) -> int:
        """How many came, of a socket that doesn't wait. Raises OSError."""
        self._messages[:] = self._fresh
        return _checked(_recvmmsg(descriptor, self._at, AT_ONCE, 0, None))


def _checked(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result
