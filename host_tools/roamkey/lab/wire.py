"""What crosses the link to the correspondent: signalling read from a capture while it grows."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from struct import unpack
from typing import BinaryIO

from mip6 import addresses, messages, packets
from mip6.errors import Violation
from mip6.limits import LIFETIME_UNIT_S
from roamkey.decode import authenticity, outer
from roamkey.lab.background import Collector

_PCAP_HEADER_OCTETS = 24
_RECORD_HEADER_OCTETS = 16
_ETHERNET_OCTETS = 14
_ETHERTYPE_IPV6, _ETHERTYPE_IPV4 = b"\x86\xdd", b"\x08\x00"
_PAUSE_S = 0.005


@dataclass(frozen=True)
class Signal:
    """One mobility message on the wire; `time` in seconds since the epoch.

    `kind` as in `mip6.messages`; `status` only in an acknowledgement; `lifetime` in seconds.
    `frame`: the whole Ethernet frame. `way`: native, udp6, udp4; `near`: the node's address on the
    wire, which is the care-of address but behind a NAT. An acknowledgement inside UDP doesn't say
    which care-of address it is about: there it is `near`.
    """

    time: float
    kind: int
    home_address: str
    care_of_address: str
    sequence: int
    lifetime: int
    status: int | None
    frame: bytes
    way: str = "native"
    near: str = ""

    @property
    def is_update(self) -> bool:
        """Whether it is a Binding Update."""
        return bool(self.kind == messages.BINDING_UPDATE)

    @property
    def is_acceptance(self) -> bool:
        """Whether it is an acknowledgement that accepts (RFC 6275 section 6.1.8)."""
        return self.status is not None and self.status < messages.REASON_UNSPECIFIED


class Wire(Collector[Signal]):
    """Follows a pcap file and collects its signals; use it as a context manager."""

    def __init__(self, capture: Path) -> None:
        super().__init__(self._read, _PAUSE_S)
        self._capture = capture
        self._file: BinaryIO

    def wait_for(
        self, wanted: Callable[[Signal], bool], since: float = 0.0, timeout: float = 15.0
    ) -> Signal:
        """The first signal not before `since` that is `wanted`; raises TimeoutError."""
        return self.wait_until(
            lambda signal: signal.time >= since and wanted(signal),
            "not seen on the wire",
            timeout,
        )

    def __enter__(self) -> "Wire":
        self._file = self._owned.enter_context(self._capture.open("rb"))
        return super().__enter__()

    def _read(self) -> Iterator[Signal]:
        for at, frame in records(self._file):
            signal = read_signal(at, frame)
            if signal is not None:
                yield signal


def records(file: BinaryIO) -> Iterator[tuple[float, bytes]]:
    """The whole records that have been written since the last call (little-endian pcap)."""
    if file.tell() == 0 and len(file.read(_PCAP_HEADER_OCTETS)) < _PCAP_HEADER_OCTETS:
        file.seek(0)
        return
    while True:
        start = file.tell()
        header = file.read(_RECORD_HEADER_OCTETS)
        if len(header) == _RECORD_HEADER_OCTETS:
            seconds, micros, octets, _ = unpack("<IIII", header)
            frame = file.read(octets)
            if len(frame) == octets:
                yield seconds + micros / 1e6, frame
                continue
        file.seek(start)
        return


def read_signal(at: float, frame: bytes) -> Signal | None:
    """The Binding Update or Acknowledgement in an Ethernet frame, or None."""
    octets, kind = frame[_ETHERNET_OCTETS:], frame[12:14]
    try:
        around = (
            outer.ipv6(octets) if kind == _ETHERTYPE_IPV6
            else outer.ipv4(octets) if kind == _ETHERTYPE_IPV4
            else None
        )  # fmt: skip
        if around is not None and around.payload is not None:
            packet = packets.parse_encapsulated(around.payload)
        elif kind == _ETHERTYPE_IPV6:
            packet = packets.parse(octets)
        else:
            return None
        if packet.protocol != packets.MOBILITY:
            return None
        message = messages.decode(packet.payload)
    except Violation:
        return None
    if message.kind == messages.BINDING_UPDATE:
        who = authenticity.about(packet, message, around).parties[0]
        home, care_of, near = who.home_address, who.care_of_address, packet.source
    elif message.kind == messages.BINDING_ACKNOWLEDGEMENT:
        home, care_of, near = packet.logical_destination, packet.destination, packet.destination
    else:
        return None
    if around is not None:
        update = message.kind == messages.BINDING_UPDATE
        near = around.source if update else around.destination
        care_of = care_of if update else near
    return Signal(
        at,
        message.kind,
        addresses.text(home),
        addresses.text(care_of),
        message.sequence,
        message.lifetime * LIFETIME_UNIT_S,
        getattr(message, "status", None),
        frame,
        "native" if around is None else around.way,
        addresses.text(near),
    )
