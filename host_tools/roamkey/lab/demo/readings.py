"""What the sensor on the board reports, as it arrives at the correspondent's host.

Away from home a reading comes with a Home Address option, which a raw socket of protocol 60 sees;
at home it comes as a plain datagram. (With the correspondent's data plane any program gets both
from an ordinary socket; that needs a TUN device, which the demo must do without. What the data
plane delivers again, where there is one, doesn't count: only what comes over the wire does.)
"""

import fcntl
import ipaddress
import json
import select
import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from types import TracebackType

from mip6 import packets
from mip6.errors import Violation
from roamkey.lab.background import Collector
from roamkey.lab.namespaces import Namespace
from roamkey.lab.network import CORRESPONDENT_INTERFACE

PORT = 5005  # firmware/examples/sensor.py
_IPPROTO_DSTOPTS = 60
_SO_TIMESTAMPNS = 35  # asm-generic/socket.h; a message of that type has it, too
_TIMESPEC = struct.Struct("@ll")
_PACKET_INFO = struct.Struct("@16sI")  # struct in6_pktinfo: address, index of the interface
_ANCILLARY_OCTETS = socket.CMSG_SPACE(_TIMESPEC.size) + socket.CMSG_SPACE(_PACKET_INFO.size)
_SIOCGIFINDEX = 0x8933
_IFREQ = struct.Struct("@16si20x")
_ENDS_WITHIN_S = 0.05


@dataclass(frozen=True)
class Reading:
    """One reading: its number, both its addresses, and when it arrived.

    `time`: by the kernel's clock (s since the epoch), however late it was looked at.
    """

    time: float
    number: int
    home_address: str
    care_of_address: str


class Readings(Collector[Reading]):
    """Collects `seen`, in order of arrival, from entering the context until leaving it."""

    def __init__(self, host: Namespace, address: str) -> None:
        super().__init__(self._listen, every_s=0)
        self._address = socket.inet_pton(socket.AF_INET6, address)
        self._routed = host.socket(socket.AF_INET6, socket.SOCK_RAW, _IPPROTO_DSTOPTS)
        self._plain = host.socket(socket.AF_INET6, socket.SOCK_DGRAM)
        self._plain.bind((address, PORT))
        for one in (self._routed, self._plain):
            one.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
            one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
            one.setblocking(False)
        named = _IFREQ.pack(CORRESPONDENT_INTERFACE.encode(), 0)
        _, self._wire = _IFREQ.unpack(fcntl.ioctl(self._plain, _SIOCGIFINDEX, named))

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        super().__exit__(kind, value, trace)
        self._routed.close()
        self._plain.close()

    def between(self, start: float, end: float) -> int:
        """How many arrived in this time."""
        return sum(start <= reading.time < end for reading in self.seen)

    def _listen(self) -> list[Reading]:
        """All that has come, in order of arrival: none is left when the last call returns."""
        select.select([self._routed, self._plain], [], [], _ENDS_WITHIN_S)
        found = [*self._waiting(self._routed), *self._waiting(self._plain)]
        return sorted(found, key=lambda reading: reading.time)

    def _waiting(self, one: socket.socket) -> Iterator[Reading]:
        while True:
            try:
                data, ancillary, _, sender = one.recvmsg(65536, _ANCILLARY_OCTETS)
            except BlockingIOError:
                return
            at, interface = _arrival(ancillary)
            if interface != self._wire:
                continue
            source = socket.inet_pton(socket.AF_INET6, sender[0].partition("%")[0])
            home = source
            if one is self._routed:
                data, home = self._datagram(data, source)
            if data:
                yield _reading(at, data, home, source)

    def _datagram(self, payload: bytes, source: bytes) -> tuple[bytes, bytes]:
        """The data and the home address of a datagram behind a Home Address option."""
        try:
            packet = packets.parse_payload(_IPPROTO_DSTOPTS, payload, source, self._address)
        except Violation:
            return b"", b""
        if packet.protocol != packets.UDP or not packet.checksum_ok():
            return b"", b""
        return bytes(packet.payload[packets.UDP_HEADER_OCTETS :]), packet.logical_source


def _arrival(ancillary: list[tuple[int, int, bytes]]) -> tuple[float, int]:
    """When and at which interface (by index) the kernel took a packet."""
    found = {(level, kind): data for level, kind, data in ancillary}
    seconds, nanoseconds = _TIMESPEC.unpack(found[socket.SOL_SOCKET, _SO_TIMESTAMPNS])
    _, interface = _PACKET_INFO.unpack(found[socket.IPPROTO_IPV6, socket.IPV6_PKTINFO])
    return seconds + nanoseconds / 1e9, interface


def _reading(at: float, data: bytes, home: bytes, care_of: bytes) -> Reading:
    number = json.loads(data)["n"]
    home_text, care_of_text = (str(ipaddress.IPv6Address(octets)) for octets in (home, care_of))
    return Reading(at, number, home_text, care_of_text)
