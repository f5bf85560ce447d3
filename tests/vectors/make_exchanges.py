"""Make `exchanges.json`: updates inside UDP, and how a correspondent answers that never saw the
node, from the RFCs' words alone.

Independent of roamkey on purpose, as `make_encapsulated.py`; run it without arguments to print the
file. docs/SPEC.md, "Encapsulated in UDP"; RFC 6275 sections 5.2, 6.1 and 6.2; RFC 5555 section 3;
RFC 4449 for the key.
"""

import hashlib
import hmac
import json
import struct
from collections.abc import Iterator
from typing import Any

from wire import MOBILITY, ipv6, message, packed, pad_to, with_checksum

HOME, PEER = "2001:db8:a::100", "2001:db8:c::2"
NONCES = bytes(range(8)), bytes(range(8, 16))
NAT = ("198.51.100.7", 40001, "192.0.2.1")  # outer address, port, and ours
SIX = ("2001:db8:5::5", 5000, "2001:db8:1111::1")


def kbm(kcn: bytes, care_of: str, removes: bool) -> bytes:
    """Without the care-of keygen token where the binding is removed (section 5.2.6)."""
    material = hmac.digest(kcn, packed(HOME) + NONCES[0] + b"\0", "sha1")[:8]
    if not removes:
        material += hmac.digest(kcn, packed(care_of) + NONCES[1] + b"\1", "sha1")[:8]
    return hashlib.sha1(material).digest()


def signed(kind: int, body: bytes, key: bytes, care_of: str, ends: tuple[str, str]) -> bytes:
    """The inner packet: a message's fields and options, the authenticator at 8n+2 behind them."""
    body = pad_to(bytes(6) + body, 8, 2)[6:] + b"\x05\x0c"
    header = message(kind, body, bytes(12))
    mac = hmac.digest(key, packed(care_of) + packed(PEER) + header[:-12], "sha1")[:12]
    return ipv6(*ends, MOBILITY, with_checksum(header[:-12] + mac, *ends))


def update(sequence: int, lifetime: int, care_of: str, kcn: bytes) -> bytes:
    body = struct.pack(">HHH", sequence, 0x8100, lifetime)
    if "." in care_of:
        body += bytes((32, 6, 0, 0)) + packed(care_of)[12:]
    else:
        body += bytes((1, 0)) + bytes((3, 16)) + packed(care_of)
    return signed(5, body, kbm(kcn, care_of, not lifetime), care_of, (HOME, PEER))


def answer(sequence: int, lifetime: int, care_of: str, kcn: bytes, outer: str) -> bytes:
    body = bytes(2) + struct.pack(">HH", sequence, lifetime)
    if outer != care_of:
        body += bytes((31, 6)) + struct.pack(">HI", 0, 25)
    return signed(6, body, kbm(kcn, care_of, not lifetime), care_of, (PEER, HOME))


def vectors() -> Iterator[dict[str, Any]]:
    cases = [
        ("udp4-behind-nat", NAT, "192.168.1.5", bytes(range(20)), 7, 100),
        ("udp4-own-address", NAT, NAT[0], bytes(range(32)), 0, 65535),
        ("udp4-long-key", NAT, "10.0.0.1", bytes(range(100)), 65535, 1),
        ("udp4-removal", NAT, "192.168.1.5", bytes(range(20)), 8, 0),
        ("udp6", SIX, SIX[0], bytes(range(20)), 7, 100),
        ("udp6-behind-nat66", SIX, "fd00::5", bytes(range(64)), 9, 15),
        ("udp6-removal", SIX, SIX[0], bytes(range(20)), 300, 0),
    ]
    for name, (outer, port, local), care_of, kcn, sequence, lifetime in cases:
        yield {
            "name": name, "kcn": kcn.hex(), "home_nonce": NONCES[0].hex(),
            "careof_nonce": NONCES[1].hex(), "hoa": HOME, "cn": PEER, "coa": care_of,
            "outer_source": outer, "outer_port": port, "local": local,
            "sequence": sequence, "lifetime": lifetime,
            "update": update(sequence, lifetime, care_of, kcn).hex(),
            "answer": answer(sequence, lifetime, care_of, kcn, outer).hex(),
        }  # fmt: skip


if __name__ == "__main__":
    print(json.dumps(list(vectors()), indent=1))
