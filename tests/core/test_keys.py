"""Every intermediate value of the 42 third-party packets, and what the functions refuse."""

from binascii import hexlify, unhexlify

from harness import load_vectors, raises

from mip6 import keys, messages, packets

VECTORS = load_vectors()


def octets(text):
    """Octets from hexadecimal text."""
    return unhexlify(text)


def address(text):
    """16 octets from the text of an IPv6 address (no IPv4 part, no zone)."""
    head, gap, tail = text.partition("::")
    left = [int(word, 16) for word in head.split(":") if word]
    right = [int(word, 16) for word in tail.split(":") if word]
    words = left + [0] * (8 - len(left) - len(right)) + right if gap else left
    return b"".join(word.to_bytes(2, "big") for word in words)


def test_vectors_are_all_there():
    assert len(VECTORS) == 42


def test_tokens_and_kbm_of_every_vector():
    for v in VECTORS:
        kcn = octets(v["kcn"])
        home = keys.home_keygen_token(kcn, address(v["hoa"]), octets(v["home_nonce"]))
        care_of = keys.care_of_keygen_token(kcn, address(v["coa"]), octets(v["careof_nonce"]))
        assert hexlify(home).decode() == v["home_token"], v["name"]
        assert hexlify(care_of).decode() == v["careof_token"], v["name"]
        both = keys.binding_management_key(home, care_of)
        assert hexlify(both).decode() == v["kbm_both_tokens"], v["name"]
        alone = keys.binding_management_key(home)
        assert hexlify(alone).decode() == v["kbm_home_token_only"], v["name"]


def test_tokens_take_a_prepared_key():
    v = VECTORS[0]
    kcn = keys.hmac_key(octets(v["kcn"]))
    home = keys.home_keygen_token(kcn, address(v["hoa"]), octets(v["home_nonce"]))
    assert hexlify(home).decode() == v["home_token"]


def test_authenticator_and_checksum_of_every_vector():
    for v in VECTORS:
        packet = packets.parse(octets(v["packet"]))
        header = bytes(packet.payload)
        assert packet.protocol == packets.MOBILITY
        assert packet.checksum_ok(), v["name"]
        kbm = octets(v["kbm_used"])
        first = address(v["mac_first_address"])
        mac = keys.authenticator(kbm, first, address(v["cn"]), header)
        assert hexlify(mac).decode() == v["authenticator"], v["name"]
        assert keys.authenticator(keys.hmac_key(kbm), first, address(v["cn"]), header) == mac
        assert keys.verify(kbm, first, address(v["cn"]), header)
        blank = header[:4] + b"\xff\xff" + header[6:-12] + bytes(12)
        assert keys.authenticator(kbm, first, address(v["cn"]), blank) == mac
        zero = octets(v["mh_checksum_zero"])
        filled = messages.with_checksum(zero, packet.logical_source, packet.logical_destination)
        assert filled == header, v["name"]
        assert hexlify(header[4:6]).decode() == v["mh_checksum"]


def test_hmac_rfc_2202():
    cases = (
        (b"\x0b" * 20, b"Hi There", "b617318655057264e28bc0b6fb378c8ef146be00"),
        (b"Jefe", b"what do ya want for nothing?", "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79"),
        (b"\xaa" * 20, b"\xdd" * 50, "125d7342b9ac11cd91a39af48aa17b4f63f175d3"),
        (
            b"\xaa" * 80,
            b"Test Using Larger Than Block-Size Key - Hash Key First",
            "aa4ae5e15272d00e95705637ce8a3b55ed402112",
        ),
    )
    for key, data, expected in cases:
        assert hexlify(keys.hmac_sha1(keys.hmac_key(key), data)).decode() == expected
        assert hexlify(keys.hmac_sha1(keys.hmac_key(key), data[:3], data[3:])).decode() == expected


def test_equal():
    assert keys.equal(b"abc", b"abc")
    assert not keys.equal(b"abc", b"abd")
    assert not keys.equal(b"abc", b"ab")


def test_refuses_wrong_sizes():
    home, nonce, kcn = bytes(16), bytes(8), bytes(20)
    raises(ValueError, keys.home_keygen_token, kcn[:19], home, nonce)
    raises(ValueError, keys.home_keygen_token, kcn, home[:15], nonce)
    raises(ValueError, keys.care_of_keygen_token, kcn, home, nonce[:7])
    raises(ValueError, keys.care_of_keygen_token, kcn, home, bytes(33))
    raises(ValueError, keys.binding_management_key, bytes(7))
    raises(ValueError, keys.binding_management_key, bytes(8), bytes(9))
    raises(ValueError, keys.authenticator, bytes(20), home, home, bytes(24))
    raises(ValueError, keys.authenticator, bytes(20), home, home[:4], bytes(24))
    assert not keys.verify(bytes(20), home, home, bytes(24))


def test_keys_that_hmac_takes_for_one_have_one_form():
    short, long = b"k" * 20, b"k" * 65
    for equal in (short, short + b"\x00", short + bytes(44), bytearray(short), memoryview(short)):
        assert keys.canonical(equal) == short
        right = keys.hmac_sha1(keys.hmac_key(short), b"text")
        assert keys.hmac_sha1(keys.hmac_key(bytes(equal)), b"text") == right
    hashed = keys.canonical(long)
    assert len(hashed) == 20 and keys.canonical(hashed) == hashed
    right = keys.hmac_sha1(keys.hmac_key(long), b"text")
    assert keys.hmac_sha1(keys.hmac_key(hashed), b"text") == right
    for other in (short + b"\x01", b"\x00" + short, short + bytes(45), long + b"\x00"):
        assert keys.canonical(other) not in (short, hashed)
