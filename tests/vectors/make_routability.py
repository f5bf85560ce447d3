"""Make `routability.json`: return routability and home registrations, from the RFCs' words alone.

Independent of roamkey on purpose: hashlib, hmac and struct, nothing of mip6. Run it without
arguments to print the file; `tests/core/test_routability_vectors.py` holds the code to it.

RFC 6275 sections 5.2 (tokens, Kbm), 6.1 and 6.2 (messages, options), 6.3 and 6.4 (headers);
RFC 4285 section 5.1 (MN-HA authentication option); RFC 5555 section 3.1.2.

Each vector: `name`, `kind` (hoti, coti, hot, cot, bu, ba), `note`, `hoa`, `coa`, `peer` (the
correspondent or the home agent), `packet` in hexadecimal from its IPv6 header on (the data of a
UDP datagram where `inside` is "udp"), `mh_checksum_zero`. Where it is of them: `cookie`, `token`,
`index`; of what is signed: `key` (Kbm, or the MN-HA key), `mac_input`, `authenticator`,
`sequence`, `lifetime` (units of 4 s), `status`, `nonce_indices`, `spi`.
"""

import hashlib
import hmac
import json
import struct
from typing import Any

from wire import (
    DESTINATION_OPTIONS,
    IPV6_IN_IPV6,
    MOBILITY,
    ROUTING,
    ipv6,
    message,
    packed,
    pad_to,
    with_checksum,
)

Vector = dict[str, Any]

HOA, COA, ALTERNATE = "2001:db8:a::100", "2001:db8:b::101", "2001:db8:b:1::7"
CN, HA = "2001:db8:c::2", "2001:db8:a::1"
NODE_KEY = bytes(range(1, 21))  # Kcn of section 5.2.1: the correspondent's own
HOME_NONCE, CARE_OF_NONCE = (0x0102, b"nonce #1"), (0x0103, b"nonce #2")
COOKIES = {"home": b"\xc0home cu", "care_of": b"\xc1care-of"}
MN_HA_KEY = bytes(range(0x40, 0x40 + 20))
SPI = 256
A, H, K, F = 0x8000, 0x4000, 0x1000, 0x0100

HOME_TOKEN = hmac.new(NODE_KEY, packed(HOA) + HOME_NONCE[1] + b"\0", "sha1").digest()[:8]


def care_of_token(care_of: str) -> bytes:
    """Section 5.2.5."""
    return hmac.new(NODE_KEY, packed(care_of) + CARE_OF_NONCE[1] + b"\1", "sha1").digest()[:8]


def vector(name: str, kind: str, note: str, header: bytes, packet: bytes, **facts: Any) -> Vector:
    return {"name": name, "kind": kind, "note": note, "hoa": HOA, "coa": COA, "peer": CN,
            **facts, "mh_checksum_zero": header.hex(), "packet": packet.hex()}  # fmt: skip


def plain(source: str, destination: str, header: bytes) -> bytes:
    """A message with nothing before it."""
    return ipv6(source, destination, MOBILITY, with_checksum(header, source, destination))


def tunnelled(name: str, inner: Vector, source: str, destination: str) -> Vector:
    """The same between node and home agent (RFC 2473): another IPv6 header before it."""
    packet = ipv6(source, destination, IPV6_IN_IPV6, bytes.fromhex(inner["packet"]))
    return {**inner, "name": name, "inside": "tunnel", "packet": packet.hex()}


def initiation(name: str, kind: str, mh_type: int, source: str, cookie: bytes) -> Vector:
    header = message(mh_type, bytes(2) + cookie)
    note = "section 6.1.3" if mh_type == 1 else "section 6.1.4"
    return vector(name, kind, note, header, plain(source, CN, header), cookie=cookie.hex())


def tested(name: str, kind: str, mh_type: int, to: str, index: int, cookie: bytes,
           token: bytes) -> Vector:  # fmt: skip
    header = message(mh_type, struct.pack(">H", index) + cookie + token)
    note = "section 6.1.5" if mh_type == 3 else "section 6.1.6"
    return vector(name, kind, note, header, plain(CN, to, header), cookie=cookie.hex(),
                  index=index, token=token.hex())  # fmt: skip


def to_peer(header: bytes, source: str, peer: str) -> bytes:
    """With the Home Address option (section 6.3), unless the node sends it from home."""
    header = with_checksum(header, HOA, peer)
    if source == HOA:
        return ipv6(HOA, peer, MOBILITY, header)
    option = bytes((MOBILITY, 2, 1, 2, 0, 0, 0xC9, 16)) + packed(HOA)
    return ipv6(source, peer, DESTINATION_OPTIONS, option + header)


