"""Datagrams that carry packets of mobility, for the host's tests: the vectors, and changed ones.

CPython only, as `mobility_samples`.
"""

import json
from pathlib import Path
from typing import Any

ENCAPSULATED: list[dict[str, Any]] = json.loads(
    (Path(__file__).parent.parent / "vectors" / "encapsulated.json").read_text()
)
DATAGRAMS = [bytes.fromhex(v["datagram"]) for v in ENCAPSULATED]


def sample(name: str) -> bytes:
    """The vector called `name`, from its outer header on."""
    return next(bytes.fromhex(v["datagram"]) for v in ENCAPSULATED if v["name"] == name)


def keys_of() -> dict[str, Any]:
    """A key file's document for the vectors, which are of one pair."""
    v = next(v for v in ENCAPSULATED if "kcn" in v)
    return {
        "home_address": v["hoa"],
        "correspondent": v["cn"],
        "home_nonce": v["home_nonce"],
        "care_of_nonce": v["careof_nonce"],
        "keys": [{"generation": 0, "kcn": v["kcn"]}],
    }


def outer_ipv4(data: bytes, port: int = 4191, options: bytes = b"") -> bytes:
    """`data` in a datagram from 198.51.100.7, made by scapy."""
    from scapy.layers.inet import IP, UDP, IPOption

    packet = IP(src="198.51.100.7", dst="203.0.113.5", options=[IPOption(options)] * bool(options))
    return bytes(packet / UDP(sport=61234, dport=port) / data)
