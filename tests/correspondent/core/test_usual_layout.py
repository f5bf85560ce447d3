"""What is read and laid out at fixed places is what the general reader and writer make of it."""

from hypothesis import given, settings
from hypothesis import strategies as st
from support.nodes import CORRESPONDENT, MobileNode

from mip6 import addresses, keys, messages, packets
from mip6.errors import Violation
from roamkey.correspondent.core import inside, replies, updates
from roamkey.correspondent.core.endpoints import Endpoint
from roamkey.correspondent.core.entries import Inbound

address = st.binary(min_size=16, max_size=16)
number = st.integers(0, 0xFFFF)
ENDPOINTS = (
    Endpoint(addresses.parse("198.51.100.7"), 40001, addresses.parse("192.0.2.1")),
    Endpoint(addresses.parse("2001:db8:5::5"), 5000, addresses.parse("2001:db8:1111::1")),
)


def read_by_all(inbound):
    """The update as the reader of all packets and messages has it; None for anything else."""
    try:
        packet = packets.parse_payload(
            inbound.next_header, inbound.payload, inbound.source, CORRESPONDENT
        )
        if packet.protocol != packets.MOBILITY or not packet.checksum_ok():
            return None
        message = messages.decode(packet.payload)
    except Violation:
        return None
    if message.kind != messages.BINDING_UPDATE:
        return None
    return updates.from_message(packet, message)


@given(home=address, source=address, sequence=number, flags=number, lifetime=number)
def test_an_update_of_the_usual_layout_is_recognized(home, source, sequence, flags, lifetime):
    node = MobileNode(1)
    node.home = home
    inbound = node.update(sequence, source, lifetime=lifetime, flags=flags)
    usual = updates.read_usual(inbound, CORRESPONDENT)
    assert usual is not None
    assert usual == read_by_all(inbound)
    assert usual[2:] == (sequence, flags, lifetime, None, True, None)


@settings(max_examples=400)
@given(
    mask=st.lists(st.tuples(st.integers(0, 55), st.integers(1, 255)), min_size=1, max_size=3),
    right_checksum=st.booleans(),
)
def test_of_any_other_octets_both_read_the_same_or_one_declines(mask, right_checksum):
    made = MobileNode(1).update(7, MobileNode(2).home)
    octets = bytearray(made.payload)
    for at, flip in mask:
        octets[at] ^= flip
    if right_checksum:
        octets[24:] = messages.with_checksum(octets[24:], bytes(octets[8:24]), CORRESPONDENT)
    inbound = Inbound(made.next_header, bytes(octets), made.source)
    usual = updates.read_usual(inbound, CORRESPONDENT)
    assert usual is None or usual == read_by_all(inbound)


def inside_by_all(inbound):
    """The same of an update inside UDP."""
    try:
        packet = inside.read(inbound, CORRESPONDENT)
        if packet.protocol != packets.MOBILITY:
            return None
        message = messages.decode(packet.payload)
        if message.kind != messages.BINDING_UPDATE:
            return None
        return inside.update_of(packet, message, inbound.source)
    except Violation:
        return None


@given(
    port=st.integers(1, 0xFFFF), care_of=address, sequence=number, flags=number, lifetime=number,
    endpoint=st.sampled_from(ENDPOINTS),
)  # fmt: skip
def test_an_update_inside_udp_is_recognized(port, care_of, sequence, flags, lifetime, endpoint):
    endpoint = endpoint._replace(port=port)
    flags |= messages.FLAG_UDP_ENCAPSULATION
    if addresses.is_ipv4(endpoint.address):
        care_of = addresses.IPV4_MAPPED + care_of[12:]
    made = MobileNode(1).inside(sequence, endpoint, care_of, flags=flags, lifetime=lifetime)
    usual = inside.read_usual(made, CORRESPONDENT)
    assert usual is not None and usual == inside_by_all(made)
    assert usual[2:] == (sequence, flags, lifetime, care_of, True, None)


@settings(max_examples=600)
@given(
    mask=st.lists(st.tuples(st.integers(0, 87), st.integers(1, 255)), min_size=1, max_size=3),
    right_checksum=st.booleans(),
    endpoint=st.sampled_from(ENDPOINTS),
    cut=st.sampled_from([0, 0, 0, 0, 1, 8, 30]),
)
def test_of_other_octets_inside_udp_both_read_the_same(mask, right_checksum, endpoint, cut):
    made = MobileNode(1).inside(7, endpoint)
    octets = bytearray(made.payload[: len(made.payload) - cut])
    for at, flip in mask:
        octets[at % len(octets)] ^= flip
    if right_checksum:
        octets[40:] = messages.with_checksum(octets[40:], bytes(octets[8:24]), CORRESPONDENT)
    inbound = made._replace(payload=bytes(octets))
    usual = inside.read_usual(inbound, CORRESPONDENT)
    assert usual is None or usual == inside_by_all(inbound)


def test_another_length_or_header_is_declined():
    made = MobileNode(1).update(7, MobileNode(2).home)
    for octets in range(len(made.payload)):
        cut = made._replace(payload=made.payload[:octets])
        assert updates.read_usual(cut, CORRESPONDENT) is None
    assert (
        updates.read_usual(made._replace(payload=made.payload + bytes(8)), CORRESPONDENT) is None
    )
    for header in (packets.HOP_BY_HOP, packets.ROUTING, packets.MOBILITY):
        assert updates.read_usual(made._replace(next_header=header), CORRESPONDENT) is None


@given(
    home=address,
    source=address.filter(lambda octets: octets[0] != 0xFF and any(octets)),
    care_of=address,
    kbm=st.binary(min_size=20, max_size=20),
    status=st.integers(0, 255),
    sequence=number,
    lifetime=number,
    at_home=st.booleans(),
)
def test_an_acknowledgement_is_as_encoded(
    home, source, care_of, kbm, status, sequence, lifetime, at_home
):
    home = source if at_home else home
    update = Inbound(packets.DESTINATION_OPTIONS, b"", source, 3)
    reply = replies.acknowledgement(
        CORRESPONDENT, update, home, care_of, kbm, status, sequence, 4 * lifetime + 3
    )
    header = messages.Message(
        messages.BINDING_ACKNOWLEDGEMENT,
        [(messages.BINDING_AUTHORIZATION_DATA, bytes(12))],
        status=status,
        sequence=sequence,
        lifetime=lifetime,
    ).encode()
    header = header[:-12] + keys.authenticator(kbm, care_of, CORRESPONDENT, header)
    header = messages.with_checksum(header, CORRESPONDENT, home)
    assert reply.destination == source
    if home == source:
        assert (reply.next_header, reply.payload) == (packets.MOBILITY, header)
    else:
        route = packets.routing_header(home, packets.MOBILITY)
        assert (reply.next_header, reply.payload) == (packets.ROUTING, route + header)
