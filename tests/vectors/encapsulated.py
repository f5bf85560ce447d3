"""Packets inside UDP, made from the specification alone: hashlib, struct and nothing of roamkey.

    python tests/vectors/encapsulated.py > tests/vectors/encapsulated-vectors.json

docs/SPEC.md, "Encapsulated in UDP"; RFC 6275 sections 5.2, 6.1 and 6.2; RFC 5555 section 3;
RFC 4449 for the key; RFC 2104; RFC 1071.
"""

import json
import struct
from hashlib import sha1
from ipaddress import ip_address

HOME, PEER = "2001:db8:a::100", "2001:db8:c::2"
NONCES = bytes(range(8)), bytes(range(8, 16))
NAT = ("198.51.100.7", 40001, "192.0.2.1")  # outer address, port, and ours
SIX = ("2001:db8:5::5", 5000, "2001:db8:1111::1")


def octets16(text):
    address = ip_address(text)
    return address.packed if address.version == 6 else bytes(10) + b"\xff\xff" + address.packed


def hmac(key, data):
    key = (sha1(key).digest() if len(key) > 64 else key).ljust(64, b"\0")
    inner = sha1(bytes(octet ^ 0x36 for octet in key) + data).digest()
    return sha1(bytes(octet ^ 0x5C for octet in key) + inner).digest()


def kbm(kcn, care_of, removes):
    """Without the care-of keygen token where the binding is removed (section 5.2.5)."""
    material = hmac(kcn, octets16(HOME) + NONCES[0] + b"\0")[:8]
    if not removes:
        material += hmac(kcn, octets16(care_of) + NONCES[1] + b"\1")[:8]
    return sha1(material).digest()


def internet_checksum(data):
    total = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total ^ 0xFFFF


def signed(message, key, care_of, source, destination):
    """`message` with room for the authenticator at its end: with that, the checksum and the IPv6
    header."""
    mac = hmac(key, octets16(care_of) + octets16(PEER) + message[:-12])[:12]
    message = message[:-12] + mac
    ends = octets16(source) + octets16(destination)
    pseudo = ends + struct.pack(">IHBB", len(message), 0, 0, 135)
    checksum = internet_checksum(pseudo + message)
    message = message[:4] + struct.pack(">H", checksum) + message[6:]
    return struct.pack(">IHBB", 6 << 28, len(message), 135, 64) + ends + message


def authorization(message):
    """Behind what there is, at 8n+2 (section 6.2.7), and the length of the whole."""
    pad = (2 - len(message)) % 8
    message += b"" if not pad else b"\0" if pad == 1 else bytes((1, pad - 2)) + bytes(pad - 2)
    message += bytes((5, 12)) + bytes(12)
    return bytes((59, len(message) // 8 - 1)) + message[2:]


def update(sequence, lifetime, care_of, kcn, flags=0x8100):
    message = bytes((59, 0, 5, 0, 0, 0)) + struct.pack(">HHH", sequence, flags, lifetime)
    if "." in care_of:
        message += bytes((32, 6, 0, 0)) + ip_address(care_of).packed
    else:
        message += bytes((1, 0)) + bytes((3, 16)) + octets16(care_of)
    key = kbm(kcn, care_of, not lifetime)
    return signed(authorization(message), key, care_of, HOME, PEER)


def acknowledgement(status, sequence, lifetime, care_of, kcn, outer, removes):
    message = bytes((59, 0, 6, 0, 0, 0, status, 0)) + struct.pack(">HH", sequence, lifetime)
    if outer != care_of:
        message += bytes((31, 6)) + struct.pack(">HI", 0, 25)
    return signed(authorization(message), kbm(kcn, care_of, removes), care_of, PEER, HOME)


def vectors():
    """Each update, and how a correspondent that never saw the node answers it."""
    cases = [
        ("udp4-behind-nat", NAT, "192.168.1.5", bytes(range(20)), 7, 100),
        ("udp4-own-address", NAT, NAT[0], bytes(range(32)), 0, 65535),
        ("udp4-long-key", NAT, "10.0.0.1", bytes(range(100)), 65535, 1),
        ("udp4-removal", NAT, "192.168.1.5", bytes(range(20)), 8, 0),
        ("udp6", SIX, SIX[0], bytes(range(20)), 7, 100),
        ("udp6-behind-nat66", SIX, "fd00::5", bytes(range(64)), 9, 15),
        ("udp6-removal", SIX, SIX[0], bytes(range(20)), 300, 0),
    ]
    for name, endpoint, care_of, kcn, sequence, lifetime in cases:
        answer = acknowledgement(
            0, sequence, lifetime, care_of, kcn, endpoint[0], removes=not lifetime
        )
        yield {
            "name": name, "kcn": kcn.hex(), "home_nonce": NONCES[0].hex(),
            "careof_nonce": NONCES[1].hex(), "hoa": HOME, "cn": PEER, "coa": care_of,
            "outer_source": endpoint[0], "outer_port": endpoint[1], "local": endpoint[2],
            "sequence": sequence, "lifetime": lifetime,
            "update": update(sequence, lifetime, care_of, kcn).hex(), "answer": answer.hex(),
        }  # fmt: skip


if __name__ == "__main__":
    print(json.dumps(list(vectors()), indent=1))
