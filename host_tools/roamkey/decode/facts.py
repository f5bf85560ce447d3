"""What a packet says, as a dictionary: the JSON form of `roamkey decode --json`.

Fields of a packet, absent where they don't apply:

- `octets`, `source`, `destination`, `hop_limit`, `protocol`, `protocol_name`
- `encapsulation`, where the packet came inside UDP: `way` (udp4, udp6), `source`, `source_port`,
  `destination`, `destination_port`, `hop_limit`, `octets`, `checksum` of the outer packet, its
  `ip_options` (octets) and `fragment`; all else is of the packet inside
- `tunnel`, where it came inside another IPv6 packet (RFC 2473), as from and to a home agent:
  `source`, `destination`, `hop_limit`, `octets` of that; all else likewise
- `home_address_option`: address; `routing_header`: `address`, `segments_left`
- `meaning`: of `source` and of `destination`, in words
- `home_address`, `care_of_address` (the one being registered), `correspondent`
- `fragment`: `offset` (octets), `more`, `identification`, `protocol`, `protocol_name` of the whole
- `checksum`: `value`, `expected` (hexadecimal), `verdict` (right, wrong, not checkable: not all of
  it is there)
- `mobility`: `type`, `name`, `octets`, the message's own fields, `flags` (letters), `flags_value`,
  `lifetime_s`, `lifetime`, `status_name`, `advice`, and `options`, each `type`, `name`, `octets`
  and its values
- `authenticator`: `verdict` (right, wrong, no key for this pair, not checked, absent),
  `generation`, `kbm` (binding, deletion), `by` (static key, MN-HA key, return routability: by the
  tokens of tests seen before), `note`
- `udp`: `source_port`, `destination_port`, `octets` of data
- `icmpv6`: `type`, `code`, `name`, `advice`, `pointer`, `about` (`source`, `destination`)
- `icmp`: the same of IPv4's, without `pointer`
- `damaged`: `reason` (a fixed word), `text`
"""

from typing import Any

from mip6 import messages, packets
from mip6.errors import Violation
from roamkey.decode import authenticity, icmp, outer, partial
from roamkey.decode.meanings import IPV6_IN_IPV6, PROTOCOLS, TCP, text_of
from roamkey.decode.mobility import mobility_facts

Facts = dict[str, Any]

#: protocol -> where its checksum stands
_CHECKSUM_AT = {packets.MOBILITY: 4, packets.UDP: 6, packets.ICMPV6: 2, TCP: 16}
#: what is wrong with a packet of which the rest can be read all the same
_READ_ON = ("truncated", "fragment", "length", "hop limit", "encapsulated")
_SIGNED = (messages.BINDING_UPDATE, messages.BINDING_ACKNOWLEDGEMENT)
_FROM_MOBILE = (
    messages.BINDING_UPDATE,
    messages.HOME_TEST_INIT,
    messages.CARE_OF_TEST_INIT,
)


def describe(
    octets: bytes,
    pairs: authenticity.Keys | None = None,
    seen: authenticity.Registrations | None = None,
) -> Facts:
    """The facts of one packet, damage included; with `pairs`, of its authenticator too.

    An IPv6 packet or an IPv4 one; of one that carries another inside UDP, those of the inner. An
    acknowledgement inside UDP doesn't say which care-of address it is about: `seen` knows it from
    the update before.
    """
    try:
        datagram = outer.ipv4(octets) if octets[:1] and octets[0] >> 4 == 4 else outer.ipv6(octets)
    except Violation as error:
        return {"octets": len(octets), **_damaged(error)}
    if datagram is None:
        tunnel = _tunnel(octets)
        inner = octets[packets.IPV6_HEADER_OCTETS :] if tunnel else octets
        return tunnel | _inside(inner, None, pairs, seen)
    if datagram.payload is None:
        return _of_ipv4(octets, datagram)
    facts = _inside(datagram.payload, datagram, pairs, seen)
    if datagram.damage is not None:
        facts |= _damaged(datagram.damage)
    return {"encapsulation": datagram.facts(), **facts}


def _tunnel(octets: bytes) -> Facts:
    """What is told of a tunnel's header, where an IPv6 packet comes right behind it."""
    start = packets.IPV6_HEADER_OCTETS
    if len(octets) <= start or octets[6] != IPV6_IN_IPV6 or octets[start] >> 4 != 6:
        return {}
    return {
        "tunnel": {
            "source": text_of(octets[8:24]),
            "destination": text_of(octets[24:40]),
            "hop_limit": octets[7],
            "octets": start + int.from_bytes(octets[4:6], "big"),
        }
    }


