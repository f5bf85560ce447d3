"""What the data plane rests on, and others may change: its device, MTU, our address.

The kernel tells of changes (rtnetlink(7)); what it tells is only a reason to look. What was not
told, or not heard, is found by looking now and then.
"""

import fcntl
import socket
import struct
from contextlib import suppress
from ipaddress import IPv6Address

from roamkey.correspondent import localaddress
from roamkey.correspondent.dataplane.routes import (
    NATIVE_OVERHEAD,
    PROTOCOL,
    mtu_for,
    put_address,
)
from roamkey.errors import SystemRefusedError

# linux/rtnetlink.h
_GROUPS = 0x1 | 0x100 | 0x400  # links, IPv6 addresses, IPv6 routes
_LINKS = (16, 17)  # RTM_NEWLINK, RTM_DELLINK
_ADDRESSES = (20, 21)
_DELROUTE = 25
_PROTOCOL_AT = 5  # in struct rtmsg
_HEADER = struct.Struct("=IHHII")  # length, type, flags, sequence, port
_OCTETS = 65536
_RECEIVE_BUFFER = 1 << 20
_AT_ONCE = 256

# linux/sockios.h, net/if.h
_GET_FLAGS, _SET_FLAGS, _GET_MTU, _SET_MTU = 0x8913, 0x8914, 0x8921, 0x8922
_UP, _LOOPBACK = 0x1, 0x8
_FLAGS = struct.Struct("16sh22x")
_MTU = struct.Struct("16si20x")


class Host:
    """The kernel's word on one device and one address. Select on it; `close` it."""

    def __init__(self, address: IPv6Address, overhead: int = NATIVE_OVERHEAD) -> None:
        """Listen from now on. `overhead`: octets around a packet on the native way. Raises
        OSError."""
        self._address = address
        self._overhead = overhead
        self._notices = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
        self._notices.setblocking(False)
        self._notices.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)
        self._notices.bind((0, _GROUPS))
        self._asks = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)

    def fileno(self) -> int:
        """For poll."""
        return self._notices.fileno()

    def close(self) -> None:
        """Listen no longer."""
        self._notices.close()
        self._asks.close()

    def hear(self, our_port: int) -> bool:
        """Whether something changed that others than `our_port` (of netlink) did."""
        reason = False
        for _ in range(_AT_ONCE):
            try:
                told = self._notices.recv(_OCTETS)
            except BlockingIOError:
                break
            except OSError:  # more than the buffer holds: all of it may have changed
                reason = True
                continue
            at = 0
            while at + _HEADER.size <= len(told):
                length, kind, _, _, port = _HEADER.unpack_from(told, at)
                if kind in _LINKS or kind in _ADDRESSES:
                    reason = True
                elif kind == _DELROUTE and port != our_port:
                    reason |= told[at + _HEADER.size + _PROTOCOL_AT] == PROTOCOL
                at += max(_HEADER.size, length + 3 & ~3)
        return reason

    def address(self, device: int) -> tuple[localaddress.State, int | None]:
        """How our address stands, and the MTU that the device should have; None where nothing
        says so. `device`: its index, which says nothing where it has the address itself."""
        state, index = localaddress.look(self._address)
        if index == device:
            return state, None
        with suppress(OSError):
            name = _name_of(index)
            _, flags = _FLAGS.unpack(fcntl.ioctl(self._asks, _GET_FLAGS, _FLAGS.pack(name, 0)))
            if not flags & _LOOPBACK:
                return state, mtu_for(self._mtu(name), self._overhead)
        return state, None

    def mend(self, index: int, mtu: int | None, own: bool = False) -> list[str] | None:
        """See that the device is up and has its MTU, and, where it is its `own`, our address; what
        was mended, None: there is no device."""
        mended = []
        try:
            name = _name_of(index)
            _, flags = _FLAGS.unpack(fcntl.ioctl(self._asks, _GET_FLAGS, _FLAGS.pack(name, 0)))
            if mtu is not None and self._mtu(name) != mtu:
                fcntl.ioctl(self._asks, _SET_MTU, _MTU.pack(name, mtu))
                mended.append("mtu")
            if not flags & _UP:
                fcntl.ioctl(self._asks, _SET_FLAGS, _FLAGS.pack(name, flags | _UP))
                mended.append("link")
            if own and not localaddress.has(index, self._address):
                put_address(index, self._address)
                mended.append("address")
        except (OSError, SystemRefusedError):
            return None
        return mended

    def _mtu(self, name: bytes) -> int:
        mtu: int = _MTU.unpack(fcntl.ioctl(self._asks, _GET_MTU, _MTU.pack(name, 0)))[1]
        return mtu


def _name_of(index: int) -> bytes:
    return socket.if_indextoname(index).encode()
