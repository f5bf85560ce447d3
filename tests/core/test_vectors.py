"""The 42 third-party packets whole: built again, accepted, cut short, and with each bit turned."""

from binascii import hexlify

from harness import load_vectors
from receiver import Receiver, address, octets

from mip6 import keys, messages, packets
from mip6.errors import Violation

VECTORS = load_vectors()
STATIC = [v for v in VECTORS if "static" in v["name"]]
#: Layouts of ours: padding to 8n+2, then the authenticator, and nothing else in the message.
OURS = [
    v
    for v in VECTORS
    if [kind for kind, _ in messages.decode(packets.parse(octets(v["packet"])).payload).options]
    == [messages.PADN, messages.BINDING_AUTHORIZATION_DATA]
]

_MH_AT = packets.IPV6_HEADER_OCTETS + packets.EXTENSION_OCTETS


def build(v, like):
    """The packet of vector `v` made by our own code, from the values that `like` (Message) has."""
    home, care_of, correspondent = address(v["hoa"]), address(v["coa"]), address(v["cn"])
    blank = (messages.BINDING_AUTHORIZATION_DATA, bytes(keys.AUTHENTICATOR_OCTETS))
    fields = {name: getattr(like, name) for name, _, _ in messages.LAYOUTS[like.kind][2]}
    header = messages.Message(like.kind, [blank], **fields).encode()
    kcn = octets(v["kcn"])
    home_token = keys.home_keygen_token(kcn, home, octets(v["home_nonce"]))
    token = keys.care_of_keygen_token(kcn, care_of, octets(v["careof_nonce"]))
    update = like.kind == messages.BINDING_UPDATE
    # In an acknowledgement a lifetime of zero may be a refusal's: there the vector tells the form.
    deletes = like.lifetime == 0 if update else v["kbm_used"] == v["kbm_home_token_only"]
    kbm = keys.binding_management_key(home_token, None if deletes else token)
    header = header[:-12] + keys.authenticator(kbm, care_of, correspondent, header)
    if update:
        header = messages.with_checksum(header, home, correspondent)
        payload = packets.home_address_option(home, packets.MOBILITY) + header
        first, ends = packets.DESTINATION_OPTIONS, (care_of, correspondent)
    else:
        header = messages.with_checksum(header, correspondent, home)
        payload = packets.routing_header(home, packets.MOBILITY) + header
        first, ends = packets.ROUTING, (correspondent, care_of)
    return packets.ipv6_header(ends[0], ends[1], first, len(payload)) + payload


def test_layouts_of_ours_are_built_octet_for_octet():
    names = [v["name"] for v in OURS]
    assert len(OURS) >= 9
    for v in STATIC:
        if v["kind"] == "bu":
            assert v["name"] in names, v["name"]
    built = 0
    for v in OURS:
        packet = octets(v["packet"])
        message = messages.decode(packets.parse(packet).payload)
        if any(message.options[0][1]):  # a vector whose padding isn't zero
            continue
        assert hexlify(build(v, message)) == hexlify(packet), v["name"]
        built += 1
    assert built >= 9


def test_a_receiver_accepts_every_vector():
    for v in VECTORS:
        assert Receiver(v).accepts(octets(v["packet"])), v["name"]


def test_mac_input_of_every_vector():
    for v in VECTORS:
        data = octets(v["mac_input"])
        kbm = keys.hmac_key(octets(v["kbm_used"]))
        assert hexlify(keys.hmac_sha1(kbm, data)[:12]).decode() == v["authenticator"], v["name"]
        ends = address(v["mac_first_address"]) + address(v["cn"])
        assert data[:32] == ends
        header = bytes(packets.parse(octets(v["packet"])).payload)
        assert data[32:] == header[:4] + b"\x00\x00" + header[6:-12], v["name"]


def test_decode_and_encode_give_every_message_back():
    for v in VECTORS:
        header = bytes(packets.parse(octets(v["packet"])).payload)
        message = messages.decode(header)
        again = messages.decode(message.encode(align=False))
        assert hexlify(message.encode(align=False)).decode() == v["mh_checksum_zero"], v["name"]
        assert again.options == message.options


