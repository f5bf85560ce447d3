"""All eight messages and all options: encode, decode, alignment, and what is refused."""

from binascii import hexlify

from harness import raises

from mip6 import messages, packets
from mip6.errors import Violation

COOKIE = b"\x01\x02\x03\x04\x05\x06\x07\x08"
TOKEN = b"\x11\x12\x13\x14\x15\x16\x17\x18"
ADDRESS = bytes(range(0x20, 0x30))
MAC = bytes(range(0xA0, 0xAC))

#: kind, fields, the octets of RFC 6275 section 6.1 written out (checksum zero)
PLAIN = (
    (messages.BINDING_REFRESH_REQUEST, {}, "3b00000000000000"),
    (
        messages.HOME_TEST_INIT,
        {"home_init_cookie": COOKIE},
        "3b010100000000000102030405060708",
    ),
    (
        messages.CARE_OF_TEST_INIT,
        {"care_of_init_cookie": COOKIE},
        "3b010200000000000102030405060708",
    ),
    (
        messages.HOME_TEST,
        {"home_nonce_index": 0x1234, "home_init_cookie": COOKIE, "home_keygen_token": TOKEN},
        "3b0203000000123401020304050607081112131415161718",
    ),
    (
        messages.CARE_OF_TEST,
        {
            "care_of_nonce_index": 0x1234,
            "care_of_init_cookie": COOKIE,
            "care_of_keygen_token": TOKEN,
        },
        "3b0204000000123401020304050607081112131415161718",
    ),
    (
        messages.BINDING_UPDATE,
        {"sequence": 0xFEDC, "flags": 0x8000, "lifetime": 0xFFFF},
        "3b0105000000fedc8000ffff01020000",
    ),
    (
        messages.BINDING_ACKNOWLEDGEMENT,
        {"status": 135, "flags": 0x80, "sequence": 0xFEDC, "lifetime": 0x0102},
        "3b01060000008780fedc010201020000",
    ),
    (
        messages.BINDING_ERROR,
        {"status": 1, "home_address": ADDRESS},
        "3b02070000000100202122232425262728292a2b2c2d2e2f",
    ),
)

#: every option of section 6.2, and two that nobody knows
OPTIONS = (
    (messages.PAD1, b""),
    (messages.PADN, b""),
    (messages.PADN, b"\x00\x00\x00"),
    (messages.BINDING_REFRESH_ADVICE, b"\x00\x3c"),
    (messages.ALTERNATE_CARE_OF_ADDRESS, ADDRESS),
    (messages.NONCE_INDICES, b"\x00\x04\x00\x08"),
    (200, b""),
    (201, bytes(range(255))),
    (messages.BINDING_AUTHORIZATION_DATA, MAC),
)


def fields_of(message):
    """The fields of a message by name."""
    return {name: getattr(message, name) for name, _, _ in messages.LAYOUTS[message.kind][2]}


def decoded(text):
    """A message from hexadecimal text."""
    return messages.decode(bytes(int(text[i : i + 2], 16) for i in range(0, len(text), 2)))


def test_every_message_encodes_as_written_out():
    assert len(PLAIN) == len(messages.LAYOUTS) == 8
    for kind, fields, text in PLAIN:
        header = messages.Message(kind, **fields).encode()
        assert hexlify(header).decode() == text, messages.LAYOUTS[kind][0]


def test_every_message_decodes():
    for kind, fields, text in PLAIN:
        message = decoded(text)
        assert message.kind == kind
        found = fields_of(message)
        for name in fields:
            assert found[name] == fields[name], name
        assert hexlify(message.encode(align=False)).decode() == text


def test_every_option_in_every_message_survives():
    for kind, fields, _ in PLAIN:
        for option in OPTIONS:
            header = messages.Message(kind, [option], **fields).encode()
            assert len(header) % 8 == 0 and header[1] == len(header) // 8 - 1
            message = messages.decode(header)
            assert option in message.options, (kind, option)
            others = [o for o in message.options if o != option]
            assert all(o[0] in (messages.PAD1, messages.PADN) for o in others)
            assert message.encode(align=False) == header
            assert messages.decode(message.encode(align=False)).options == message.options


def test_all_options_together_keep_their_order():
    for kind, fields, _ in PLAIN:
        header = messages.Message(kind, OPTIONS, **fields).encode(align=False)
        found = messages.decode(header).options
        assert tuple(found[: len(OPTIONS)]) == OPTIONS


def test_alignment_of_section_6_2():
    """Refresh Advice 2n, Alternate Care-of Address 8n+6, Nonce Indices 2n, Authorization 8n+2."""
    wanted = {2: (2, 0), 3: (8, 6), 4: (2, 0), 5: (8, 2)}
    for kind, fields, _ in PLAIN:
        for lead in range(8):
            for option in OPTIONS:
                if option[0] not in wanted:
                    continue
                options = [(messages.PAD1, b"")] * lead
                options.append(option)
                header = messages.Message(kind, options, **fields).encode()
                start = messages.LAYOUTS[kind][1]
                at = place(header, start, option[0])
                multiple, offset = wanted[option[0]]
                assert at % multiple == offset, (kind, lead, option[0], at)


