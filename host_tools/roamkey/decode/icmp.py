"""Errors of ICMPv6 (RFC 4443) and ICMP (RFC 792): what they say, and about which packet."""

from collections.abc import Mapping
from typing import Any

from mip6 import packets
from mip6.errors import Violation
from roamkey.decode import outer, partial
from roamkey.decode.meanings import ICMP_ERRORS, ICMPV6_ERRORS, text_of

Facts = dict[str, Any]
Names = Mapping[tuple[int, int | None], tuple[str, str]]

_HEADER_OCTETS = 8
_PARAMETER_PROBLEM = 4  # of ICMPv6


def icmpv6(payload: bytes) -> Facts:
    """From its header on, which is there."""
    facts = _named(payload, ICMPV6_ERRORS)
    if "name" not in facts:
        return facts
    if facts["type"] == _PARAMETER_PROBLEM:
        facts["pointer"] = int.from_bytes(payload[4:8], "big")
    cited = payload[_HEADER_OCTETS:]
    part = partial.read(cited)  # which the error needn't cite whole
    if part is None:
        return facts
    packet = part.packet
    if (
        packets.MOBILITY in (packet.protocol, part.fragment and part.fragment.protocol)
        or packet.home_address is not None
        or packet.route is not None
        or outer.ipv6(cited) is not None
    ):
        ends = packet.source, packet.destination
        facts["about"] = {"source": text_of(ends[0]), "destination": text_of(ends[1])}
    return facts


def icmp(payload: bytes) -> Facts:
    """The same of IPv4's. Raises Violation where its header isn't whole."""
    if len(payload) < _HEADER_OCTETS:
        raise Violation("truncated", "packet ends inside an ICMP header")
    facts = _named(payload, ICMP_ERRORS)
    if "name" not in facts:
        return facts
    try:
        cited = outer.ipv4(payload[_HEADER_OCTETS:])
    except Violation:
        return facts
    if cited.payload is not None:
        ends = cited.source, cited.destination
        facts["about"] = {"source": text_of(ends[0]), "destination": text_of(ends[1])}
    return facts


def _named(payload: bytes, names: Names) -> Facts:
    kind, code = payload[0], payload[1]
    named = names.get((kind, code)) or names.get((kind, None))
    facts: Facts = {"type": kind, "code": code}
    return {**facts, "name": named[0], "advice": named[1]} if named else facts