def test_extension_headers_are_built_octet_for_octet():
    for v in VECTORS:
        octets_ = octets(v["packet"])
        packet = packets.parse(octets_)
        first = octets_[6]
        payload = bytes(packet.payload)
        if packet.home_address is not None:
            payload = packets.home_address_option(packet.home_address, packets.MOBILITY) + payload
        elif packet.route is not None:
            payload = packets.routing_header(packet.route, packets.MOBILITY) + payload
        header = packets.ipv6_header(packet.source, packet.destination, first, len(payload))
        assert header + payload == octets_, v["name"]


def test_every_truncation_is_a_violation():
    for v in VECTORS:
        packet = octets(v["packet"])
        for end in range(len(packet)):
            try:
                packets.parse(packet[:end])
            except Violation as error:
                assert error.reason == "truncated"
            else:
                raise AssertionError("%s cut to %d octets was read" % (v["name"], end))


def test_every_truncation_behind_the_ipv6_header_is_a_violation():
    """A raw socket knows no payload length: what is cut there must be found from the inside."""
    for v in VECTORS:
        packet = octets(v["packet"])
        whole = packet[packets.IPV6_HEADER_OCTETS :]
        for end in range(len(whole)):
            try:
                found = packets.parse_payload(packet[6], whole[:end], packet[8:24], packet[24:40])
                assert found.protocol == packets.MOBILITY
                messages.decode(found.payload)
            except Violation as error:
                assert error.reason == "truncated", (v["name"], end, error.reason)
            else:
                raise AssertionError("%s cut to %d octets was read" % (v["name"], end))


def test_every_truncation_with_its_lengths_made_to_fit_is_a_violation_or_refused():
    """A sender who cuts and mends the lengths gets no further: decode refuses or the MAC does."""
    for v in STATIC:
        packet = octets(v["packet"])
        receiver = Receiver(v)
        header = packet[_MH_AT:]
        for end in range(8, len(header), 8):
            cut = bytearray(packet[: _MH_AT + end])
            cut[5] = len(cut) - packets.IPV6_HEADER_OCTETS
            cut[_MH_AT + 1] = end // 8 - 1
            found = packets.parse(cut)
            ends = found.logical_source, found.logical_destination
            mended = bytes(cut[:_MH_AT]) + messages.with_checksum(found.payload, ends[0], ends[1])
            assert not receiver.accepts(mended), (v["name"], end)


def _covered():
    """The octets in which no bit may turn: addresses of the IPv6 header, home address, message."""
    return (
        list(range(8, packets.IPV6_HEADER_OCTETS))
        + list(range(packets.IPV6_HEADER_OCTETS + 8, _MH_AT))
        + list(range(_MH_AT, _MH_AT + 32))
    )


def test_every_turned_bit_is_refused():
    for v in STATIC:
        receiver = Receiver(v)
        packet = bytearray(octets(v["packet"]))
        assert len(packet) == _MH_AT + 32
        assert receiver.accepts(packet)
        for at in _covered():
            for bit in range(8):
                packet[at] ^= 1 << bit
                assert not receiver.accepts(packet), (v["name"], at, bit)
                packet[at] ^= 1 << bit
        assert receiver.accepts(packet)


def test_every_turned_bit_is_refused_with_its_checksum_mended():
    """Whoever changes a packet mends the checksum too: then the MAC alone stands between.

    It covers every octet but the checksum itself, the reserved octet included.
    """
    for v in STATIC:
        receiver = Receiver(v)
        good = octets(v["packet"])
        for at in _covered():
            if _MH_AT + 4 <= at < _MH_AT + 6:
                continue
            for bit in range(8):
                packet = bytearray(good)
                packet[at] ^= 1 << bit
                try:
                    found = packets.parse(packet)
                except Violation:
                    continue
                ends = found.logical_source, found.logical_destination
                mended = bytes(packet[:_MH_AT]) + messages.with_checksum(
                    packet[_MH_AT:], ends[0], ends[1]
                )
                assert not receiver.accepts(mended), (v["name"], at, bit)
