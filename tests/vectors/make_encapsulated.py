"""Make `encapsulated.json`: packets inside UDP (docs/SPEC.md), from the RFCs' words alone.

Independent of roamkey on purpose: hashlib, hmac and struct, nothing of mip6. Run it without
arguments to print the file; `tests/core/test_encapsulated_vectors.py` holds the code to it.

Each vector: `name`, `kind` (bu, ba, be, brr, data, keepalive), `way` (udp4, udp6), `direction`
(to_correspondent, to_node), `note`; `outer` (`source`, `source_port`, `destination`,
`destination_port`: as the correspondent sees them); `hoa`, `coa`, `cn`; `packet`: the UDP payload
in hexadecimal, `datagram`: the same with its outer IP and UDP headers. Where a key is in it:
`kcn`, nonces, tokens, `kbm_used`, `mac_input`, `mh_checksum_zero`, `authenticator`,
`mh_checksum`, `sequence`, `lifetime` (units of 4 s).
"""

import hashlib
import hmac
import json
import struct
from typing import Any

from wire import (
    MOBILITY,
    NO_NEXT_HEADER,
    UDP,
    ipv4,
    ipv6,
    message,
    packed,
    pad_to,
    udp,
    with_checksum,
)

PORT = 4191  # dsmipv6
Vector = dict[str, Any]

KEY = {
    "kcn": "d273e6c80bcc0f760ce9bb61afb8df6f06a8678b",
    "home_nonce": "626e1e3b6935c66a",
    "careof_nonce": "0f5f924500a4d703",
}
HOA, CN = "fd00:4191::100", "fd00:4191::2"
NATTED = {"coa": "192.168.1.23", "outer": ("198.51.100.7", 61234, "203.0.113.5", PORT)}
PUBLIC = {"coa": "198.51.100.9", "outer": ("198.51.100.9", 49152, "203.0.113.5", PORT)}
SIX = {"coa": "2001:db8:b::101", "outer": ("2001:db8:b::101", 49152, "2001:db8:c::5", PORT)}


def keys(coa: str, deletes: bool) -> Vector:
    """draft-ietf-mip6-precfgkbm section 2, RFC 6275 sections 5.2.5 and 5.2.6."""
    kcn = bytes.fromhex(KEY["kcn"])
    home = packed(HOA) + bytes.fromhex(KEY["home_nonce"]) + b"\0"
    care_of = packed(coa) + bytes.fromhex(KEY["careof_nonce"]) + b"\1"
    tokens = [hmac.new(kcn, data, "sha1").digest()[:8] for data in (home, care_of)]
    kbm = hashlib.sha1(tokens[0] if deletes else b"".join(tokens)).digest()
    return {**KEY, "home_token": tokens[0].hex(), "careof_token": tokens[1].hex(),
            "kbm_used": kbm.hex()}  # fmt: skip


def signed(kind: int, fixed: bytes, option: bytes, coa: str, deletes: bool) -> Vector:
    """A BU or BA with `option` and Binding Authorization Data, signed (RFC 6275 section 6.2.7)."""
    body = pad_to(bytes(6) + fixed + option, 8, 2) + b"\x05\x0c"
    header = message(kind, body[6:], bytes(12))
    facts = keys(coa, deletes)
    covered = packed(coa) + packed(CN) + header[:-12]
    mac = hmac.new(bytes.fromhex(facts["kbm_used"]), covered, "sha1").digest()[:12]
    return {**facts, "mac_input": covered.hex(), "authenticator": mac.hex(),
            "mh_checksum_zero": (header[:-12] + mac).hex()}  # fmt: skip


def vector(name: str, kind: str, where: dict[str, Any], note: str, protocol: int, payload: bytes,
           to_node: bool = False, **facts: Any) -> Vector:  # fmt: skip
    """A whole one: inner packet, outer headers and what they say."""
    source, destination = (CN, HOA) if to_node else (HOA, CN)
    if protocol == MOBILITY:
        payload = with_checksum(payload, source, destination)
        facts["mh_checksum"] = payload[4:6].hex()
    inner = ipv6(source, destination, protocol, payload)
    a, aport, b, bport = where["outer"]
    ends = (b, bport, a, aport) if to_node else (a, aport, b, bport)
    wrap = ipv4 if ":" not in a else ipv6
    return {
        "name": name,
        "kind": kind,
        "way": "udp6" if ":" in a else "udp4",
        "direction": "to_node" if to_node else "to_correspondent",
        "note": note,
        "outer": dict(
            zip(("source", "source_port", "destination", "destination_port"), ends, strict=True)
        ),
        "hoa": HOA,
        "coa": where["coa"],
        "cn": CN,
        **facts,
        "packet": inner.hex(),
        "datagram": wrap(ends[0], ends[2], UDP, udp(*ends, inner)).hex(),
    }


