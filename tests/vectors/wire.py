"""Octets of IPv4, IPv6, UDP and Mobility Headers from the RFCs' words alone, for the generators.

Independent of roamkey on purpose: ipaddress and struct, nothing of mip6.
"""

import ipaddress
import struct

MOBILITY, UDP, ROUTING, NO_NEXT_HEADER, DESTINATION_OPTIONS = 135, 17, 43, 59, 60
IPV6_IN_IPV6 = 41


def packed(address: str) -> bytes:
    """16 octets; an IPv4 address as its IPv4-mapped one (RFC 4291 section 2.5.5.2)."""
    found = ipaddress.ip_address(address)
    return found.packed if found.version == 6 else bytes(10) + b"\xff\xff" + found.packed


def internet_sum(octets: bytes) -> int:
    """RFC 1071, word by word."""
    octets += bytes(len(octets) % 2)
    total = sum(word for (word,) in struct.iter_unpack(">H", octets))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total ^ 0xFFFF


def pseudo(source: str, destination: str, protocol: int, octets: int) -> bytes:
    """RFC 8200 section 8.1; RFC 768 where the addresses are IPv4 ones."""
    ends = ipaddress.ip_address(source).packed + ipaddress.ip_address(destination).packed
    if len(ends) == 8:
        return ends + struct.pack(">BBH", 0, protocol, octets)
    return ends + struct.pack(">I3xB", octets, protocol)


def udp(source: str, sport: int, destination: str, dport: int, data: bytes) -> bytes:
    head = struct.pack(">HHH", sport, dport, 8 + len(data))
    summed = pseudo(source, destination, UDP, 8 + len(data)) + head + b"\0\0" + data
    return head + struct.pack(">H", internet_sum(summed) or 0xFFFF) + data


def ipv6(source: str, destination: str, protocol: int, payload: bytes) -> bytes:
    head = struct.pack(">IHBB", 6 << 28, len(payload), protocol, 64)
    return head + packed(source) + packed(destination) + payload


def ipv4(source: str, destination: str, protocol: int, payload: bytes) -> bytes:
    ends = ipaddress.ip_address(source).packed + ipaddress.ip_address(destination).packed
    head = struct.pack(">BBHHHBB", 0x45, 0, 20 + len(payload), 0, 0x4000, 64, protocol)
    return head + struct.pack(">H", internet_sum(head + b"\0\0" + ends)) + ends + payload


def pad_to(octets: bytes, multiple: int, offset: int) -> bytes:
    missing = (offset - len(octets)) % multiple
    return octets + (b"\0" if missing == 1 else bytes((1, missing - 2)) + bytes(missing - 2)
                     if missing else b"")  # fmt: skip


def message(kind: int, fixed: bytes, options: bytes = b"") -> bytes:
    """A Mobility Header with its checksum zero (RFC 6275 section 6.1.1)."""
    octets = struct.pack(">BBBBH", NO_NEXT_HEADER, 0, kind, 0, 0) + fixed + options
    assert len(octets) % 8 == 0
    return octets[:1] + bytes((len(octets) // 8 - 1,)) + octets[2:]


def with_checksum(header: bytes, source: str, destination: str) -> bytes:
    value = internet_sum(pseudo(source, destination, MOBILITY, len(header)) + header)
    return header[:4] + struct.pack(">H", value) + header[6:]