def _of_ipv4(octets: bytes, datagram: outer.Outer) -> Facts:
    """The facts of an IPv4 packet that carries none of ours: an error about one, maybe."""
    facts = outer.plain_facts(datagram)
    if datagram.protocol == outer.ICMP and datagram.fragment is None:
        header = 20 + datagram.options
        try:
            facts["icmp"] = icmp.icmp(octets[header : datagram.octets])
        except Violation as error:
            facts |= _damaged(error)
    return facts


def _damaged(error: Violation) -> Facts:
    return {"damaged": {"reason": error.reason, "text": str(error)}}


def _inside(
    octets: bytes,
    datagram: outer.Outer | None,
    pairs: authenticity.Keys | None,
    seen: authenticity.Registrations | None,
) -> Facts:
    """The facts of an IPv6 packet, as it is or inside `datagram`."""
    facts: Facts = {"octets": len(octets)}
    damage: Violation | None = None
    cut = False
    try:
        packet = packets.parse(octets) if datagram is None else packets.parse_encapsulated(octets)
    except Violation as error:
        part = partial.read(octets)
        if part is None:
            return {**facts, **_damaged(error)}
        damage, packet, cut = error, part.packet, part.cut
        if damage.reason not in _READ_ON:  # what follows can't be relied upon
            _header_facts(facts, packet)
            return {**facts, **_damaged(damage)}
        if part.fragment is not None and datagram is None:
            damage = damage if cut else None
        if part.fragment is not None:
            facts["fragment"] = outer.fragment_facts(part.fragment)
    facts["octets"] = packets.IPV6_HEADER_OCTETS + int.from_bytes(octets[4:6], "big")
    _header_facts(facts, packet)
    facts["protocol"] = packet.protocol
    facts["protocol_name"] = PROTOCOLS.get(packet.protocol, "unknown")
    message: messages.Message | None = None
    who: authenticity.Parties | None = None
    try:
        if packet.protocol == packets.MOBILITY:
            message, wrong = _mobility(facts, packet, cut)
            damage = damage or wrong
            if message is not None and seen is not None and wrong is None and not cut:
                seen.tokens.note(packet, message)
            if message is not None and message.kind in _SIGNED:
                who = _authenticator(facts, packet, message, datagram, pairs, seen, wrong is None)
        elif packet.protocol == packets.UDP:
            _udp(facts, packet, cut)
        elif packet.protocol == packets.ICMPV6:
            _icmpv6(facts, packet, cut)
        elif packet.protocol == TCP:
            _tcp(facts, packet, cut)
    except Violation as error:
        damage = damage or error
    if damage is not None:
        facts |= _damaged(damage)
    _parties(facts, packet, message, who if damage is None else None, datagram)
    return facts


def is_mobility(facts: Facts) -> bool:
    """Whether a packet belongs to mobility: a message, data of a mobile node, or about these."""
    return (
        packets.MOBILITY in (facts.get("protocol"), facts.get("fragment", {}).get("protocol"))
        or "home_address_option" in facts
        or "routing_header" in facts
        or "about" in facts.get("icmpv6", {})
        or "about" in facts.get("icmp", {})
        or "encapsulation" in facts
        or "tunnel" in facts
    )


def _header_facts(facts: Facts, packet: packets.Packet) -> None:
    facts["source"] = text_of(packet.source)
    facts["destination"] = text_of(packet.destination)
    facts["hop_limit"] = packet.hop_limit
    if packet.home_address is not None:
        facts["home_address_option"] = text_of(packet.home_address)
    if packet.route is not None:
        facts["routing_header"] = {
            "address": text_of(packet.route),
            "segments_left": packet.segments_left,
        }


def _checksum(facts: Facts, packet: packets.Packet, cut: bool) -> None:
    at = _CHECKSUM_AT[packet.protocol]
    if cut:
        value = f"0x{bytes(packet.payload[at : at + 2]).hex()}"
        facts["checksum"] = {"value": value, "verdict": "not checkable"}
        return
    blank = bytearray(packet.payload)
    blank[at : at + 2] = b"\x00\x00"
    expected = packets.checksum(
        packet.logical_source, packet.logical_destination, packet.protocol, blank
    )
    if packet.protocol == packets.UDP:
        expected = expected or 0xFFFF  # zero would say "no checksum" (RFC 8200 section 8.1)
    facts["checksum"] = {
        "value": f"0x{bytes(packet.payload[at : at + 2]).hex()}",
        "expected": f"0x{expected:04x}",
        "verdict": "right" if packet.checksum_ok() else "wrong",
    }


def _mobility(
    facts: Facts, packet: packets.Packet, cut: bool
) -> tuple[messages.Message | None, Violation | None]:
    """The message as far as it can be read, and what is wrong with it."""
    payload = packet.payload
    if len(payload) >= 8:
        _checksum(facts, packet, cut)
    if len(payload) < 3:
        raise Violation("truncated", "shorter than a Mobility Header")
    damage: Violation | None = None
    try:
        message: messages.Message | None = messages.decode(payload)
    except Violation as error:
        damage = error if error.reason != "message type" else None
        message = partial.message(bytes(payload))
    octets = 8 + 8 * payload[1]
    if message is None:
        if payload[2] not in messages.LAYOUTS:
            name = f"unknown message type {payload[2]}"
            facts["mobility"] = {"type": payload[2], "name": name, "octets": octets}
        return None, damage
    facts["mobility"] = mobility_facts(message, octets)
    return message, damage


