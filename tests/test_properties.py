"""Properties: what goes in comes out again, and no octets whatever raise the wrong exception."""

import contextlib
import io

from encapsulated_samples import DATAGRAMS
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from mobility_samples import PEER, VECTORS, one_of_each, write_capture

from mip6 import keys, messages, packets
from mip6.errors import Violation
from roamkey.decode.facts import describe
from roamkey.decode.hextext import packets_in
from roamkey.decode.reading import Reading
from roamkey.decode.render import show
from roamkey.errors import BadInputError

PACKETS = [bytes.fromhex(v["packet"]) for v in VECTORS] + one_of_each() + DATAGRAMS
PADDING = (messages.PAD1, messages.PADN)

addresses = st.binary(min_size=16, max_size=16)


def option_data(kind: int) -> st.SearchStrategy[tuple[int, bytes]]:
    known = messages.OPTIONS.get(kind, ("", None))[1]
    if kind == messages.PAD1:
        known = 0
    sizes = {"min_size": known, "max_size": known} if known is not None else {"max_size": 64}
    return st.tuples(st.just(kind), st.binary(**sizes))


options = st.lists(st.integers(0, 255).flatmap(option_data), max_size=6)


@st.composite
def any_message(draw: st.DrawFn) -> messages.Message:
    kind = draw(st.sampled_from(sorted(messages.LAYOUTS)))
    fields = {
        name: draw(
            st.integers(0, (1 << 8 * octets) - 1)
            if octets <= 2
            else st.binary(min_size=octets, max_size=octets)
        )
        for name, _, octets in messages.LAYOUTS[kind][2]
    }
    return messages.Message(kind, draw(options), **fields)


def values(message: messages.Message) -> dict[str, object]:
    return {name: getattr(message, name) for name, _, _ in messages.LAYOUTS[message.kind][2]}


@given(any_message())
def test_messages_come_back_with_their_options(message: messages.Message) -> None:
    for align in (False, True):
        header = message.encode(align)
        found = messages.decode(header)
        assert len(header) % 8 == 0
        assert (found.kind, values(found)) == (message.kind, values(message))
        wanted = [o for o in message.options if o[0] not in PADDING]
        assert [o for o in found.options if o[0] not in PADDING] == wanted
        assert found.encode(align=False) == header


@given(any_message(), addresses, addresses)
def test_checksums_fit_and_no_other_does(
    message: messages.Message, source: bytes, destination: bytes
) -> None:
    header = messages.with_checksum(message.encode(), source, destination)
    packet = packets.parse_payload(packets.MOBILITY, header, source, destination)
    assert packet.checksum_ok()
    assert bytes(packet.payload) == header
    other = bytearray(header)
    other[4] ^= 1
    assert not packets.parse_payload(packets.MOBILITY, other, source, destination).checksum_ok()


@given(st.binary(min_size=20, max_size=100), addresses, addresses, any_message(), st.data())
def test_a_signed_message_verifies_and_a_changed_one_does_not(
    kcn: bytes, home: bytes, care_of: bytes, message: messages.Message, data: st.DataObject
) -> None:
    kbm = keys.binding_management_key(
        keys.home_keygen_token(kcn, home, b"12345678"),
        keys.care_of_keygen_token(kcn, care_of, b"12345678"),
    )
    message.options.append((messages.BINDING_AUTHORIZATION_DATA, bytes(12)))
    try:
        header = bytearray(message.encode())
        header[-12:] = keys.authenticator(kbm, care_of, PEER, header)
    except ValueError:  # alignment of the message's end; BU and BA alone carry the option
        assume(False)
    assert keys.verify(kbm, care_of, PEER, header)
    at = data.draw(st.integers(0, len(header) - 1))
    header[at] ^= 1 << data.draw(st.integers(0, 7))
    assert keys.verify(kbm, care_of, PEER, header) == (at in (4, 5))


@given(addresses, addresses, addresses, st.integers(0, 65535), st.binary(max_size=64))
def test_udp_comes_back(home: bytes, care_of: bytes, peer: bytes, port: int, data: bytes) -> None:
    datagram = packets.udp(home, peer, port, 65535 - port, data)
    payload = packets.home_address_option(home, packets.UDP) + datagram
    header = packets.ipv6_header(care_of, peer, packets.DESTINATION_OPTIONS, len(payload))
    packet = packets.parse(header + payload)
    assert (packet.logical_source, packet.logical_destination) == (home, peer)
    assert packet.checksum_ok() and bytes(packet.payload) == datagram
    assert packet.source == care_of


@st.composite
def damaged_packets(draw: st.DrawFn) -> bytes:
    """A packet with some octets changed, and perhaps its end gone."""
    packet = bytearray(draw(st.sampled_from(PACKETS)))
    for _ in range(draw(st.integers(1, 4))):
        packet[draw(st.integers(0, len(packet) - 1))] = draw(st.integers(0, 255))
    return bytes(packet[: draw(st.integers(0, len(packet)))] if draw(st.booleans()) else packet)


@given(st.one_of(st.binary(max_size=200), damaged_packets()))
def test_any_octets_are_read_or_are_a_violation(octets: bytes) -> None:
    for read in (packets.parse, messages.decode):
        with contextlib.suppress(Violation):
            read(octets)
    for first in (0, 43, 44, 60, 135):
        with contextlib.suppress(Violation):
            packets.parse_payload(first, octets, PEER, PEER)


@given(st.one_of(st.binary(max_size=200), damaged_packets()))
def test_any_octets_are_described_and_shown(octets: bytes) -> None:
    from rich.console import Console

    out = io.StringIO()
    show(describe(octets), Console(file=out, width=80))
    assert all(len(line) <= 80 for line in out.getvalue().splitlines())


@given(st.lists(st.binary(min_size=1, max_size=80), min_size=1), st.sampled_from(["", " ", ":"]))
def test_hexadecimal_lines_come_back(found: list[bytes], between: str) -> None:
    text = "\n".join("0x" + (between.join(f"{octet:02x}" for octet in p)) for p in found)
    assert list(packets_in(io.StringIO(text))) == found


@given(st.text(max_size=200))
def test_any_text_is_hexadecimal_or_bad_input(text: str) -> None:
    with contextlib.suppress(BadInputError):
        list(packets_in(io.StringIO(text)))


@settings(max_examples=200)
@given(st.booleans(), st.data())
def test_a_damaged_capture_is_bad_input_at_worst(
    next_generation: bool, data: st.DataObject
) -> None:
    out = io.BytesIO()
    write_capture(out, PACKETS[40:45], next_generation=next_generation)
    capture = bytearray(out.getvalue())
    for _ in range(data.draw(st.integers(1, 3))):
        # Most of what can go wrong is in the headers.
        at = data.draw(st.integers(4, 200) | st.integers(4, len(capture) - 1))
        capture[at] = data.draw(st.integers(0, 255))
    reading = Reading()
    list(reading.capture(io.BytesIO(capture)))
    end = data.draw(st.integers(0, len(capture) - 1))
    list(Reading().capture(io.BytesIO(capture[:end])))
