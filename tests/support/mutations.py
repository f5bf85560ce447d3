"""Packets as a hostile network makes them from good ones: damaged, spliced, re-addressed.

`Mutator.packet()` never returns one that means what its original meant: the same home address,
source and message. (What stands around these, as padding in a Destination Options header, is
nobody's business and isn't signed. Nor is the source where the message carries an Alternate
Care-of Address option, or comes inside UDP: see docs/LIMITS.md.)
"""

import json
from ipaddress import IPv6Address
from pathlib import Path

from mip6 import addresses, messages, packets
from mip6.errors import Violation
from roamkey.correspondent.core.cache import BindingCache
from roamkey.correspondent.core.endpoints import Endpoint
from roamkey.correspondent.core.entries import Inbound, encapsulated
from roamkey.registry import SENT, Key, Pair

_FOLDER = Path(__file__).parents[1] / "vectors"
VECTORS = json.loads((_FOLDER / "mobility-vectors.json").read_text())
ENCAPSULATED = json.loads((_FOLDER / "exchanges.json").read_text())

_HEADERS = (0, 17, 43, 44, 58, 59, 60, 135, 255)
_EDGES = (0, 1, 4, 7, 8, 16, 127, 128, 254, 255)
_FRAGMENT = bytes((60, 0, 0, 0, 0, 0, 0, 1))


def address(text):
    return IPv6Address(text).packed


def inbound_of(v):
    """A vector as a raw socket gives it: from its first extension header on; or as the UDP socket
    does."""
    if "update" in v:
        outer, local = (addresses.parse(v[name]) for name in ("outer_source", "local"))
        endpoint = Endpoint(outer, v["outer_port"], local)
        return encapsulated(endpoint.packed, bytes.fromhex(v["update"]))
    packet = bytes.fromhex(v["packet"])
    return Inbound(packet[6], packet[40:], packet[8:24])


def cache_of(v, correspondent=None, homes=()):
    """A cache that has the vector's key, for its home address and `homes`."""
    cache = BindingCache(correspondent or address(v["cn"]))
    for home in (address(v["hoa"]), *homes):
        key = Key(
            1, bytes(8), 0, bytes.fromhex(v["kcn"]), bytes.fromhex(v["home_nonce"]),
            bytes.fromhex(v["careof_nonce"]), 262140, SENT, None,
        )  # fmt: skip
        pair = Pair(1, "board", home, cache.correspondent, False, (key,))
        cache.load(pair, None)
    return cache


def mutated(chance, octets):
    """One to four places changed, doubled or taken out."""
    octets = bytearray(octets)
    for _ in range(chance.randrange(1, 5)):
        at = chance.randrange(len(octets))
        kind = chance.randrange(4)
        if kind == 0:
            octets[at] ^= 1 << chance.randrange(8)
        elif kind == 1:
            octets[at] = chance.choice(_EDGES)
        elif kind == 2:
            octets[at:at] = octets[at : at + 8 * chance.randrange(1, 4)]
        elif len(octets) > 8:
            del octets[at : at + chance.randrange(1, 9)]
    return bytes(octets)


def meaning(inbound, correspondent):
    """What the key signs and the daemon acts on, or None where it isn't even a packet."""
    try:
        if inbound.endpoint:
            packet = packets.parse_encapsulated(inbound.payload)
            if packet.destination != correspondent:
                return None
            return packet.protocol, packet.source, b"", bytes(packet.payload)
        packet = packets.parse_payload(
            inbound.next_header, inbound.payload, inbound.source, correspondent
        )
    except Violation:
        return None
    return packet.protocol, packet.logical_source, inbound.source, bytes(packet.payload)


class Mutator:
    """Mutates packets of `originals`; `chance` is a `random.Random`."""

    def __init__(self, chance, originals, correspondent):
        self.chance = chance
        self.originals = list(originals)
        self.correspondent = correspondent
        self._meanings = {self._meaning(one) for one in self.originals}

    def packet(self):
        """Another one, with a meaning that no original has."""
        while True:
            made = self._mutate(self.chance.choice(self.originals))
            found = self._meaning(made)
            if found is None or found not in self._meanings:
                return made

    def _meaning(self, inbound):
        found = meaning(inbound, self.correspondent)
        if found is None or inbound.endpoint or found[0] != packets.MOBILITY:
            return found
        try:
            unsigned = messages.decode(found[3]).option(messages.ALTERNATE_CARE_OF_ADDRESS)
        except Violation:
            return found
        return found[:2] + found[3:] if unsigned else found

    def _mutate(self, original):
        kind = self.chance.randrange(16)
        if original.endpoint:
            return self._mutate_inside(original, kind)
        if kind == 0:
            header = self.chance.choice(_HEADERS)
            return original._replace(next_header=header)
        if kind == 1:
            return original._replace(source=mutated(self.chance, original.source)[:16].ljust(16))
        if kind == 2:  # the beginning of one, the end of another
            other = self.chance.choice(self.originals).payload
            at = self.chance.randrange(len(original.payload))
            return original._replace(payload=original.payload[:at] + other[at:])
        if kind == 3:
            return original._replace(payload=original.payload[: self.chance.randrange(8, 65)])
        if kind == 4:
            return Inbound(44, _FRAGMENT + original.payload, original.source)
        made = original._replace(payload=mutated(self.chance, original.payload))
        return self._with_checksum(made) if kind > 8 else made

    def _mutate_inside(self, original, kind):
        payload, endpoint = original.payload, original.endpoint
        if kind == 0:
            payload = payload[:6] + bytes((self.chance.choice(_HEADERS),)) + payload[7:]
        elif kind == 1:  # from elsewhere, with something else in it: the endpoint isn't signed
            endpoint = mutated(self.chance, endpoint)[:34].ljust(34)
        if kind == 2:
            other = self.chance.choice(self.originals).payload
            at = self.chance.randrange(len(payload))
            payload = payload[:at] + other[at:]
        elif kind == 3:
            payload = payload[: self.chance.randrange(90)]
        elif kind > 7:  # what is for us, from a home address
            payload = payload[:40] + mutated(self.chance, payload[40:])
        else:
            payload = mutated(self.chance, payload)
        if kind > 5 and len(payload) >= 40:  # a length that fits, so that more is looked at
            payload = payload[:4] + (len(payload) - 40).to_bytes(2, "big") + payload[6:]
        made = encapsulated(endpoint, payload)
        return self._with_checksum(made) if kind > 8 else made

    def _with_checksum(self, made):
        """As who can't sign, but can count, would send it."""
        found = meaning(made, self.correspondent)
        if found is None or found[0] != packets.MOBILITY or len(found[3]) < 8:
            return made
        header = messages.with_checksum(found[3], found[1], self.correspondent)
        return made._replace(payload=made.payload[: len(made.payload) - len(header)] + header)
