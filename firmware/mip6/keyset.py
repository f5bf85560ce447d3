"""A key set: whose home address, which correspondents, which keys. Checked, encoded, never shown.

Rules: RFC 4449 section 4 (a different Kcn for every correspondent, at least 20 octets) and
docs/SPEC.md, "Stored records", for the octets. No I/O here.
"""

import struct

from .addresses import is_unicast_global
from .compat import const
from .errors import Misuse
from .records import Damaged, seal, unseal
from .sequence import MAX_GENERATION, SET_ID_OCTETS

MAX_PEERS = 16
MAX_GENERATIONS = 16  # of one correspondent, provisioned at a time

_KCN_LEAST = const(20)  # octets: RFC 4449 section 4
_KCN_MOST = const(255)
_NONCE_LEAST = const(8)  # octets
_NONCE_MOST = const(32)
_LIFETIME_LEAST = const(4)  # seconds: one unit of the Binding Update's lifetime field
_LIFETIME_MOST = const(262140)  # seconds: 65,535 units

_KEY_SET = const(0x4B)  # "K", record kind
_VERSION = const(1)


def _check(condition, text):
    if not condition:
        raise Misuse(text)


class Peer:
    """One correspondent: address (16 octets), nonces, lifetime (s), [(generation, Kcn), …].

    Without a key nothing authorizes its updates: the node refuses the peer and says why.
    """

    def __init__(self, correspondent, home_nonce, care_of_nonce, lifetime, generations):
        self.correspondent = bytes(correspondent)
        self.home_nonce = bytes(home_nonce)
        self.care_of_nonce = bytes(care_of_nonce)
        self.lifetime = lifetime
        self.generations = [(number, bytes(kcn)) for number, kcn in generations]
        self._validate()

    def __repr__(self):
        return "Peer(generations=%r, (hidden))" % [number for number, _ in self.generations]

    def _validate(self):
        address = self.correspondent
        _check(len(address) == 16, "a correspondent's address has 16 octets")
        _check(is_unicast_global(address), "a correspondent's address is unicast and global")
        for nonce in (self.home_nonce, self.care_of_nonce):
            _check(_NONCE_LEAST <= len(nonce) <= _NONCE_MOST, "a nonce has 8 to 32 octets")
        _check(
            isinstance(self.lifetime, int) and _LIFETIME_LEAST <= self.lifetime <= _LIFETIME_MOST,
            "a lifetime is 4 to 262140 seconds",
        )
        count = len(self.generations)
        _check(count <= MAX_GENERATIONS, "a correspondent has 16 key generations at most")
        last = -1
        for number, kcn in self.generations:
            _check(isinstance(number, int) and number > last, "generations ascend from 0")
            _check(number <= MAX_GENERATION, "a generation is at most 32767")
            _check(len(kcn) >= _KCN_LEAST, "a Kcn has at least 20 octets")
            _check(len(kcn) <= _KCN_MOST, "a Kcn has at most 255 octets")
            last = number

    def kcn(self, generation):
        """The Kcn of `generation`, or None."""
        for number, kcn in self.generations:
            if number == generation:
                return kcn
        return None

    def after(self, generation):
        """The generation that follows `generation`, or None."""
        for number, _ in self.generations:
            if number > generation:
                return number
        return None


class Credentials:
    """A whole key set: `set_id` (8 octets, public, random), home address (16 octets), peers."""

    def __init__(self, set_id, home_address, peers):
        self.set_id = bytes(set_id)
        self.home_address = bytes(home_address)
        self.peers = list(peers)
        self._validate()

    def __repr__(self):
        return "Credentials(%d peers, (hidden))" % len(self.peers)

    def _validate(self):
        _check(len(self.set_id) == SET_ID_OCTETS, "a set id has 8 octets")
        _check(len(self.home_address) == 16, "a home address has 16 octets")
        _check(is_unicast_global(self.home_address), "a home address is unicast and global")
        _check(1 <= len(self.peers) <= MAX_PEERS, "a key set has 1 to 16 correspondents")
        addresses = {self.home_address}
        keys = set()
        for peer in self.peers:
            _check(peer.correspondent not in addresses, "an address is given twice")
            addresses.add(peer.correspondent)
            for _, kcn in peer.generations:
                _check(kcn not in keys, "a Kcn is given twice: every one must be different")
                keys.add(kcn)

    def encode(self, slot):
        """The set as a record for flash; `slot` (0 or 1) names its counter record."""
        body = bytearray(self.set_id + self.home_address)
        body.extend(struct.pack("BB", slot, len(self.peers)))
        for peer in self.peers:
            body.extend(peer.correspondent)
            body.extend(struct.pack(">I", peer.lifetime))
            for field in (peer.home_nonce, peer.care_of_nonce):
                body.append(len(field))
                body.extend(field)
            body.append(len(peer.generations))
            for number, kcn in peer.generations:
                body.extend(struct.pack(">HB", number, len(kcn)))
                body.extend(kcn)
        return seal(_KEY_SET, _VERSION, bytes(body))


class _Reader:
    """Takes fields off the front of a record's body; raises Damaged where it ends too soon."""

    def __init__(self, body):
        self._body = body
        self._at = 0

    def octets(self, count):
        start = self._at
        self._at += count
        if self._at > len(self._body):
            raise Damaged("key set cut short")
        return self._body[start : self._at]

    def number(self, count):
        value = 0
        for octet in self.octets(count):
            value = value << 8 | octet
        return value

    def field(self):
        return self.octets(self.number(1))

    def done(self):
        return self._at == len(self._body)


def decode(record):
    """Return (Credentials, slot) of a stored record; raises Damaged."""
    reader = _Reader(unseal(_KEY_SET, _VERSION, record))
    set_id, home_address = reader.octets(SET_ID_OCTETS), reader.octets(16)
    slot = reader.number(1)
    try:
        peers = [_decode_peer(reader) for _ in range(reader.number(1))]
        credentials = Credentials(set_id, home_address, peers)
    except Misuse:
        raise Damaged("key set breaks its own rules") from None
    if not reader.done() or slot > 1:
        raise Damaged("key set of the wrong form")
    return credentials, slot


def _decode_peer(reader):
    correspondent = reader.octets(16)
    lifetime = reader.number(4)
    home_nonce = reader.field()
    care_of_nonce = reader.field()
    generations = []
    for _ in range(reader.number(1)):
        number = reader.number(2)
        generations.append((number, reader.field()))
    return Peer(correspondent, home_nonce, care_of_nonce, lifetime, generations)