def update(name: str, where: dict[str, Any], sequence: int, lifetime: int, note: str) -> Vector:
    coa = where["coa"]
    fixed = struct.pack(">HHH", sequence, 0x8100, lifetime)  # A and F (RFC 5555 section 3.2.1)
    if ":" in coa:  # Alternate Care-of Address at 8n+6 (RFC 6275 section 6.2.5)
        option = pad_to(bytes(12), 8, 6)[12:] + b"\x03\x10" + packed(coa)
    else:  # IPv4 Care-of Address at 4n (RFC 5555 section 3.1.2)
        option = b"\x20\x06\0\0" + packed(coa)[12:]
    facts = signed(5, fixed, option, coa, lifetime == 0)
    return vector(name, "bu", where, note, MOBILITY, bytes.fromhex(facts["mh_checksum_zero"]),
                  sequence=sequence, lifetime=lifetime, **facts)  # fmt: skip


def answer(name: str, where: dict[str, Any], status: int, sequence: int, lifetime: int, note: str,
           refresh: int | None = None, deletes: bool = False) -> Vector:  # fmt: skip
    fixed = struct.pack(">BBHH", status, 0, sequence, lifetime)
    option = b"" if refresh is None else struct.pack(">BBHI", 31, 6, 0, refresh)
    facts = signed(6, fixed, option, where["coa"], deletes)
    return vector(name, "ba", where, note, MOBILITY, bytes.fromhex(facts["mh_checksum_zero"]),
                  True, status=status, sequence=sequence, lifetime=lifetime, refresh=refresh,
                  **facts)  # fmt: skip


def vectors() -> list[Vector]:
    error = message(7, b"\x01\0" + packed(HOA))
    keepalive = bytes(24)
    return [
        update("udp4-nat-bu", NATTED, 7, 150, "behind a NAT: the outer source isn't the care-of"),
        answer("udp4-nat-ba", NATTED, 0, 7, 150, "NAT Detection, 25 s", 25),
        answer("udp4-nat-ba-none", NATTED, 0, 7, 150, "NAT Detection, no time suggested", 0),
        answer("udp4-nat-ba-all-ones", NATTED, 0, 7, 150, "no keepalives needed", 0xFFFFFFFF),
        answer("udp4-nat-ba-135", NATTED, 135, 9, 0, "sequence out of window, last was 9", 25),
        update("udp4-public-bu", PUBLIC, 8, 65535, "no NAT: outer source and care-of are one"),
        answer("udp4-public-ba", PUBLIC, 0, 8, 65535, "no NAT, so no NAT Detection"),
        update("udp4-nat-dereg", NATTED, 9, 0, "lifetime 0: Kbm of the home token alone"),
        answer("udp4-nat-dereg-ba", NATTED, 0, 9, 0, "Kbm of the home token alone", 25, True),
        update("udp6-bu", SIX, 10, 105, "Alternate Care-of Address"),
        answer("udp6-ba", SIX, 0, 10, 105, "no NAT, so no NAT Detection"),
        update("udp6-dereg", SIX, 11, 0, "lifetime 0: Kbm of the home token alone"),
        vector("udp4-keepalive", "keepalive", NATTED, "64 octets, as the error that may answer it",
               NO_NEXT_HEADER, keepalive),
        vector("udp6-keepalive", "keepalive", SIX, "64 octets", NO_NEXT_HEADER, keepalive),
        vector("udp4-data", "data", NATTED, "UDP of an application, to the correspondent", UDP,
               udp(HOA, 40001, CN, 40000, b"temperature 21.5")),
        vector("udp4-data-back", "data", NATTED, "and back", UDP,
               udp(CN, 40000, HOA, 40001, b"set 22"), True),
        vector("udp6-data", "data", SIX, "UDP of an application", UDP,
               udp(HOA, 40001, CN, 40000, b"temperature 21.5")),
        vector("udp4-be", "be", NATTED, "status 1: unknown binding", MOBILITY, error, True),
        vector("udp6-be", "be", SIX, "status 1: unknown binding", MOBILITY, error, True),
        vector("udp4-brr", "brr", NATTED, "Binding Refresh Request", MOBILITY,
               message(0, b"\0\0"), True),
    ]  # fmt: skip


if __name__ == "__main__":
    print(json.dumps(vectors(), indent=1))
