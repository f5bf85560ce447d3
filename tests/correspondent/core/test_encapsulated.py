"""What comes inside UDP: the checks, what is answered, and how long that may be."""

import random
from ipaddress import IPv6Address

import pytest
from support.nodes import CORRESPONDENT, NOW

from mip6 import addresses, messages, packets
from roamkey.correspondent.core import triage
from roamkey.correspondent.core.endpoints import Endpoint, text, unpack, way
from roamkey.correspondent.core.entries import ENCAPSULATED, encapsulated
from roamkey.correspondent.core.refresh import ALWAYS, Refresher

LOCAL4 = addresses.parse("192.0.2.1")
LOCAL6 = addresses.parse("2001:db8:1111::1")
NAT = Endpoint(addresses.parse("198.51.100.7"), 40001, LOCAL4)
PRIVATE = addresses.parse("192.168.1.5")
SIX = Endpoint(addresses.parse("2001:db8:5::5"), 5000, LOCAL6)
NATIVE = IPv6Address("2001:db8:1::1").packed


def assert_dropped(scene, packet, reason):
    verdict = scene.send(packet)
    assert (verdict.outcome, verdict.reason) == ("dropped", reason)
    assert verdict.change is None
    return verdict


def data(node, endpoint, octets=24):
    return node.carried(
        endpoint,
        packets.UDP,
        packets.udp(node.home, node.correspondent, 5, 7, bytes(octets - 8)),
    )


def errors(reply):
    """Status and home address of a Binding Error, and where it goes."""
    packet = packets.parse_encapsulated(reply.payload)
    assert packet.checksum_ok() and packet.source == CORRESPONDENT
    message = messages.decode(packet.payload)
    assert message.kind == messages.BINDING_ERROR
    assert message.home_address == packet.destination
    return message.status, packet.destination, unpack(reply.endpoint)


def test_an_endpoint_packs():
    assert len(NAT.packed) == 34 and unpack(NAT.packed) == NAT
    assert [way(one) for one in (b"", SIX.packed, NAT.packed)] == ["native", "udp6", "udp4"]
    assert text(NAT.packed) == "198.51.100.7:40001"
    assert text(SIX.packed) == "[2001:db8:5::5]:5000" and text(b"") == ""


@pytest.mark.parametrize(
    ("endpoint", "care_of"), [(NAT, PRIVATE), (NAT, None), (SIX, None), (SIX, NATIVE)]
)
def test_an_update_binds_the_endpoint_and_is_answered_there(scene, endpoint, care_of):
    node = scene.node()
    verdict = scene.send(node.inside(0, endpoint, care_of))
    assert (verdict.outcome, verdict.endpoint) == ("accepted", endpoint.packed)
    binding = scene.cache.binding(node.home, scene.now)
    care_of = care_of or endpoint.address
    assert (binding.care_of_address, binding.endpoint) == (care_of, endpoint.packed)
    reply = verdict.reply
    assert (reply.next_header, reply.endpoint) == (ENCAPSULATED, endpoint.packed)
    answer = node.read(reply, care_of)
    assert (answer.status, answer.sequence, answer.lifetime) == (messages.ACCEPTED, 0, 100)
    told = answer.option(messages.NAT_DETECTION)
    assert told == (None if care_of == endpoint.address else b"\0\0\0\0\0\x19")
    assert scene.cache.bound_by_way()[way(endpoint.packed)] == 1
    scene.reopen()
    assert scene.cache.binding(node.home, scene.now) == binding
    gone = scene.send(node.inside(1, endpoint, care_of, lifetime=0))
    assert gone.outcome == "removed" and scene.cache.bound_by_way()[way(endpoint.packed)] == 0
    node.read(gone.reply, care_of, removes=True)


def test_how_often_to_send_is_a_setting(scene):
    node = scene.node()
    scene.start(nat_refresh_s=7)
    answer = node.read(scene.send(node.inside(0, NAT, PRIVATE)).reply, PRIVATE)
    assert answer.option(messages.NAT_DETECTION) == b"\0\0\0\0\0\x07"


