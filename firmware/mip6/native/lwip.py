"""Raw IPv6 on stock MicroPython for the Pico W, whose sockets make raw lwIP PCBs for IPv4 alone.

MicroPython calls lwIP's raw_new(), which types the PCB as IPv4: it neither sends nor receives
IPv6. Here the type is corrected in memory, where MicroPython's socket object and lwIP's PCB are
found at fixed offsets (MicroPython 1.28, 32 bits). Nothing is written unless every field that
the layout predicts has the value it must have; else the error names the firmware. lwIP gives a
raw socket every packet whose *first* next header is the socket's protocol, whole, and then
forgets it.
"""

import sys

from .. import addresses, packets
from ..compat import const
from ..ports.waiting import take

TYPE_CHECKING = const(False)

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from ..protocols import Incoming, Memory, Octets

_SOCK_RAW = const(3)
_AF_INET6 = const(10)

# lwip_socket_obj_t of extmod/modlwip.c
_OBJECT_PCB = const(4)
_OBJECT_DOMAIN = const(54)
_OBJECT_TYPE = const(55)
_OBJECT_STATE = const(56)
_OBJECT_OCTETS = const(60)
_STATE_NEW = const(0)  # poll() reports HUP for ever
_STATE_ACTIVE = const(4)  # as a UDP socket has it

# struct raw_pcb of lwip/raw.h; an address is 16 octets, its zone, and at 20 its type
_PCB_LOCAL_TYPE = const(20)
_PCB_REMOTE_TYPE = const(44)
_PCB_HOP_LIMIT = const(51)
_PCB_PROTOCOL = const(56)
_PCB_FLAGS = const(57)
_PCB_ARGUMENT = const(64)
_PCB_OCTETS = const(72)
_RAW_TTL = const(255)
_IPV4 = const(0)
_IPV6 = const(6)
_HEADER_INCLUDED = const(2)  # RAW_FLAGS_HDRINCL

_RAM = const(0x20000000)
_RAM_END = const(0x20082000)  # of the RP2350; the RP2040's ends at 0x20042000

_UNUSED = const(253)  # a protocol for experiments (RFC 3692): the sending socket receives nothing
_HOP_LIMIT = const(64)
_OCTETS_MAX = const(1500)  # a packet, as Wi-Fi carries it


def _in_ram(address: int, octets: int) -> bool:
    return _RAM <= address <= _RAM_END - octets and not address & 3


def make_ipv6(
    stream: object,
    protocol: int,
    mem8: "Memory",
    mem32: "Memory",
    place: "Callable[[object], int]" = id,
) -> int:
    """Turn a new raw socket into one for IPv6; returns where its PCB is.

    `mem8`, `mem32`: machine's; `place`: gives an object's address. Raises OSError, and has written
    nothing, where memory doesn't look as it must.
    """
    there = place(stream)
    pcb = mem32[there + _OBJECT_PCB] if _in_ram(there, _OBJECT_OCTETS) else 0
    if not (
        _in_ram(pcb, _PCB_OCTETS)
        and mem8[there + _OBJECT_DOMAIN] == _AF_INET6
        and mem8[there + _OBJECT_TYPE] == _SOCK_RAW
        and mem8[there + _OBJECT_STATE] == _STATE_NEW
        and mem8[pcb + _PCB_PROTOCOL] == protocol
        and mem8[pcb + _PCB_HOP_LIMIT] == _RAW_TTL
        and mem8[pcb + _PCB_FLAGS] == 0
        and mem8[pcb + _PCB_LOCAL_TYPE] == _IPV4
        and mem8[pcb + _PCB_REMOTE_TYPE] == _IPV4
        and mem32[pcb + _PCB_ARGUMENT] == there
    ):
        raise OSError("no raw IPv6 known for this firmware: %s" % sys.version)
    mem8[pcb + _PCB_LOCAL_TYPE] = _IPV6
    mem8[pcb + _PCB_REMOTE_TYPE] = _IPV6
    mem8[there + _OBJECT_STATE] = _STATE_ACTIVE
    return pcb


def _open(protocol: int) -> "tuple[socket.socket, int]":
    """(socket, address of its PCB): raw, IPv6, doesn't block. Raises OSError."""
    import socket

    import machine

    stream = socket.socket(socket.AF_INET6, _SOCK_RAW, protocol)
    try:
        pcb = make_ipv6(stream, protocol, machine.mem8, machine.mem32)
    except OSError:
        stream.close()
        raise
    stream.setblocking(False)
    return stream, pcb


class Receiver:
    """Packets whose first next header is `protocol`. Raises OSError (ENOMEM: all four in use)."""

    def __init__(self, protocol: int) -> None:
        self.socket = _open(protocol)[0]

    def receive(self) -> "Incoming | None":
        """(source, destination, next header, payload from that header on) of one, or None.

        Damaged packets give None too; lwIP has checked the IPv6 header already. Raises as `take`.
        """
        packet = take(self.socket)
        if packet is None:
            return None
        octets = packets.IPV6_HEADER_OCTETS + (packet[4] << 8 | packet[5])
        if octets > len(packet):
            return None
        payload = memoryview(packet)[packets.IPV6_HEADER_OCTETS : octets]
        return packet[8:24], packet[24:40], packet[6], payload

    def close(self) -> None:
        """Give the socket back: one of four."""
        self.socket.close()


class Sender:
    """Sends packets of any next header from any address: we make the IPv6 header ourselves.

    So one socket serves for everything, and lwIP keeps its hands on packets of protocol 60.
    """

    def __init__(self) -> None:
        import machine

        self._mem32 = machine.mem32
        self.socket, self._pcb = _open(_UNUSED)
        machine.mem8[self._pcb + _PCB_FLAGS] = _HEADER_INCLUDED
        self._octets = bytearray(_OCTETS_MAX)
        self._view = memoryview(self._octets)
        self._octets[0] = 0x60
        self._octets[7] = _HOP_LIMIT
        self._destination: bytes | None = None
        self._source: bytes | None = None

    def send(self, source: bytes, destination: bytes, next_header: int, payload: "Octets") -> None:
        """Send; raises OSError (EMSGSIZE, no route, no memory)."""
        octets = len(payload)
        end = packets.IPV6_HEADER_OCTETS + octets
        if end > _OCTETS_MAX:
            raise OSError(90)  # EMSGSIZE
        buffer = self._octets
        buffer[4] = octets >> 8
        buffer[5] = octets & 255
        buffer[6] = next_header
        buffer[8:24] = source
        if destination != self._destination:
            buffer[24:40] = destination
            self._place = (addresses.text(destination), 0)
            self._destination = bytes(destination)
        self._view[packets.IPV6_HEADER_OCTETS : end] = payload
        self._leave_by(source)
        self.socket.sendto(self._view[:end], self._place)

    def _leave_by(self, address: bytes) -> None:
        """Bind to an address, by which lwIP chooses the interface; bind() knows only IPv4."""
        if address != self._source:
            for at in range(0, 16, 4):
                self._mem32[self._pcb + at] = int.from_bytes(address[at : at + 4], "little")
            self._source = bytes(address)

    def close(self) -> None:
        """Give the socket back: one of four."""
        self.socket.close()
