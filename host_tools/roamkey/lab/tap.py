"""Every frame that passes a point of the laboratory, with the kernel's time of it.

With the bridge's own capture of what it did not lose, two taps tell where each frame went: one
where a node lets go of it, one where it enters the bridge.
"""

import socket
import struct
from collections.abc import Callable

from roamkey.lab.background import Collector
from roamkey.lab.namespaces import Namespace
from roamkey.lab.ring import Ring

_ETH_P_ALL = 3
_SO_TIMESTAMPNS = 35  # linux/socket.h; the socket module has no name for it
_OUTGOING = 4  # PACKET_OUTGOING, linux/if_packet.h
_SOL_PACKET = 263  # linux/socket.h
_PACKET_STATISTICS = 6  # linux/if_packet.h: two counts, of packets and of those dropped
_RECEIVE_BUFFER = 1 << 20
_OCTETS_MAX = 2048
_EVERY_S = 0.05
_FRAMES = 4096
_MISSED = "a tap missed frames"

Frame = tuple[float, bytes]


class Tap(Collector[Frame]):
    """Collects frames as (seconds since the epoch, octets) while its context is open."""

    def __init__(self, take: Callable[[], list[Frame]]) -> None:
        super().__init__(take, _EVERY_S)


def arriving(namespace: Namespace, interface: str) -> Tap:
    """What an interface receives; the tap raises RuntimeError if it missed a frame."""
    with namespace.entered():
        return Tap(_Arriving(interface).take)


def leaving(namespace: Namespace) -> Tap:
    """What the kernel of a namespace gives to its interfaces to send, whichever they are.

    The tap raises RuntimeError if it missed a frame.
    """
    return Tap(_Leaving(namespace).take)


class _Arriving:
    def __init__(self, interface: str) -> None:
        self._ring = Ring(interface)

    def take(self) -> list[Frame]:
        if self._ring.overflowed():
            raise RuntimeError(_MISSED)
        return [(arrival / 1e9, frame) for arrival, frame in self._ring.frames(_FRAMES)]


class _Leaving:
    def __init__(self, namespace: Namespace) -> None:
        self._socket = namespace.socket(
            socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ETH_P_ALL)
        )
        self._socket.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)
        self._socket.setblocking(False)

    def take(self) -> list[Frame]:
        found: list[Frame] = []
        counts = self._socket.getsockopt(_SOL_PACKET, _PACKET_STATISTICS, 8)
        if struct.unpack("@II", counts)[1]:
            raise RuntimeError(_MISSED)
        while True:
            try:
                frame, ancillary, _, place = self._socket.recvmsg(_OCTETS_MAX, 64)
            except BlockingIOError:
                return found
            stamps = [data for _, kind, data in ancillary if kind == _SO_TIMESTAMPNS]
            if place[2] == _OUTGOING and stamps:
                seconds, nanoseconds = struct.unpack("@ll", stamps[0])
                found.append((seconds + nanoseconds / 1e9, frame))
