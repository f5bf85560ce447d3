"""Frames of a capture file, pcap or pcapng, one after the other, in constant memory.

dpkt knows the headers; the walk over them is ours, because dpkt's readers hide what a technician
must hear of: a file that ends in the midst of a packet, packets that were cut when captured, and a
second interface of another link type.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

import dpkt
from dpkt import pcap, pcapng

from roamkey.decode.links import LINKS
from roamkey.errors import BadInputError

_FRAME_OCTETS_MAX = 1 << 24  # no link has longer ones: such a length is damage
_SECTION = pcapng.PCAPNG_BT_SHB.to_bytes(4, "big")  # the same in both byte orders
_INTERFACES_MAX = 4096  # no machine has as many; they stay in memory
_SECOND = 10**9  # in nanoseconds


class TruncatedCaptureError(BadInputError):
    """The file ends in the midst of a record; what stood before it has been given."""


@dataclass(frozen=True)
class Frame:
    """A frame of a capture.

    `number` counts from 1; `time` in nanoseconds since 1970, or None; `link`: link type;
    `packet`: the IPv6 packet in it, or None; `octets`: length on the wire, `kept`: in the file.
    """

    number: int
    time: int | None
    link: int
    packet: bytes | None
    octets: int
    kept: int


@dataclass(frozen=True)
class _Interface:
    link: int
    units: int  # of time stamps, in a second
    offset: int  # seconds
    snaplen: int


def is_capture(head: bytes) -> bool:
    """Whether a file that begins with these octets (four suffice) claims to be a capture."""
    return head[:4] == _SECTION or int.from_bytes(head[:4], "big") in pcap.MAGIC_TO_PKT_HDR


def frames(file: BinaryIO, head: bytes = b"") -> Iterator[Frame]:
    """The frames of an open capture file, of which `head` (up to 4 octets) has been read already.

    Raises BadInputError where it is none or is damaged, TruncatedCaptureError where it ends early.
    """
    head += file.read(4 - len(head))
    if not is_capture(head):
        raise BadInputError("not a pcap or pcapng file")
    read = _pcapng if head == _SECTION else _pcap
    number = 0
    try:
        for number, (time, link, data, octets) in enumerate(read(file, head), 1):
            strip = LINKS.get(link)
            yield Frame(number, time, link, strip and strip(data), octets, len(data))
    except (dpkt.Error, struct.error, ValueError, IndexError):
        raise BadInputError(f"damaged capture file, behind packet {number}") from None


_Record = tuple[int | None, int, bytes, int]  # time, link type, octets kept, octets on the wire


def _exactly(file: BinaryIO, octets: int) -> bytes:
    if not 0 <= octets <= _FRAME_OCTETS_MAX:
        raise ValueError("impossible length")
    data = file.read(octets)
    if len(data) < octets:
        raise TruncatedCaptureError("the capture file ends in the midst of a packet")
    return data


def _pcap(file: BinaryIO, head: bytes) -> Iterator[_Record]:
    magic = int.from_bytes(head, "big")
    record = pcap.MAGIC_TO_PKT_HDR[magic]
    little = issubclass(record, (pcap.LEPktHdr, pcap.LEPktModHdr))
    header_type = pcap.LEFileHdr if little else pcap.FileHdr
    header = header_type(head + _exactly(file, header_type.__hdr_len__ - len(head)))
    nano = magic in (pcap.TCPDUMP_MAGIC_NANO, pcap.PMUDPCT_MAGIC_NANO)
    while start := file.read(record.__hdr_len__):
        start += _exactly(file, record.__hdr_len__ - len(start))
        packet = record(start)
        time = packet.tv_sec * _SECOND + packet.tv_usec * (1 if nano else 1000)
        # The upper half of the link type tells of check sequences.
        yield time, header.linktype & 0xFFFF, _exactly(file, packet.caplen), packet.len


def _pcapng(file: BinaryIO, head: bytes) -> Iterator[_Record]:
    interfaces: list[_Interface] = []
    little = False
    while head:
        head += _exactly(file, 8 - len(head))
        if head[:4] == _SECTION:  # its third word tells the byte order of its second
            head += _exactly(file, 4)
            little = head[8:12] == pcapng.BYTE_ORDER_MAGIC.to_bytes(4, "little")
            interfaces = []
        kind, octets = struct.unpack("<II" if little else ">II", head[:8])
        if octets < 12 or octets % 4:
            raise ValueError("impossible length")
        block = head + _exactly(file, octets - len(head))
        if kind == pcapng.PCAPNG_BT_IDB:
            if len(interfaces) == _INTERFACES_MAX:
                raise ValueError("too many interfaces")
            interfaces.append(_interface(block, little))
        elif kind in (pcapng.PCAPNG_BT_EPB, pcapng.PCAPNG_BT_PB):
            yield _packet(kind, block, little, interfaces)
        elif kind == pcapng.PCAPNG_BT_SPB:
            yield _simple_packet(block, little, interfaces)
        head = file.read(8)


def _block(name: str, octets: bytes, little: bool) -> Any:
    return getattr(pcapng, name + "LE" if little else name)(octets)


def _interface(octets: bytes, little: bool) -> _Interface:
    block = _block("InterfaceDescriptionBlock", octets, little)
    units, offset = 10**6, 0
    for option in block.opts:
        if option.code == pcapng.PCAPNG_OPT_IF_TSRESOL:
            (power,) = option.data
            units = 2 ** (power & 0x7F) if power & 0x80 else 10**power
        elif option.code == pcapng.PCAPNG_OPT_IF_TSOFFSET:
            (offset,) = struct.unpack("<q" if little else ">q", option.data)
    return _Interface(block.linktype, units, offset, block.snaplen)


def _packet(kind: int, octets: bytes, little: bool, interfaces: list[_Interface]) -> _Record:
    enhanced = kind == pcapng.PCAPNG_BT_EPB
    block = _block("EnhancedPacketBlock" if enhanced else "PacketBlock", octets, little)
    interface = _of(interfaces, block.iface_id)
    if len(block.pkt_data) < block.caplen:
        raise ValueError("a packet longer than its block")
    time = (block.ts_high << 32 | block.ts_low) * _SECOND // interface.units
    return time + interface.offset * _SECOND, interface.link, block.pkt_data, block.pkt_len


def _simple_packet(octets: bytes, little: bool, interfaces: list[_Interface]) -> _Record:
    interface = _of(interfaces, 0)
    (length,) = struct.unpack("<I" if little else ">I", octets[8:12])
    kept = min(length, interface.snaplen or length)
    return None, interface.link, octets[12:-4][:kept], length


def _of(interfaces: list[_Interface], number: int) -> _Interface:
    if number >= len(interfaces):
        raise ValueError("a packet of an interface that isn't described")
    return interfaces[number]
