"""What a key set must fulfil, and its record in flash.

Rules: RFC 4449 section 4 (a different Kcn for every correspondent, at least 20 octets) and
docs/SPEC.md, "Stored records", for the octets. No I/O here.
"""

import struct

from ..addresses import is_ipv4, is_unicast_global, parse
from ..compat import const
from ..errors import Misuse
from ..keys import canonical
from ..keystore.keyset import Credentials, Peer
from ..keystore.records import Damaged, pack, unpack
from ..limits import (
    ADDRESS_OCTETS,
    GENERATION_MAX,
    GENERATIONS_MAX,
    KCN_OCTETS_MAX,
    KCN_OCTETS_MIN,
    LIFETIME_S_MAX,
    LIFETIME_S_MIN,
    NONCE_OCTETS_MAX,
    NONCE_OCTETS_MIN,
    PEERS_MAX,
    PORT_MAX,
    REACH_HOST_OCTETS_MAX,
    REACH_LABEL_OCTETS_MAX,
    REACH_MAX,
    SET_ID_OCTETS,
)

_KEY_SET = const(0x4B)  # "K", record kind
_VERSION = const(1)
_VERSION_REACH = const(2)  # as 1, and where correspondents are reached; older agents know 1 alone
_VERSION_HOME_AGENT = const(3)  # as 2, and which of them is the home agent
_UDP_ALONE = const(1)  # the flag of version 2
_NAME = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"


def _check(condition: bool, text: str) -> None:
    if not condition:
        raise Misuse(text)


def check_peer(peer: "Peer") -> None:
    """Raise Misuse unless `peer` (keyset.Peer) keeps the rules."""
    address = peer.correspondent
    _check(len(address) == ADDRESS_OCTETS, "a correspondent's address has 16 octets")
    _check(is_unicast_global(address), "a correspondent's address is unicast and global")
    for nonce in (peer.home_nonce, peer.care_of_nonce):
        _check(NONCE_OCTETS_MIN <= len(nonce) <= NONCE_OCTETS_MAX, "a nonce has 8 to 32 octets")
    _check(
        isinstance(peer.lifetime, int) and LIFETIME_S_MIN <= peer.lifetime <= LIFETIME_S_MAX,
        "a lifetime is 4 to 262140 seconds",
    )
    count = len(peer.generations)
    _check(count <= GENERATIONS_MAX, "a correspondent has 16 key generations at most")
    last = -1
    for number, kcn in peer.generations:
        _check(isinstance(number, int) and number > last, "generations ascend from 0")
        _check(number <= GENERATION_MAX, "a generation is at most 32767")
        _check(len(kcn) >= KCN_OCTETS_MIN, "a Kcn has at least 20 octets")
        _check(len(kcn) <= KCN_OCTETS_MAX, "a Kcn has at most 255 octets")
        last = number
    _check(len(peer.reach) <= REACH_MAX, "a correspondent is reached at 4 places at most")
    for host, port in peer.reach:
        _check(is_host(host), "reach: neither a name nor an address that boards can send to")
        _check(isinstance(port, int) and 1 <= port <= PORT_MAX, "reach: a port is 1 to 65535")


def is_host(text: str) -> bool:
    """Whether a board can send to `text`: a name (RFC 1123 section 2.1), an IPv4 or IPv6 address.

    Of addresses not: unspecified, multicast, link-local (which link?).
    """
    if ":" not in text and not text.replace(".", "").isdigit():
        return len(text) <= REACH_HOST_OCTETS_MAX and all(map(_is_label, text.split(".")))
    try:
        octets = parse(text)
    except ValueError:
        return False
    if is_ipv4(octets):
        return 0 < octets[12] < 224
    return any(octets) and octets[0] != 0xFF and not (octets[0] == 0xFE and octets[1] & 0x80)


def _is_label(text: str) -> bool:
    if not 1 <= len(text) <= REACH_LABEL_OCTETS_MAX or text[0] == "-" or text[-1] == "-":
        return False
    return all(letter in _NAME for letter in text)