def _authenticator(
    facts: Facts,
    packet: packets.Packet,
    message: messages.Message,
    datagram: outer.Outer | None,
    pairs: authenticity.Keys | None,
    seen: authenticity.Registrations | None,
    whole: bool,
) -> authenticity.Parties | None:
    """Judge who signed it; return whom it is about, None where that can't be told."""
    if not whole:
        note = "the message isn't whole"
        facts["authenticator"] = {"verdict": authenticity.NOT_CHECKED, "note": note}
        return None
    whom = authenticity.about(packet, message, datagram, seen)
    tokens = seen.tokens if seen is not None else None
    verdict, who = authenticity.check(packet, message, whom, pairs, tokens)
    facts["authenticator"] = {"verdict": verdict.verdict}
    for name in ("generation", "kbm", "by"):
        if getattr(verdict, name) is not None:
            facts["authenticator"][name] = getattr(verdict, name)
    if verdict.note:
        facts["authenticator"]["note"] = verdict.note
    return who


def _udp(facts: Facts, packet: packets.Packet, cut: bool) -> None:
    payload = packet.payload
    if len(payload) < packets.UDP_HEADER_OCTETS:
        raise Violation("truncated", "packet ends inside a UDP header")
    _checksum(facts, packet, cut)
    source, destination, octets = (int.from_bytes(payload[i : i + 2], "big") for i in (0, 2, 4))
    if octets != len(payload) and not (cut and octets > len(payload)):
        raise Violation("length", f"UDP length {octets}, {len(payload)} octets there")
    facts["udp"] = {
        "source_port": source,
        "destination_port": destination,
        "octets": octets - packets.UDP_HEADER_OCTETS,
    }


def _tcp(facts: Facts, packet: packets.Packet, cut: bool) -> None:
    if len(packet.payload) < 20:
        raise Violation("truncated", "packet ends inside a TCP header")
    _checksum(facts, packet, cut)


def _icmpv6(facts: Facts, packet: packets.Packet, cut: bool) -> None:
    payload = bytes(packet.payload)
    if len(payload) < 8:
        raise Violation("truncated", "packet ends inside an ICMPv6 header")
    _checksum(facts, packet, cut)
    facts["icmpv6"] = icmp.icmpv6(payload)


def _parties(
    facts: Facts,
    packet: packets.Packet,
    message: messages.Message | None,
    who: authenticity.Parties | None,
    datagram: outer.Outer | None,
) -> None:
    """Say who is who, where the packet tells: the mobile node's addresses, its correspondent's."""
    encapsulated = datagram is not None
    if not (is_mobility(facts) or encapsulated) or ("icmpv6" in facts and not encapsulated):
        return
    kind = None if message is None else message.kind
    from_mobile = packet.home_address is not None or kind in _FROM_MOBILE
    to_mobile = packet.segments_left > 0 or (message is not None and not from_mobile)
    if datagram is not None and message is None:  # the correspondent's port tells
        ours = packets.ENCAPSULATION_PORT
        from_mobile = datagram.destination_port == ours != datagram.source_port
        to_mobile = datagram.source_port == ours != datagram.destination_port
    if not (from_mobile or to_mobile):
        return
    home, care_of = "home address", "care-of address"
    source = destination = "correspondent"
    if from_mobile:
        away = packet.home_address is not None or kind == messages.CARE_OF_TEST_INIT
        source = care_of if away else home
    if to_mobile:
        away = packet.segments_left > 0 or kind in (messages.CARE_OF_TEST, messages.BINDING_ERROR)
        away = away and not encapsulated
        destination = care_of if away else home
    facts["meaning"] = {"source": source, "destination": destination}
    signed = kind in _SIGNED
    if who is not None:
        facts["home_address"] = text_of(who.home_address)
        facts["care_of_address"] = text_of(who.care_of_address)
        facts["correspondent"] = text_of(who.correspondent)
        return
    if packet.home_address is not None:
        facts["home_address"] = text_of(packet.home_address)
        facts["correspondent"] = text_of(packet.logical_destination)
    elif packet.route is not None and packet.segments_left:
        facts["home_address"] = text_of(packet.route)
        facts["correspondent"] = text_of(packet.source)
    for end, meaning in facts["meaning"].items():
        name = meaning.replace(" ", "_").replace("-", "_")
        if signed and meaning == care_of:
            continue  # what it registers may stand in an option that isn't there
        facts.setdefault(name, facts[end])
