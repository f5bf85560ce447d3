"""Return routability and home registrations, from a generator that knows nothing of mip6: read,
signed, built octet for octet; cut short and with each bit turned."""

from binascii import hexlify

from harness import load_routability, raises
from receiver import octets

from mip6 import addresses, keys, messages, packets
from mip6.errors import Violation
from mip6.homeagent import authenticator as mn_ha

VECTORS = load_routability()
TESTS = [v for v in VECTORS if "cookie" in v]
SIGNED = [v for v in VECTORS if "authenticator" in v]
AT_HOME_AGENT = [v for v in SIGNED if "spi" in v]
ROUTABILITY = [v for v in SIGNED if "spi" not in v]
KINDS = {
    "hoti": messages.HOME_TEST_INIT,
    "coti": messages.CARE_OF_TEST_INIT,
    "hot": messages.HOME_TEST,
    "cot": messages.CARE_OF_TEST,
    "bu": messages.BINDING_UPDATE,
    "ba": messages.BINDING_ACKNOWLEDGEMENT,
}
NODE_KEY = bytes(range(1, 21))
HOME_NONCE, CARE_OF_NONCE = b"nonce #1", b"nonce #2"
RESERVED_AT = 3  # of a message; receivers ignore it, and a MAC covers it (section 6.1.1)


def inner(v):
    """The IPv6 packet with the message, out of a tunnel where it is in one."""
    packet = octets(v["packet"])
    return packet[packets.IPV6_HEADER_OCTETS :] if v.get("inside") == "tunnel" else packet


def read(packet):
    """Packet and message of octets; raises Violation, with reason "checksum", too."""
    found = packets.parse(packet)
    if found.protocol != packets.MOBILITY or not found.checksum_ok():
        raise Violation("checksum", "not a message, or a wrong checksum")
    return found, messages.decode(found.payload)


def verifies(v, header):
    """Whether the authenticator that ends a message is right, under the vector's key."""
    key, care_of = octets(v["key"]), addresses.parse(v["coa"])
    if "spi" in v:
        return mn_ha.verify(key, care_of, addresses.parse(v["hoa"]), header)
    return keys.verify(key, care_of, addresses.parse(v["peer"]), header)


def test_every_kind_is_there():
    assert {v["kind"] for v in VECTORS} == set(KINDS)
    assert len(TESTS) == 7 and len(ROUTABILITY) == 10 and len(AT_HOME_AGENT) == 8
    assert {v["status"] for v in VECTORS if v["kind"] == "ba"} == {0, 135, 136, 137, 138}


def test_every_message_reads_as_its_vector_says():
    for v in VECTORS:
        packet, message = read(inner(v))
        assert message.kind == KINDS[v["kind"]], v["name"]
        assert hexlify(message.encode(align=False)).decode() == v["mh_checksum_zero"], v["name"]
        for field in ("sequence", "lifetime", "status"):
            if field in v:
                assert getattr(message, field) == v[field], v["name"]
        if "nonce_indices" in v:
            data = message.option(messages.NONCE_INDICES)
            assert [data[0] << 8 | data[1], data[2] << 8 | data[3]] == v["nonce_indices"]
        if "spi" in v:
            kind, data = message.options[-1]
            assert kind == messages.AUTHENTICATION and len(data) == 17 and data[0] == 1
            assert int.from_bytes(data[1:5], "big") == v["spi"] == mn_ha.SPI_OF_GENERATION_0


def test_every_test_message_is_built_octet_for_octet():
    for v in TESTS:
        which = "home" if v["kind"].startswith("ho") else "care_of"
        fields = {which + "_init_cookie": octets(v["cookie"])}
        if "token" in v:
            fields[which + "_nonce_index"] = v["index"]
            fields[which + "_keygen_token"] = octets(v["token"])
        header = messages.Message(KINDS[v["kind"]], **fields).encode()
        packet = inner(v)
        source, destination = packet[8:24], packet[24:40]
        header = messages.with_checksum(header, source, destination)
        built = packets.ipv6_header(source, destination, packets.MOBILITY, len(header)) + header
        assert built == packet, v["name"]


def test_tokens_are_those_of_the_node_key_and_the_nonces():
    made = 0
    for v in TESTS:
        if "token" not in v:
            continue
        destination = inner(v)[24:40]
        if v["kind"] == "hot":
            token = keys.home_keygen_token(NODE_KEY, destination, HOME_NONCE)
        else:
            token = keys.care_of_keygen_token(NODE_KEY, destination, CARE_OF_NONCE)
        assert hexlify(token).decode() == v["token"], v["name"]
        made += 1
    assert made == 4


def test_kbm_is_that_of_the_tokens():
    for v in ROUTABILITY:
        home = keys.home_keygen_token(NODE_KEY, addresses.parse(v["hoa"]), HOME_NONCE)
        care_of = keys.care_of_keygen_token(NODE_KEY, addresses.parse(v["coa"]), CARE_OF_NONCE)
        kbm = keys.binding_management_key(home, None if "dereg" in v["name"] else care_of)
        assert hexlify(kbm).decode() == v["key"], v["name"]


