"""What the sensor on the board reports, as it arrives at the correspondent's host.

Away from home a reading comes with a Home Address option, which a raw socket of protocol 60 sees,
or inside UDP, of which raw sockets get a copy; at home it comes as a plain datagram. (With the
correspondent's data plane any program gets all of them from an ordinary socket; that needs a TUN
device, which the demo must do without. What the data plane delivers again, where there is one,
doesn't count: only what comes over the wire does.)
"""

import fcntl
import json
import select
import socket
import struct
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import TracebackType

from mip6 import addresses, packets
from mip6.errors import Violation
from roamkey.lab.background import Collector
from roamkey.lab.namespaces import Namespace
from roamkey.lab.network import CORRESPONDENT_INTERFACE

PORT = 5005  # firmware/examples/sensor.py
_IPPROTO_DSTOPTS = 60
_IP_PKTINFO = 8  # linux/in.h
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

    `care_of_address`: that it came from; of one inside UDP the outer source, maybe a NAT's.
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
        plain = host.socket(socket.AF_INET6, socket.SOCK_DGRAM)
        plain.bind((address, PORT))
        raw = socket.SOCK_RAW
        #: What a socket gives: what came, and from where, to data, home and care-of address.
        self._sources: dict[socket.socket, _Reader] = {
            plain: lambda data, source: (data, source, source),
            host.socket(socket.AF_INET6, raw, _IPPROTO_DSTOPTS): self._routed,
            host.socket(socket.AF_INET6, raw, packets.UDP): self._inside_ipv6,
            host.socket(socket.AF_INET, raw, packets.UDP): self._inside_ipv4,
        }
        for one in self._sources:
            one.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
            if one.family == socket.AF_INET6:
                one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
            else:
                one.setsockopt(socket.IPPROTO_IP, _IP_PKTINFO, 1)
            one.setblocking(False)
        named = _IFREQ.pack(CORRESPONDENT_INTERFACE.encode(), 0)
        _, self._wire = _IFREQ.unpack(fcntl.ioctl(plain, _SIOCGIFINDEX, named))

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        super().__exit__(kind, value, trace)
        for one in self._sources:
            one.close()

    def between(self, start: float, end: float) -> int:
        """How many arrived in this time."""
        return sum(start <= reading.time < end for reading in self.seen)

    def _listen(self) -> list[Reading]:
        """All that has come, in order of arrival: none is left when the last call returns."""
        select.select(list(self._sources), [], [], _ENDS_WITHIN_S)
        found = [
            reading
            for one, reader in self._sources.items()
            for reading in self._waiting(one, reader)
        ]
        return sorted(found, key=lambda reading: reading.time)

    def _waiting(self, one: socket.socket, reader: "_Reader") -> Iterator[Reading]:
        while True:
            try:
                data, ancillary, _, sender = one.recvmsg(65536, _ANCILLARY_OCTETS)
            except BlockingIOError:
                return
            at, interface = _arrival(ancillary)
            if interface != self._wire:
                continue
            try:
                read = reader(data, addresses.parse(sender[0].partition("%")[0]))
            except Violation:
                continue
            if read is not None:
                yield _reading(at, *read)

    def _routed(self, payload: bytes, source: bytes) -> "_Read | None":
        """A datagram behind a Home Address option."""
        packet = packets.parse_payload(_IPPROTO_DSTOPTS, payload, source, self._address)
        return _of_sensor(packet, source)

    def _inside_ipv6(self, datagram: bytes, source: bytes) -> "_Read | None":
        """A datagram that may carry another: from its UDP header on."""
        if int.from_bytes(datagram[2:4], "big") != packets.ENCAPSULATION_PORT:
            return None
        inner = packets.parse_encapsulated(datagram[packets.UDP_HEADER_OCTETS :])
        return _of_sensor(inner, source)

    def _inside_ipv4(self, packet: bytes, source: bytes) -> "_Read | None":
        """The same from its IPv4 header on."""
        return self._inside_ipv6(packet[4 * (packet[0] & 15) :], source)


_Read = tuple[bytes, bytes, bytes]  # data, home address, the address that it came from
_Reader = Callable[[bytes, bytes], _Read | None]


def _of_sensor(packet: packets.Packet, source: bytes) -> _Read | None:
    if packet.protocol != packets.UDP or not packet.checksum_ok():
        return None
    return bytes(packet.payload[packets.UDP_HEADER_OCTETS :]), packet.logical_source, source


def _arrival(ancillary: list[tuple[int, int, bytes]]) -> tuple[float, int]:
    """When and at which interface (by index) the kernel took a packet."""
    found = {(level, kind): data for level, kind, data in ancillary}
    seconds, nanoseconds = _TIMESPEC.unpack(found[socket.SOL_SOCKET, _SO_TIMESTAMPNS])
    ipv6 = found.get((socket.IPPROTO_IPV6, socket.IPV6_PKTINFO))
    if ipv6 is None:  # struct in_pktinfo: index of the interface, two addresses
        interface = int.from_bytes(found[socket.IPPROTO_IP, _IP_PKTINFO][:4], sys.byteorder)
    else:
        _, interface = _PACKET_INFO.unpack(ipv6)
    return seconds + nanoseconds / 1e9, interface


def _reading(at: float, data: bytes, home: bytes, care_of: bytes) -> Reading:
    number = json.loads(data)["n"]
    return Reading(at, number, addresses.text(home), addresses.text(care_of))
