"""Packets for the host's tests: the vectors, and one of every kind made by our own code.

CPython only. It stands here because this folder is on the path of all tests.
"""

import json
import struct
from collections.abc import Iterable
from ipaddress import IPv6Address
from pathlib import Path
from typing import Any, BinaryIO

from dpkt import pcap, pcapng

from mip6 import keys, messages, packets

VECTORS: list[dict[str, Any]] = json.loads(
    (Path(__file__).parent.parent / "vectors" / "mobility-vectors.json").read_text()
)
HOME = IPv6Address("2001:db8:a::64").packed
CARE_OF = IPv6Address("2001:db8:1:0:5054:ff:fe12:3456").packed
PEER = IPv6Address("2001:db8:c::2").packed
KCN = bytes(range(40, 60))
OLD_KCN = bytes(range(60, 90))
NONCES = b"homenonc", b"care-of nonce"
START = 1_700_000_000.25  # the first packet's time stamp in a capture

MOBILE_TO_PEER = "HAO"
PEER_TO_MOBILE = "RH2"
PLAIN = "plain"


def vector(name: str) -> bytes:
    """The packet of the vector called `name`."""
    return next(bytes.fromhex(v["packet"]) for v in VECTORS if v["name"] == name)


def key_file(vectors: Iterable[dict[str, Any]] = (), own: bool = True) -> list[dict[str, Any]]:
    """A key file's document for `vectors` (of distinct pairs), and for our own packets."""
    document = [
        {
            "home_address": v["hoa"],
            "correspondent": v["cn"],
            "home_nonce": v["home_nonce"],
            "care_of_nonce": v["careof_nonce"],
            "keys": [{"generation": 0, "kcn": v["kcn"]}],
        }
        for v in vectors
    ]
    if own:
        document.append(
            {
                "home_address": str(IPv6Address(HOME)),
                "correspondent": str(IPv6Address(PEER)),
                "home_nonce": NONCES[0].hex(),
                "care_of_nonce": NONCES[1].hex(),
                "keys": [
                    {"generation": 6, "kcn": OLD_KCN.hex()},
                    {"generation": 7, "kcn": KCN.hex()},
                ],
            }
        )
    return document


def enveloped(protocol: int, payload: bytes, way: str) -> bytes:
    """A payload in its packet: by Home Address option, by routing header, or plainly from PEER."""
    if way == MOBILE_TO_PEER:
        payload = packets.home_address_option(HOME, protocol) + payload
        first, ends = packets.DESTINATION_OPTIONS, (CARE_OF, PEER)
    elif way == PEER_TO_MOBILE:
        payload = packets.routing_header(HOME, protocol) + payload
        first, ends = packets.ROUTING, (PEER, CARE_OF)
    else:
        first, ends = protocol, (PEER, CARE_OF)
    return packets.ipv6_header(*ends, first, len(payload)) + payload


def message_packet(message: Any, way: str) -> bytes:
    """A message in its packet, checksum filled in."""
    ends = {MOBILE_TO_PEER: (HOME, PEER), PEER_TO_MOBILE: (PEER, HOME), PLAIN: (PEER, CARE_OF)}
    header = messages.with_checksum(message.encode(), *ends[way])
    return enveloped(packets.MOBILITY, header, way)


def signed(
    message: Any, way: str, kcn: bytes = KCN, deletion: bool = False, care_of: bytes = CARE_OF
) -> bytes:
    """A message with its authenticator appended, in its packet."""
    option = (messages.BINDING_AUTHORIZATION_DATA, bytes(12))
    message.options = [*message.options, option]
    header = message.encode()
    home_token = keys.home_keygen_token(kcn, HOME, NONCES[0])
    care_of_token = keys.care_of_keygen_token(kcn, care_of, NONCES[1])
    kbm = keys.binding_management_key(home_token, None if deletion else care_of_token)
    mac = keys.authenticator(kbm, care_of, PEER, header)
    message.options[-1] = (messages.BINDING_AUTHORIZATION_DATA, mac)
    return message_packet(message, way)


