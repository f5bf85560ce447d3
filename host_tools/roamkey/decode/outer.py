"""The datagram round an IPv6 packet inside UDP (docs/SPEC.md, "Encapsulated in UDP"), and IPv4.

Of IPv4 as much is read as says whose datagram it is: header, fragments, UDP's header.
"""

from dataclasses import asdict, dataclass, replace
from typing import Any

from mip6 import addresses, packets
from mip6.bindings import ways
from mip6.errors import Violation
from roamkey.decode import partial
from roamkey.decode.meanings import PROTOCOLS, text_of
from roamkey.decode.partial import Fragment

_IPV4_OCTETS = 20
_NO_CHECKSUM = b"\x00\x00"
ICMP = 1
_PROTOCOLS_IPV4 = {ICMP: "ICMP", 2: "IGMP"}


@dataclass(frozen=True)
class Outer:
    """An IP packet that may carry an encapsulated one: addresses (16 octets, IPv4 mapped), what
    its header says, ports where UDP's header is there.

    `octets`: its length by its own header; `options`: octets of IPv4 options; `payload`: what the
    datagram carries, None where nothing of port 4191; `cut`: its end is missing, by the capture
    or as a fragment; `checksum`: as in the facts, or None; `damage`: what is wrong, or None.
    """

    source: bytes
    destination: bytes
    hop_limit: int
    protocol: int
    octets: int
    options: int = 0
    fragment: Fragment | None = None
    source_port: int | None = None
    destination_port: int | None = None
    payload: bytes | None = None
    cut: bool = False
    checksum: dict[str, str] | None = None
    damage: Violation | None = None

    @property
    def way(self) -> str:
        """`udp4` or `udp6`."""
        return ways.NAMES[ways.UDP4 if addresses.is_ipv4(self.destination) else ways.UDP6]

    def facts(self) -> dict[str, Any]:
        """What it says, as the facts' `encapsulation` (see `facts`)."""
        found: dict[str, Any] = {
            "way": self.way,
            "source": text_of(self.source),
            "source_port": self.source_port,
            "destination": text_of(self.destination),
            "destination_port": self.destination_port,
            "hop_limit": self.hop_limit,
            "octets": self.octets,
        }
        if self.fragment is not None:
            found["fragment"] = fragment_facts(self.fragment)
        if self.options:
            found["ip_options"] = self.options
        if self.checksum is not None:
            found["checksum"] = self.checksum
        return found


def ipv4(octets: bytes) -> Outer:
    """An IPv4 packet, from its header on (RFC 791). Raises Violation where that isn't whole."""
    if len(octets) < _IPV4_OCTETS:
        raise Violation("truncated", "packet shorter than an IPv4 header")
    header, whole = 4 * (octets[0] & 15), int.from_bytes(octets[2:4], "big")
    if header < _IPV4_OCTETS or whole < header:
        raise Violation("length", "impossible lengths in an IPv4 header")
    if len(octets) < header:
        raise Violation("truncated", "packet shorter than its IPv4 header")
    place = int.from_bytes(octets[6:8], "big")
    fragment = None
    if place & 0x3FFF:
        number = int.from_bytes(octets[4:6], "big")
        fragment = Fragment(8 * (place & 0x1FFF), bool(place & 0x2000), number, octets[9])
    outer = Outer(
        addresses.IPV4_MAPPED + octets[12:16],
        addresses.IPV4_MAPPED + octets[16:20],
        octets[8],
        octets[9],
        whole,
        header - _IPV4_OCTETS,
        fragment,
    )
    return _with_udp(outer, octets[header:whole], len(octets) < whole)


def ipv6(octets: bytes) -> Outer | None:
    """An IPv6 packet that carries an encapsulated one; None where it is anything else, data of a
    mobile node's own port 4191 included."""
    part = partial.read(octets)
    if part is None or part.packet.protocol != packets.UDP:
        return None
    packet = part.packet
    if packet.home_address is not None or packet.route is not None:
        return None
    if part.fragment is not None and part.fragment.offset:
        return None
    outer = Outer(
        packet.source,
        packet.destination,
        octets[7],
        packets.UDP,
        packets.IPV6_HEADER_OCTETS + int.from_bytes(octets[4:6], "big"),
        fragment=part.fragment,
    )
    outer = _with_udp(outer, bytes(packet.payload), part.cut)
    return None if outer.payload is None else outer


def _with_udp(outer: Outer, there: bytes, cut: bool) -> Outer:
    """`outer` with what UDP's header says, `there` being the packet's octets from it on."""
    if (
        outer.protocol != packets.UDP
        or len(there) < packets.UDP_HEADER_OCTETS
        or (outer.fragment is not None and outer.fragment.offset)
    ):
        return outer
    ports = int.from_bytes(there[:2], "big"), int.from_bytes(there[2:4], "big")
    outer = replace(outer, source_port=ports[0], destination_port=ports[1])
    if packets.ENCAPSULATION_PORT not in ports:
        return outer
    cut = cut or outer.fragment is not None
    octets = int.from_bytes(there[4:6], "big")
    damage = None
    if octets < packets.UDP_HEADER_OCTETS or (octets != len(there) and not cut):
        damage = Violation("length", f"UDP length {octets}, {len(there)} octets there")
    elif outer.options:
        damage = Violation("ip options", "an outer IPv4 header with options")
    elif there[6:8] == _NO_CHECKSUM:
        damage = Violation("udp checksum", "an outer datagram without a checksum")
    return replace(
        outer,
        payload=there[packets.UDP_HEADER_OCTETS :],
        cut=cut,
        checksum=_checksum(outer, there, cut),
        damage=damage,
    )


def _checksum(outer: Outer, there: bytes, cut: bool) -> dict[str, str]:
    value = {"value": f"0x{there[6:8].hex()}"}
    if there[6:8] == _NO_CHECKSUM:
        return {**value, "verdict": "absent"}
    if cut:
        return {**value, "verdict": "not checkable"}
    ends = outer.source, outer.destination
    if outer.way == "udp4":  # the same sum over the four octets that count (RFC 768)
        ends = bytes(12) + ends[0][12:], bytes(12) + ends[1][12:]
    blank = there[:6] + _NO_CHECKSUM + there[8:]
    expected = f"0x{packets.checksum(*ends, packets.UDP, blank) or 0xFFFF:04x}"
    right = expected == value["value"]
    return {**value, "expected": expected, "verdict": "right" if right else "wrong"}


def fragment_facts(fragment: Fragment) -> dict[str, Any]:
    """A fragment, as in the facts."""
    return {**asdict(fragment), "protocol_name": name_of(fragment.protocol)}


def name_of(protocol: int) -> str:
    """The name of a protocol that IPv6 or IPv4 carries."""
    return PROTOCOLS.get(protocol) or _PROTOCOLS_IPV4.get(protocol, "unknown")


def plain_facts(outer: Outer) -> dict[str, Any]:
    """The facts of an IPv4 packet that carries none of ours."""
    facts: dict[str, Any] = {
        "octets": outer.octets,
        "source": text_of(outer.source),
        "destination": text_of(outer.destination),
        "hop_limit": outer.hop_limit,
        "protocol": outer.protocol,
        "protocol_name": name_of(outer.protocol),
    }
    if outer.fragment is not None:
        facts["fragment"] = fragment_facts(outer.fragment)
    return facts