def test_an_update_says_how_it_came_and_where_from(scene):
    node = scene.node()
    four = (messages.IPV4_CARE_OF_ADDRESS, bytes(2) + PRIVATE[12:])
    six = (messages.ALTERNATE_CARE_OF_ADDRESS, NATIVE)
    for endpoint, options in (
        (NAT, []), (NAT, [six]), (NAT, [four, six]), (SIX, []), (SIX, [four]), (SIX, [four, six])
    ):  # fmt: skip
        packet = node.inside(0, endpoint, PRIVATE if endpoint is NAT else None, options=options)
        assert assert_dropped(scene, packet, "care-of option").reply is None
    for endpoint in (NAT, SIX):
        packet = node.inside(0, endpoint, flags=messages.FLAG_ACKNOWLEDGE)
        assert assert_dropped(scene, packet, "encapsulation flag").reply is None
    assert scene.cache.bound() == 0
    reserved = (four[0], b"\x01\x02" + PRIVATE[12:])
    assert scene.send(node.inside(0, NAT, PRIVATE, options=[reserved])).outcome == "accepted"


def test_the_checks_are_those_of_native_updates(scene):
    node = scene.node(1, generations=2)
    assert scene.send(node.inside(5, NAT, PRIVATE)).outcome == "accepted"
    again = scene.send(node.inside(5, NAT, PRIVATE))
    assert (again.outcome, again.status) == ("refused", messages.SEQUENCE_OUT_OF_WINDOW)
    assert node.read(again.reply, PRIVATE).sequence == 5
    home = messages.FLAG_HOME_REGISTRATION | messages.FLAG_UDP_ENCAPSULATION
    assert scene.send(node.inside(6, NAT, PRIVATE, flags=home)).status == 131
    assert scene.send(node.inside(7, SIX)).outcome == "accepted"
    assert scene.send(node.inside(8, NAT, PRIVATE, generation=1)).generation == 1
    assert_dropped(scene, node.inside(9, NAT, PRIVATE), "authenticator")
    assert_dropped(scene, scene.node_type(9).inside(0, NAT, PRIVATE), "no key")
    native = scene.send(node.update(9, NATIVE, generation=1))
    assert native.outcome == "accepted" and native.reply.endpoint == b""
    assert scene.cache.bound_by_way() == {"native": 1, "udp6": 0, "udp4": 0}


@pytest.mark.parametrize("care_of", ["0.0.0.0", "127.0.0.1", "224.0.0.1", "255.255.255.255"])
def test_a_care_of_address_that_no_host_has_is_refused(scene, care_of):
    node = scene.node()
    verdict = scene.send(node.inside(0, NAT, addresses.parse(care_of)))
    assert (verdict.outcome, verdict.status) == ("refused", messages.INVALID_CARE_OF_ADDRESS)


def test_our_own_host_and_a_home_address_are_no_endpoints(scene):
    node, other = scene.node(), scene.node(2)
    scene.start()
    own = addresses.parse("203.0.113.1")
    scene.cache.host_has(frozenset({own, LOCAL6, PRIVATE}))
    bad = [Endpoint(one, 4191, LOCAL4) for one in (own, LOCAL6, other.home, CORRESPONDENT)]
    for number, endpoint in enumerate(bad):
        verdict = scene.send(node.inside(number, endpoint))
        assert verdict.status == messages.INVALID_CARE_OF_ADDRESS, endpoint
    assert scene.cache.bound() == 0
    # Another program's port is a node's, a virtual board's: what is sent there ends there.
    verdict = scene.send(node.inside(8, Endpoint(own, 50000, own), own))
    assert verdict.outcome == "accepted" and verdict.reply.endpoint[:16] == own
    assert scene.send(node.inside(9, Endpoint(LOCAL6, 50000, LOCAL6))).outcome == "accepted"
    assert scene.cache.binding(node.home, scene.now).endpoint[:16] == LOCAL6
    # a private address behind a NAT may be one that our host has as well
    assert scene.send(node.inside(10, NAT, PRIVATE)).outcome == "accepted"
    scene.cache.host_has(frozenset({NAT.address}))
    assert scene.cache.binding(node.home, scene.now) is not None
    assert scene.send(node.inside(11, NAT._replace(port=4191), PRIVATE)).status == 174