def place(header, at, kind):
    """Where the option of type `kind` stands."""
    while header[at] != kind:
        at += 1 if header[at] == messages.PAD1 else 2 + header[at + 1]
    return at


def test_static_key_layout():
    """PadN(6) puts the authenticator at 8n+2: protocol of the preconfigured key, section 3."""
    option = (messages.BINDING_AUTHORIZATION_DATA, MAC)
    header = messages.Message(messages.BINDING_UPDATE, [option], sequence=1).encode()
    assert hexlify(header[12:]).decode() == "010400000000050c" + hexlify(MAC).decode()
    assert len(header) == 32


def test_unknown_options_survive_between_known_ones():
    options = [(99, b"\x05\x0c\x00"), (messages.NONCE_INDICES, b"\x00\x01\x00\x02"), (250, b"x")]
    message = messages.Message(messages.BINDING_UPDATE, options, sequence=7)
    found = messages.decode(message.encode())
    kept = [o for o in found.options if o[0] not in (messages.PAD1, messages.PADN)]
    assert kept == options
    assert found.option(99) == b"\x05\x0c\x00"
    assert found.option(98) is None


def test_encode_refuses_what_does_not_fit():
    Message, BU = messages.Message, messages.BINDING_UPDATE
    for field, value in (("sequence", 65536), ("sequence", -1), ("flags", 1 << 16)):
        message = Message(BU, **{field: value})
        raises(ValueError, message.encode)
    raises(ValueError, Message(messages.BINDING_ACKNOWLEDGEMENT, status=256).encode)
    raises(ValueError, Message(messages.HOME_TEST_INIT, home_init_cookie=bytes(7)).encode)
    raises(ValueError, Message(messages.BINDING_ERROR, home_address=bytes(15)).encode)
    raises(ValueError, Message(BU, [(99, bytes(256))]).encode)
    raises(ValueError, Message(BU, [(99, bytes(255))] * 8).encode)
    raises(ValueError, Message, 8)
    raises(ValueError, lambda: Message(BU, status=1))


def test_longest_message():
    options = [(99, bytes(255))] * 7 + [(99, bytes(235))]
    header = messages.Message(messages.BINDING_UPDATE, options).encode()
    assert len(header) == 2048 and header[1] == 255
    assert messages.decode(header).options == options


def reason(header):
    """The reason for which decode refuses these octets."""
    return raises(Violation, messages.decode, header).reason


def test_decode_refuses_every_truncation_and_every_tail():
    for kind, fields, _ in PLAIN:
        header = messages.Message(kind, OPTIONS, **fields).encode()
        for end in range(len(header)):
            assert reason(header[:end]) == "truncated"
        for tail in (1, 7, 8, 16):
            assert reason(header + bytes(tail)) == "length"


def test_decode_refuses_messages_too_short_for_their_kind():
    for kind, _, text in PLAIN:
        octets = len(text) // 2
        for length in range(8, messages.LAYOUTS[kind][1], 8):
            header = bytearray(octets)[:length]
            header[0], header[1], header[2] = 59, length // 8 - 1, kind
            assert reason(header) == "length", (kind, length)


def test_decode_refuses_other_payloads_and_types():
    for protocol in (0, 17, 58, 60, 135):
        assert reason(bytes((protocol, 0, 0, 0, 0, 0, 0, 0))) == "payload protocol"
    for kind in (8, 9, 21, 255):
        assert reason(bytes((59, 0, kind, 0, 0, 0, 0, 0))) == "message type"


def test_decode_refuses_damaged_options():
    start = b"\x3b\x01\x05\x00\x00\x00\x00\x01\x80\x00\x00\x3c"
    for tail in (
        b"\x63\x03\x00\x00",  # one octet too long
        b"\x00\x00\x00\x63",  # no room for a length
        b"\x01\xff\x00\x00",
        b"\x02\x01\x00\x00",  # Binding Refresh Advice of one octet
        b"\x03\x02\x00\x00",  # Alternate Care-of Address of two
        b"\x04\x02\x00\x00",  # Nonce Indices of two
    ):
        assert reason(start + tail) == "option", tail


def test_reserved_octet_and_checksum_are_ignored():
    """Receivers ignore the reserved octet (section 6.1.1); it isn't carried over either."""
    header = bytearray(messages.Message(messages.BINDING_UPDATE, sequence=3).encode())
    plain = bytes(header)
    header[3], header[4], header[5] = 0xFF, 0x12, 0x34
    message = messages.decode(header)
    assert message.sequence == 3
    assert message.encode(align=False) == plain


def test_violation_is_one_line_with_a_reason():
    error = raises(Violation, messages.decode, b"")
    assert error.reason == "truncated"
    assert str(error) == "shorter than a Mobility Header"
    assert isinstance(error, ValueError)


def test_with_checksum():
    header = messages.Message(messages.BINDING_UPDATE, sequence=3).encode()
    other = bytes(15) + b"\x01"
    filled = messages.with_checksum(header, ADDRESS, other)
    packet = packets.parse_payload(packets.MOBILITY, filled, ADDRESS, other)
    assert packet.checksum_ok()
    assert messages.with_checksum(filled, ADDRESS, other) == filled
    assert filled[:4] == header[:4] and filled[6:] == header[6:]