def to_node(header: bytes, destination: str, peer: str) -> bytes:
    """With the type 2 routing header (section 6.4), unless the node is at home."""
    header = with_checksum(header, peer, HOA)
    if destination == HOA:
        return ipv6(peer, HOA, MOBILITY, header)
    route = bytes((MOBILITY, 2, 2, 1, 0, 0, 0, 0)) + packed(HOA)
    return ipv6(peer, destination, ROUTING, route + header)


def kbm(care_of: str | None) -> bytes:
    """Section 5.2.6; of the home keygen token alone to delete."""
    return hashlib.sha1(HOME_TOKEN + (care_of_token(care_of) if care_of else b"")).digest()


def bind(kind: str, mh_type: int, name: str, note: str, fixed: bytes, options: bytes,
         source: str, care_of: str, removes: bool, **facts: Any) -> Vector:  # fmt: skip
    """A BU or BA that ends with Binding Authorization Data (section 6.2.7)."""
    body = pad_to(bytes(6) + fixed + options, 8, 2) + b"\x05\x0c"
    header = message(mh_type, body[6:], bytes(12))
    key = kbm(None if removes else care_of)
    covered = packed(care_of) + packed(CN) + header[:-12]
    mac = hmac.new(key, covered, "sha1").digest()[:12]
    header = header[:-12] + mac
    packet = (to_peer if mh_type == 5 else to_node)(header, source, CN)
    return vector(name, kind, note, header, packet, coa=care_of, key=key.hex(),
                  mac_input=covered.hex(), authenticator=mac.hex(), **facts)  # fmt: skip


def update(name: str, sequence: int, lifetime: int, note: str, source: str = COA,
           alternate: str | None = None, care_of_index: int = CARE_OF_NONCE[0],
           flags: int = A) -> Vector:  # fmt: skip
    fixed = struct.pack(">HHH", sequence, flags, lifetime)
    options = struct.pack(">BBHH", 4, 4, HOME_NONCE[0], care_of_index)  # section 6.2.6
    if alternate:
        options = pad_to(bytes(12) + options, 8, 6)[12:] + b"\x03\x10" + packed(alternate)
    care_of = alternate or source
    return bind("bu", 5, name, note, fixed, options, source, care_of,
                lifetime == 0 or care_of == HOA, sequence=sequence, lifetime=lifetime,
                nonce_indices=[HOME_NONCE[0], care_of_index])  # fmt: skip


def answer(name: str, status: int, sequence: int, lifetime: int, note: str, to: str = COA,
           care_of: str | None = None, removes: bool = False) -> Vector:  # fmt: skip
    fixed = struct.pack(">BBHH", status, 0, sequence, lifetime)
    return bind("ba", 6, name, note, fixed, b"", to, care_of or to, removes, status=status,
                sequence=sequence, lifetime=lifetime)  # fmt: skip


def unsigned(name: str, status: int, sequence: int) -> Vector:
    """What a correspondent says that knows the nonces no more (section 9.5.1)."""
    fixed = struct.pack(">BBHH", status, 0, sequence, 0)
    header = message(6, pad_to(bytes(6) + fixed, 8, 0)[6:])
    return vector(name, "ba", "no authenticator", header, to_node(header, COA, CN),
                  status=status, sequence=sequence, lifetime=0)  # fmt: skip


def home(kind: str, mh_type: int, name: str, note: str, fixed: bytes, options: bytes = b"",
         source: str = COA, care_of: str = COA, **facts: Any) -> Vector:  # fmt: skip
    """A BU or BA that ends with the MN-HA authentication option (RFC 4285 section 5.1).

    At 4n+1, and so that the message, a multiple of eight octets, ends with it: 8n+5.
    """
    body = pad_to(bytes(6) + fixed + options, 8, 5) + struct.pack(">BBBI", 9, 17, 1, SPI)
    header = message(mh_type, body[6:], bytes(12))
    covered = packed(care_of) + packed(HOA) + header[:-12]
    mac = hmac.new(MN_HA_KEY, covered, "sha1").digest()[:12]
    header = header[:-12] + mac
    if facts.get("inside") == "udp":
        ends = (HOA, HA) if mh_type == 5 else (HA, HOA)
        packet = plain(*ends, header)
    else:
        packet = (to_peer if mh_type == 5 else to_node)(header, source, HA)
    return vector(name, kind, note, header, packet, peer=HA, coa=care_of, spi=SPI,
                  key=MN_HA_KEY.hex(), mac_input=covered.hex(), authenticator=mac.hex(),
                  **facts)  # fmt: skip