@pytest.mark.parametrize(
    "source", ["127.0.0.1", "224.0.0.1", "0.0.0.0", "169.254.1.1", "::1", "fe80::1", "ff02::1"]
)
def test_what_can_not_be_answered_is_dropped(scene, source):
    node = scene.node()
    endpoint = Endpoint(addresses.parse(source), 4191, LOCAL4)
    assert assert_dropped(scene, node.inside(0, endpoint, PRIVATE), "outer source").reply is None
    assert assert_dropped(scene, node.keepalive(endpoint), "outer source").reply is None
    assert_dropped(scene, node.keepalive(NAT._replace(port=0)), "outer source")


def test_what_is_wrong_with_the_inner_packet_is_told(scene):
    node = scene.node()
    good = node.inside(0, NAT, PRIVATE).payload

    def reason(octets):
        return scene.send(encapsulated(NAT.packed, bytes(octets))).reason

    assert reason(good[:-1]) == reason(good[:20]) == reason(b"") == "truncated"
    assert reason(good + b"\0") == "length"
    assert reason(b"\x45" + good[1:]) == "version"
    assert reason(good[:7] + b"\0" + good[8:]) == "hop limit"
    assert reason(good[:6] + b"\x2c" + good[7:]) == "fragment"
    assert reason(good[:6] + b"\x3c" + good[7:]) == "encapsulated"
    assert reason(good[:6] + b"\x32" + good[7:]) == "protocol"
    assert reason(good[:24] + NATIVE + good[40:]) == "destination"
    assert reason(good[:8] + addresses.parse("ff02::1") + good[24:]) == "home address"
    assert reason(good[:45] + b"\xff" + good[46:]) == "checksum"
    assert scene.send(encapsulated(NAT.packed, good)).outcome == "accepted"


def test_data_and_keepalives_count_from_the_endpoint_alone(scene):
    node, stranger = scene.node(), scene.node_type(9)
    scene.send(node.inside(0, NAT, PRIVATE))
    assert scene.send(data(node, NAT)).outcome == "data"
    kept = scene.send(node.keepalive(NAT))
    assert (kept.outcome, kept.reply) == ("keepalive", None)
    elsewhere = NAT._replace(local=addresses.parse("192.0.2.9"))
    assert scene.send(data(node, elsewhere)).outcome == "data"
    for endpoint in (NAT._replace(port=40002), NAT._replace(address=LOCAL4), SIX):
        for packet in (data(node, endpoint), node.keepalive(endpoint)):
            verdict = assert_dropped(scene, packet, "no binding")
            assert errors(verdict.reply) == (1, node.home, endpoint)
    verdict = assert_dropped(scene, stranger.keepalive(NAT), "no binding")
    assert errors(verdict.reply) == (1, stranger.home, NAT)
    # data without UDP of a node that is behind it, and the other way round
    option = packets.home_address_option(node.home, packets.UDP)
    away = node.update(1, NAT.address)._replace(payload=option + bytes(8))
    assert scene.send(away).reason == "no binding"
    scene.send(node.update(1, NATIVE))
    assert_dropped(scene, data(node, Endpoint(NATIVE, 5000, LOCAL6)), "no binding")


def test_a_stranger_is_told_at_a_limited_rate_and_a_short_one_never(scene):
    node = scene.node_type(9)
    replies = [scene.send(node.keepalive(NAT)).reply for _ in range(100)]
    assert 5 < sum(one is not None for one in replies) < 20
    short = node.carried(SIX, packets.NO_NEXT_HEADER, b"")
    assert all(scene.send(short).reply is None for _ in range(10))
    assert scene.send(node.keepalive(SIX)).reply is not None, "the short ones spent the measure"


def test_strangers_elsewhere_do_not_spend_the_measure_of_those_inside_udp(scene):
    node = scene.node_type(9)
    option = packets.home_address_option(node.home, packets.UDP)
    for number in range(2000):
        source = IPv6Address((0x20010DB8_0077 << 80) | number + 1).packed
        native = scene.send(node.update(0, source)._replace(payload=option + bytes(8)))
    assert native.reason == "no binding" and native.reply is None
    assert scene.send(node.keepalive(NAT)).reply is not None
    assert scene.cache.withheld() > 500