def update(**fields: Any) -> Any:
    """A Binding Update for seven minutes that asks for an acknowledgement."""
    values = {"sequence": 5, "flags": messages.FLAG_ACKNOWLEDGE, "lifetime": 105} | fields
    return messages.Message(messages.BINDING_UPDATE, **values)


def acknowledgement(**fields: Any) -> Any:
    """A Binding Acknowledgement that accepts for seven minutes."""
    values = {"status": 0, "sequence": 5, "lifetime": 105} | fields
    return messages.Message(messages.BINDING_ACKNOWLEDGEMENT, **values)


def one_of_each() -> list[bytes]:
    """All eight messages, all options, refusals, deletions, and data both ways."""
    cookie, token = b"\x81cookie1", b"\x91token12"
    alternate = (messages.ALTERNATE_CARE_OF_ADDRESS, CARE_OF)
    indices = (messages.NONCE_INDICES, b"\x00\x03\x00\x04")
    advice = (messages.BINDING_REFRESH_ADVICE, b"\x00\x1e")
    m = messages
    return [
        signed(update(), MOBILE_TO_PEER),
        signed(update(options=[alternate, indices]), MOBILE_TO_PEER, OLD_KCN),
        signed(update(options=[(200, b"odd")], flags=0xF000), MOBILE_TO_PEER),
        signed(update(lifetime=0, sequence=65535), MOBILE_TO_PEER, deletion=True),
        signed(update(lifetime=65535, flags=0), MOBILE_TO_PEER),
        signed(acknowledgement(options=[advice]), PEER_TO_MOBILE),
        signed(acknowledgement(status=135, lifetime=0, sequence=9), PEER_TO_MOBILE),
        signed(acknowledgement(status=0, lifetime=0, flags=0x80), PEER_TO_MOBILE, deletion=True),
        message_packet(update(), MOBILE_TO_PEER),
        message_packet(m.Message(m.BINDING_REFRESH_REQUEST), PEER_TO_MOBILE),
        message_packet(m.Message(m.HOME_TEST_INIT, home_init_cookie=cookie), PLAIN),
        message_packet(m.Message(m.CARE_OF_TEST_INIT, care_of_init_cookie=cookie), PLAIN),
        message_packet(
            m.Message(
                m.HOME_TEST, home_nonce_index=3, home_init_cookie=cookie, home_keygen_token=token
            ),
            PLAIN,
        ),
        message_packet(
            m.Message(
                m.CARE_OF_TEST,
                care_of_nonce_index=4,
                care_of_init_cookie=cookie,
                care_of_keygen_token=token,
            ),
            PLAIN,
        ),
        message_packet(m.Message(m.BINDING_ERROR, status=1, home_address=HOME), PLAIN),
        enveloped(packets.UDP, packets.udp(HOME, PEER, 40001, 40000, b"22.5 C"), MOBILE_TO_PEER),
        enveloped(packets.UDP, packets.udp(PEER, HOME, 40000, 40001, b"ack"), PEER_TO_MOBILE),
    ]


def write_capture(
    file: BinaryIO, frames: Iterable[bytes], link: int = 229, next_generation: bool = False
) -> None:
    """A capture file of `frames`, an eighth of a second apart."""
    kind = pcapng if next_generation else pcap
    writer = kind.Writer(file, linktype=link)
    for i, frame in enumerate(frames):
        writer.writepkt(frame, START + i / 8)
    file.flush()


def radiotap(
    octets: bytes, qos: bool = False, padded: bool = False, secret: bool = False
) -> bytes:
    """A data frame of an open or an encrypted Wi-Fi, as monitor mode gives it."""
    # Its second word of flags is there but empty; then a time stamp, aligned; then the flags.
    head = struct.pack("<BBHIIxxxxQB", 0, 0, 25, 0x80000003, 0, 1, 0x20 if padded else 0)
    frame = bytes((0x88 if qos else 0x08, 0x41 if secret else 0x01)) + bytes(22)
    if qos:
        frame += bytes(2) + (bytes(2) if padded else b"")
    return head + frame + bytes.fromhex("aaaa03000000" + "86dd") + octets