def test_mac_input_and_authenticator_of_every_vector():
    for v in SIGNED:
        packet, _ = read(inner(v))
        header = bytes(packet.payload)
        covered = octets(v["mac_input"])
        mac = keys.hmac_sha1(keys.hmac_key(octets(v["key"])), covered)[:12]
        assert hexlify(mac).decode() == v["authenticator"], v["name"]
        assert header[-12:] == mac
        assert covered[32:] == header[:4] + b"\x00\x00" + header[6:-12], v["name"]
        assert verifies(v, header), v["name"]
        prepared = dict(v)
        assert verifies(prepared, memoryview(header))


def test_every_signed_message_is_built_octet_for_octet():
    for v in SIGNED:
        _, like = read(inner(v))
        options = [option for option in like.options if option[0] > messages.PADN]
        kind, data = options[-1]
        options[-1] = (kind, data[:-12] + bytes(12))
        fields = {name: getattr(like, name) for name, _, _ in messages.LAYOUTS[like.kind][2]}
        header = messages.Message(like.kind, options, **fields).encode()
        key, care_of = keys.hmac_key(octets(v["key"])), addresses.parse(v["coa"])
        if "spi" in v:
            mac = mn_ha.authenticator(key, care_of, addresses.parse(v["hoa"]), header)
        else:
            mac = keys.authenticator(key, care_of, addresses.parse(v["peer"]), header)
        assert hexlify(header[:-12] + mac).decode() == v["mh_checksum_zero"], v["name"]


def test_every_truncation_is_a_violation():
    for v in VECTORS:
        packet = inner(v)
        for end in range(len(packet)):
            assert raises(Violation, read, packet[:end]).reason == "truncated"
        found = packets.parse(packet)
        header = bytes(found.payload)
        for end in range(len(header)):
            assert raises(Violation, messages.decode, header[:end]).reason == "truncated"


def test_every_cut_with_its_lengths_made_to_fit_is_refused():
    for v in SIGNED:
        header = bytes(packets.parse(inner(v)).payload)
        for end in range(8, len(header), 8):
            cut = bytearray(header[:end])
            cut[1] = end // 8 - 1
            assert not verifies(v, cut), (v["name"], end)


def test_every_turned_bit_is_a_violation():
    """Of the addresses and the message: the checksum covers them, authenticated or not."""
    for v in VECTORS:
        good = inner(v)
        covered = list(range(8, packets.IPV6_HEADER_OCTETS))
        start = len(good) - len(octets(v["mh_checksum_zero"]))
        found = packets.parse(good)
        if start > packets.IPV6_HEADER_OCTETS:
            # With a home address option or a routing header the address of the IPv6 header isn't
            # in the checksum: that of the header is.
            covered = list(range(packets.IPV6_HEADER_OCTETS + 8, start))
            covered += list(range(24, 40) if found.home_address else range(8, 24))
        packet = bytearray(good)
        for at in covered + list(range(start, len(good))):
            for bit in range(8):
                packet[at] ^= 1 << bit
                raises(Violation, read, packet)
                packet[at] ^= 1 << bit
        read(packet)


def test_every_turned_bit_of_what_is_signed_is_refused_with_its_checksum_mended():
    """The MAC covers every octet of the message but the checksum, and the addresses."""
    for v in SIGNED:
        header = bytearray(packets.parse(inner(v)).payload)
        for at in range(len(header)):
            if 4 <= at < 6:
                continue
            for bit in range(8):
                header[at] ^= 1 << bit
                assert not verifies(v, header), (v["name"], at, bit)
                header[at] ^= 1 << bit
        assert verifies(v, header)
        others = ("coa", "hoa") if "spi" in v else ("coa", "peer")
        for name in others:
            assert not verifies(dict(v, **{name: "2001:db8:dead::1"}), header), v["name"]


def test_home_agent_authenticator_refuses_wrong_sizes_and_other_options():
    home, key = bytes(16), bytes(20)
    option = (messages.AUTHENTICATION, bytes((1,)) + bytes(16))
    good = messages.Message(messages.BINDING_UPDATE, [option]).encode()
    assert len(good) == 32 and len(mn_ha.authenticator(key, home, home, good)) == 12
    other = (messages.AUTHENTICATION, bytes((2,)) + bytes(16))  # MN-AAA
    for header in (
        messages.Message(messages.BINDING_UPDATE, [other]).encode(),
        messages.Message(
            messages.BINDING_UPDATE, [(messages.BINDING_AUTHORIZATION_DATA, bytes(12))]
        ).encode(),
        messages.Message(messages.BINDING_UPDATE, [option, (200, b"")]).encode(),
        good[:27],
        b"",
    ):
        raises(ValueError, mn_ha.authenticator, key, home, home, header)
        assert not mn_ha.verify(key, home, home, header)
    raises(ValueError, mn_ha.authenticator, key, home[:4], home, good)
    raises(ValueError, mn_ha.authenticator, key, home, home[:4], good)