def test_an_unknown_message_is_told_so(scene):
    node = scene.node()
    scene.send(node.inside(0, NAT, PRIVATE))
    unknown = bytes((59, 2, 99, 0, 0, 0)) + bytes(18)
    unknown = messages.with_checksum(unknown, node.home, node.correspondent)
    verdict = assert_dropped(scene, node.carried(NAT, packets.MOBILITY, unknown), "message type")
    assert errors(verdict.reply) == (2, node.home, NAT)
    verdict = assert_dropped(scene, node.carried(SIX, packets.MOBILITY, unknown), "no binding")
    assert errors(verdict.reply) == (1, node.home, SIX)
    error = messages.Message(messages.BINDING_ERROR, status=1, home_address=node.home).encode()
    error = messages.with_checksum(error, node.home, node.correspondent)
    stray = node.carried(SIX, packets.MOBILITY, error)
    assert assert_dropped(scene, stray, "message not for a correspondent").reply is None


def test_nothing_longer_than_its_cause_is_sent_before_a_key_was_shown(scene):
    """Whatever comes, of whatever length, from many places: each has a measure of its own."""
    chance, node = random.Random(1), scene.node()
    scene.send(node.inside(0, NAT, PRIVATE))
    kinds = [packets.MOBILITY, packets.UDP, packets.ICMPV6, packets.NO_NEXT_HEADER, 6]
    answered = 0
    for number in range(3000):
        endpoint = Endpoint(LOCAL4[:12] + chance.randbytes(4), 1 + number, LOCAL4)
        payload = chance.randbytes(8 * chance.randrange(12) + chance.randrange(2))
        protocol = chance.choice(kinds)
        if protocol == packets.MOBILITY and len(payload) >= 8:
            kind, length = chance.choice([0, 1, 2, 3, 4, 5, 6, 7, 8, 99]), len(payload) // 8
            header = bytes((59, length - 1, kind, 0, 0, 0)) + bytes(8 * length - 6)
            payload = messages.with_checksum(header, node.home, node.correspondent)
        made = node.carried(endpoint, protocol, payload)
        scene.now += 10
        verdict = scene.send(made)
        assert verdict.outcome == "dropped"
        if verdict.reply is not None:
            answered += 1
            assert len(verdict.reply.payload) <= len(made.payload)
            assert verdict.reply.endpoint == made.endpoint
    assert answered > 500


def test_a_node_behind_udp_is_asked_for_its_renewal_there(scene):
    node = scene.node()
    scene.send(node.inside(0, NAT, PRIVATE))
    asking = Refresher(CORRESPONDENT, scene.cache.binding, ALWAYS)
    asking.registered(node.home, NOW)
    (request,) = asking.due(NOW + 399_000)
    packet = packets.parse_encapsulated(request.payload)
    assert (packet.source, packet.destination) == (CORRESPONDENT, node.home)
    assert packet.checksum_ok() and request.endpoint == NAT.packed
    assert messages.decode(packet.payload).kind == messages.BINDING_REFRESH_REQUEST


@pytest.mark.parametrize(("endpoint", "care_of"), [(NAT, PRIVATE), (SIX, None)])
def test_a_nodes_own_update_is_found_in_a_flood(scene, endpoint, care_of):
    chance, node = random.Random(3), scene.node()
    other = scene.node(2)
    scene.send(node.inside(7, endpoint, care_of))
    own = node.inside(8, endpoint, care_of)
    burst = [
        other.inside(0, NAT), other.keepalive(NAT), scene.node_type(99).keepalive(SIX)
    ]  # fmt: skip
    for number in range(3000):
        forged = own.payload[:-12] + chance.randbytes(12)
        forged = forged[:46] + chance.randbytes(2) + forged[48:]
        source = Endpoint(endpoint.address[:14] + chance.randbytes(2), 1 + number, LOCAL4)
        burst.append(encapsulated(source.packed, forged))
        burst.append(scene.node_type(1000 + number).keepalive(source))
    burst.insert(4000, own)
    found, drops = triage.choose(burst, scene.cache.peer)
    assert own in found and burst[0] in found
    assert len(found) < 300 and drops.total() > 5000
    verdicts = scene.responder.process(found, scene.now)
    assert [v.sequence for v in verdicts if v.home_address == node.home and v.change] == [8]