def home_update(name: str, sequence: int, lifetime: int, note: str, flags: int = A | H,
                options: bytes = b"", **facts: Any) -> Vector:  # fmt: skip
    fixed = struct.pack(">HHH", sequence, flags, lifetime)
    return home("bu", 5, name, note, fixed, options, sequence=sequence, lifetime=lifetime,
                **facts)  # fmt: skip


def home_answer(name: str, status: int, sequence: int, lifetime: int, note: str,
                options: bytes = b"", **facts: Any) -> Vector:  # fmt: skip
    fixed = struct.pack(">BBHH", status, 0, sequence, lifetime)
    return home("ba", 6, name, note, fixed, options, status=status, sequence=sequence,
                lifetime=lifetime, **facts)  # fmt: skip


def vectors() -> list[Vector]:
    hoti = initiation("hoti", "hoti", 1, HOA, COOKIES["home"])
    hot = tested("hot", "hot", 3, HOA, HOME_NONCE[0], COOKIES["home"], HOME_TOKEN)
    alternate = pad_to(bytes(12), 8, 6)[12:] + b"\x03\x10" + packed(ALTERNATE)
    ipv4 = b"\x20\x06\0\0" + packed("192.168.1.23")[12:]
    natted: Vector = {"care_of": "192.168.1.23", "inside": "udp"}
    return [
        hoti,
        tunnelled("hoti-tunnelled", hoti, COA, HA),
        hot,
        tunnelled("hot-tunnelled", hot, HA, COA),
        initiation("coti", "coti", 2, COA, COOKIES["care_of"]),
        tested("cot", "cot", 4, COA, CARE_OF_NONCE[0], COOKIES["care_of"], care_of_token(COA)),
        tested("cot-alternate", "cot", 4, ALTERNATE, CARE_OF_NONCE[0], COOKIES["care_of"],
               care_of_token(ALTERNATE)),
        update("rr-bu", 7, 105, "Nonce Indices end at 8n+2: no padding"),
        answer("rr-ba", 0, 7, 105, "accepted for 420 s"),
        update("rr-bu-alternate", 8, 105, "the care-of token is of the alternate address",
               alternate=ALTERNATE),
        answer("rr-ba-alternate", 0, 8, 105, "sent to where the update came from",
               care_of=ALTERNATE),
        update("rr-bu-no-acknowledgement", 9, 10, "without the A flag", flags=0),
        answer("rr-ba-135", 135, 9, 0, "sequence out of window, last was 9"),
        unsigned("rr-ba-136", 136, 10),
        unsigned("rr-ba-137", 137, 10),
        unsigned("rr-ba-138", 138, 10),
        update("rr-dereg-away", 11, 0, "Kbm of the home token alone, MAC over the care-of address",
               care_of_index=0),
        answer("rr-dereg-away-ba", 0, 11, 0, "Kbm of the home token alone", removes=True),
        update("rr-dereg-home", 12, 0, "from home: no Home Address option", source=HOA,
               care_of_index=0),
        answer("rr-dereg-home-ba", 0, 12, 0, "to home: no routing header", to=HOA, removes=True),
        home_update("home-bu", 20, 900, "A and H"),
        home_answer("home-ba", 0, 20, 900, "accepted for an hour"),
        home_update("home-bu-alternate", 21, 900, "Alternate Care-of Address, then the option",
                    options=alternate, care_of=ALTERNATE),
        home_answer("home-ba-135", 135, 21, 0, "sequence out of window, last was 21"),
        home_update("home-dereg", 22, 0, "from home: no Home Address option", source=HOA,
                    care_of=HOA),
        home_answer("home-dereg-ba", 0, 22, 0, "to home: no routing header", source=HOA,
                    care_of=HOA),
        home_update("home-bu-udp4", 23, 900, "inside UDP, behind a NAT: IPv4 Care-of Address",
                    flags=A | H | F, options=ipv4, **natted),
        home_answer("home-ba-udp4", 0, 23, 900, "inside UDP: NAT Detection, 25 s",
                    options=struct.pack(">BBHI", 31, 6, 0, 25), **natted),
    ]  # fmt: skip


if __name__ == "__main__":
    print(json.dumps(vectors(), indent=1))
