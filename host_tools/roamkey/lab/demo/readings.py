"""What the sensor on the board reports, as it arrives at the correspondent's host.

Away from home a reading comes with a Home Address option, which a raw socket of protocol 60 sees;
at home it comes as a plain datagram. (With the correspondent's data plane any program gets both
from an ordinary socket; that needs a TUN device, which the demo must do without.)
"""

import ipaddress
import json
import select
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from types import TracebackType

from mip6 import packets
from mip6.errors import Violation
from roamkey.lab.background import Collector
from roamkey.lab.namespaces import Namespace

PORT = 5005  # firmware/examples/sensor.py
_IPPROTO_DSTOPTS = 60
_ENDS_WITHIN_S = 0.05


@dataclass(frozen=True)
class Reading:
    """One reading: when it arrived (s since the epoch), its number, and both its addresses."""

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

    def _listen(self) -> Iterator[Reading]:
        readable, _, _ = select.select([self._routed, self._plain], [], [], _ENDS_WITHIN_S)
        for ready in readable:
            data, sender = ready.recvfrom(65536)
            source = socket.inet_pton(socket.AF_INET6, sender[0].partition("%")[0])
            home = source
            if ready is self._routed:
                data, home = self._datagram(data, source)
            if data:
                yield _reading(data, home, source)

    def _datagram(self, payload: bytes, source: bytes) -> tuple[bytes, bytes]:
        """The data and the home address of a datagram behind a Home Address option."""
        try:
            packet = packets.parse_payload(_IPPROTO_DSTOPTS, payload, source, self._address)
        except Violation:
            return b"", b""
        if packet.protocol != packets.UDP or not packet.checksum_ok():
            return b"", b""
        return bytes(packet.payload[packets.UDP_HEADER_OCTETS :]), packet.logical_source


def _reading(data: bytes, home: bytes, care_of: bytes) -> Reading:
    number = json.loads(data)["n"]
    home_text, care_of_text = (str(ipaddress.IPv6Address(octets)) for octets in (home, care_of))
    return Reading(time.time(), number, home_text, care_of_text)
