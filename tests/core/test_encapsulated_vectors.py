"""Packets inside UDP, made by a generator that knows nothing of mip6: read, signed, built."""

from binascii import hexlify

from harness import load_encapsulated
from receiver import octets

from mip6 import addresses, keys, messages, packets

VECTORS = load_encapsulated()
SIGNED = [v for v in VECTORS if "authenticator" in v]


def care_of_of(v):
    """The care-of address (16 octets) that the vector registers."""
    return addresses.parse(v["coa"])


def management_key(v):
    """Kbm as the vector's fields say: of a deletion where an update's lifetime is zero."""
    kcn = octets(v["kcn"])
    home = keys.home_keygen_token(kcn, addresses.parse(v["hoa"]), octets(v["home_nonce"]))
    care_of = keys.care_of_keygen_token(kcn, care_of_of(v), octets(v["careof_nonce"]))
    assert hexlify(home).decode() == v["home_token"]
    assert hexlify(care_of).decode() == v["careof_token"]
    return keys.binding_management_key(home, None if "dereg" in v["name"] else care_of)


def test_every_kind_and_way_is_there():
    found = {(v["kind"], v["way"]) for v in VECTORS}
    for way in ("udp4", "udp6"):
        for kind in ("bu", "ba", "be", "data", "keepalive"):
            assert (kind, way) in found, (kind, way)


def test_every_packet_is_read_with_a_right_checksum():
    for v in VECTORS:
        packet = packets.parse_encapsulated(octets(v["packet"]))
        ends = addresses.text(packet.source), addresses.text(packet.destination)
        assert ends == (
            (v["cn"], v["hoa"]) if v["direction"] == "to_node" else (v["hoa"], v["cn"])
        )
        if v["kind"] == "keepalive":
            assert packet.protocol == packets.NO_NEXT_HEADER
        else:
            assert packet.checksum_ok(), v["name"]


def test_the_care_of_address_stands_in_the_update():
    for v in VECTORS:
        if v["kind"] != "bu":
            continue
        message = messages.decode(packets.parse_encapsulated(octets(v["packet"])).payload)
        assert message.flags == messages.FLAG_ACKNOWLEDGE | messages.FLAG_UDP_ENCAPSULATION
        mapped = message.option(messages.IPV4_CARE_OF_ADDRESS)
        found = message.option(messages.ALTERNATE_CARE_OF_ADDRESS)
        if mapped is not None:
            found = addresses.IPV4_MAPPED + mapped[2:]
        assert found == care_of_of(v), v["name"]


def test_every_authenticator_verifies_and_no_other():
    assert len(SIGNED) >= 12
    for v in SIGNED:
        header = packets.parse_encapsulated(octets(v["packet"])).payload
        kbm = management_key(v)
        assert hexlify(kbm).decode() == v["kbm_used"]
        peer = addresses.parse(v["cn"])
        assert keys.verify(kbm, care_of_of(v), peer, header), v["name"]
        damaged = bytearray(header)
        damaged[8] ^= 1
        assert not keys.verify(kbm, care_of_of(v), peer, damaged)
        assert not keys.verify(kbm, addresses.parse("198.51.100.99"), peer, header)


def test_every_signed_message_is_built_octet_for_octet():
    for v in SIGNED:
        whole = octets(v["packet"])
        like = messages.decode(packets.parse_encapsulated(whole).payload)
        options = [option for option in like.options if option[0] > messages.PADN]
        options[-1] = (options[-1][0], bytes(keys.AUTHENTICATOR_OCTETS))
        fields = {name: getattr(like, name) for name, _, _ in messages.LAYOUTS[like.kind][2]}
        header = messages.Message(like.kind, options, **fields).encode()
        mac = keys.authenticator(
            management_key(v), care_of_of(v), addresses.parse(v["cn"]), header
        )
        header = header[:-12] + mac
        assert hexlify(header).decode() == v["mh_checksum_zero"], v["name"]
        source, destination = whole[8:24], whole[24:40]
        header = messages.with_checksum(header, source, destination)
        built = packets.ipv6_header(source, destination, packets.MOBILITY, len(header)) + header
        assert built == whole, v["name"]


def test_a_keepalive_is_built_octet_for_octet():
    for v in VECTORS:
        if v["kind"] == "keepalive":
            built = packets.keepalive(addresses.parse(v["hoa"]), addresses.parse(v["cn"]))
            assert built == octets(v["packet"])