def check_credentials(credentials: "Credentials") -> None:
    """Raise Misuse unless `credentials` (keyset.Credentials) and their peers keep the rules."""
    _check(len(credentials.set_id) == SET_ID_OCTETS, "a set id has 8 octets")
    _check(len(credentials.home_address) == ADDRESS_OCTETS, "a home address has 16 octets")
    _check(is_unicast_global(credentials.home_address), "a home address is unicast and global")
    _check(1 <= len(credentials.peers) <= PEERS_MAX, "a key set has 1 to 16 correspondents")
    agent = credentials.home_agent
    _check(agent is None or 0 <= agent < len(credentials.peers), "no such home agent")
    addresses = {credentials.home_address}
    keys = set()
    for peer in credentials.peers:
        check_peer(peer)
        _check(peer.correspondent not in addresses, "an address is given twice")
        addresses.add(peer.correspondent)
        for _, kcn in peer.generations:
            kcn = canonical(kcn)
            _check(kcn not in keys, "a Kcn is given twice: every one must be different")
            keys.add(kcn)


def encode(credentials: "Credentials", slot: int) -> bytes:
    """The set as a record for flash; `slot` (0 or 1) names its counter record."""
    body = bytearray(credentials.set_id + credentials.home_address)
    body.extend(struct.pack("BB", slot, len(credentials.peers)))
    for peer in credentials.peers:
        body.extend(peer.correspondent)
        body.extend(struct.pack(">I", peer.lifetime))
        for field in (peer.home_nonce, peer.care_of_nonce):
            body.append(len(field))
            body.extend(field)
        body.append(len(peer.generations))
        for number, kcn in peer.generations:
            body.extend(struct.pack(">HB", number, len(kcn)))
            body.extend(kcn)
    version = _VERSION
    if credentials.home_agent is not None:
        version = _VERSION_HOME_AGENT
    elif not credentials.native or any(peer.reach for peer in credentials.peers):
        version = _VERSION_REACH
    if version >= _VERSION_REACH:
        body.append(0 if credentials.native else _UDP_ALONE)
        for peer in credentials.peers:
            body.append(len(peer.reach))
            for host, port in peer.reach:
                body.extend(struct.pack(">HB", port, len(host)))
                body.extend(host.encode())
    if version == _VERSION_HOME_AGENT:
        body.append(credentials.home_agent)  # type: ignore[arg-type]  # see above
    return pack(_KEY_SET, version, bytes(body))


class _Reader:
    """Takes fields off the front of a record's body; raises Damaged where it ends too soon."""

    def __init__(self, body: bytes) -> None:
        self._body = body
        self._at = 0

    def octets(self, count: int) -> bytes:
        start = self._at
        self._at += count
        if self._at > len(self._body):
            raise Damaged("key set cut short")
        return self._body[start : self._at]

    def number(self, count: int) -> int:
        value = 0
        for octet in self.octets(count):
            value = value << 8 | octet
        return value

    def field(self) -> bytes:
        return self.octets(self.number(1))

    def done(self) -> bool:
        return self._at == len(self._body)


def decode(record: bytes) -> "tuple[Credentials, int]":
    """Return (Credentials, slot) of a stored record; raises Damaged."""
    version = _VERSION
    if record[1:2] in (b"\x02", b"\x03"):
        version = record[1]
    reader = _Reader(unpack(_KEY_SET, version, record))
    set_id, home_address = reader.octets(SET_ID_OCTETS), reader.octets(16)
    slot = reader.number(1)
    try:
        peers = [_decode_peer(reader) for _ in range(reader.number(1))]
        credentials = Credentials(set_id, home_address, peers)
        if version >= _VERSION_REACH:
            _decode_reach(reader, credentials)
        if version == _VERSION_HOME_AGENT:
            credentials.home_agent = reader.number(1)
        check_credentials(credentials)
    except ValueError:  # Misuse, or a text that is none
        raise Damaged("key set breaks its own rules") from None
    if not reader.done() or slot > 1:
        raise Damaged("key set of the wrong form")
    return credentials, slot


def _decode_peer(reader: "_Reader") -> "Peer":
    correspondent = reader.octets(16)
    lifetime = reader.number(4)
    home_nonce = reader.field()
    care_of_nonce = reader.field()
    generations = []
    for _ in range(reader.number(1)):
        number = reader.number(2)
        generations.append((number, reader.field()))
    return Peer(correspondent, home_nonce, care_of_nonce, lifetime, generations)


def _decode_reach(reader: "_Reader", credentials: "Credentials") -> None:
    """Take what version 2 has behind the correspondents."""
    flags = reader.number(1)
    _check(flags <= _UDP_ALONE, "an unknown flag")
    credentials.native = flags != _UDP_ALONE
    for peer in credentials.peers:
        for _ in range(reader.number(1)):
            port = reader.number(2)
            peer.reach.append((reader.field().decode(), port))
