"""Frames of an interface from an AF_PACKET ring that the kernel fills (packet(7), TPACKET_V2).

The ring is memory shared with the kernel: no system call per frame, no limit by the socket's
receive buffer (which an ordinary user can't raise), and each frame with the time it arrived.
"""

import mmap
import socket
import struct
from collections.abc import Iterator

# linux/if_packet.h
_SOL_PACKET = 263
_PACKET_RX_RING = 5
_PACKET_STATISTICS = 6
_PACKET_VERSION = 10
_PACKET_QDISC_BYPASS = 20
_PACKET_IGNORE_OUTGOING = 23
_TPACKET_V2 = 1
_TP_STATUS_KERNEL = 0
_TP_STATUS_USER = 1
_TP_STATUS_CSUMNOTREADY = 8
_ETH_P_ALL = 3

_SLOT = 2048  # octets: a header of about 80 and a frame of an MTU of 1500
_SLOTS = 4096
_BLOCK = 65536  # octets: what the kernel allocates in one piece
_HEADER = struct.Struct("=IIIHHII")  # status, length, captured, mac, net, seconds, nanoseconds


class Ring:
    """One interface: iterate `frames` when the descriptor is readable, `send` to transmit."""

    def __init__(self, interface: str) -> None:
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        for option, value in (
            (_PACKET_VERSION, struct.pack("I", _TPACKET_V2)),
            (_PACKET_IGNORE_OUTGOING, struct.pack("I", 1)),
            (_PACKET_QDISC_BYPASS, struct.pack("I", 1)),
            (
                _PACKET_RX_RING,
                struct.pack("IIII", _BLOCK, _SLOT * _SLOTS // _BLOCK, _SLOT, _SLOTS),
            ),
        ):
            self._socket.setsockopt(_SOL_PACKET, option, value)
        self._memory = memoryview(mmap.mmap(self._socket.fileno(), _SLOT * _SLOTS))
        self._status = self._memory.cast("I")
        self._next = 0
        self._overflowed = 0
        self.damaged = 0  # frames longer than a slot or with an unfinished checksum: not passed on
        self._socket.bind((interface, _ETH_P_ALL))
        self.send = self._socket.send

    def fileno(self) -> int:
        return self._socket.fileno()

    def frames(self, at_most: int) -> Iterator[tuple[int, bytes]]:
        """Yield the frames that wait as (arrival, frame); arrival in ns of CLOCK_REALTIME."""
        for _ in range(at_most):
            offset = self._next * _SLOT
            status, length, captured, mac, _, seconds, nanoseconds = _HEADER.unpack_from(
                self._memory, offset
            )
            if not status & _TP_STATUS_USER:
                return
            frame = bytes(self._memory[offset + mac : offset + mac + captured])
            self._status[offset // 4] = _TP_STATUS_KERNEL
            self._next = (self._next + 1) % _SLOTS
            if captured < length or status & _TP_STATUS_CSUMNOTREADY:
                self.damaged += 1
            else:
                yield seconds * 1_000_000_000 + nanoseconds, frame

    def overflowed(self) -> int:
        """How many frames the kernel dropped because the ring was full."""
        raw = self._socket.getsockopt(_SOL_PACKET, _PACKET_STATISTICS, 8)
        self._overflowed += struct.unpack("II", raw)[1]  # the kernel starts again from 0
        return self._overflowed
