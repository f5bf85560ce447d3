"""Home registrations: RFC 6275 section 10.3, authenticated by RFC 4285's MN-HA option."""

import random
from ipaddress import IPv6Address

import pytest
from support.homes import AGENT, FLAGS, HomeNode, HomeScene
from support.nodes import CORRESPONDENT, MobileNode, Scene

from mip6 import addresses, messages, packets
from roamkey.correspondent.core.endpoints import Endpoint
from roamkey.correspondent.core.entries import Inbound
from roamkey.home_agent.core import cache

CARE_OF = IPv6Address("2001:db8:1::1").packed
CARE_OF_2 = IPv6Address("2001:db8:2::2").packed
NAT = Endpoint(addresses.parse("198.51.100.7"), 40001, addresses.parse("192.0.2.1"))


def bound(scene, node):
    found = scene.cache.binding(node.home, scene.now)
    return found and found.care_of_address


def test_the_first_waits_for_duplicate_address_detection(scene):
    node = scene.node()
    verdict = scene.send(node.update(0, CARE_OF))
    assert (verdict.outcome, verdict.reply, verdict.change.binding) == ("waiting", None, None)
    assert bound(scene, node) is None
    assert scene.cache.to_detect(scene.now) == [node.home]
    assert scene.cache.to_detect(scene.now) == [], "once"
    waited = scene.cache.detected(node.home, True, scene.now)
    (verdict,) = scene.responder.process([waited], scene.now)
    answer = node.read(verdict.reply, CARE_OF)
    assert (answer.status, answer.sequence, answer.lifetime) == (0, 0, 100)
    assert (verdict.reply.next_header, bound(scene, node)) == (packets.ROUTING, CARE_OF)


def test_later_ones_are_answered_at_once(scene):
    node = scene.node()
    scene.register(node, 0, CARE_OF)
    for sequence, care_of in ((1, CARE_OF), (2, CARE_OF_2)):
        verdict = scene.send(node.update(sequence, care_of))
        assert node.read(verdict.reply, care_of).status == 0
        assert bound(scene, node) == care_of
    assert scene.cache.to_detect(scene.now) == []


def test_a_retransmission_meanwhile_takes_the_place_of_the_first(scene):
    node = scene.node()
    scene.send(node.update(4, CARE_OF))
    assert scene.cache.to_detect(scene.now) == [node.home]
    assert scene.send(node.update(4, CARE_OF)).reason == "waiting already"
    assert scene.send(node.update(3, CARE_OF_2)).reason == "waiting already"
    assert scene.send(node.update(5, CARE_OF_2)).outcome == "waiting"
    assert scene.cache.to_detect(scene.now) == [], "no second detection"
    assert scene.cache.waiting() == 1
    waited = scene.cache.detected(node.home, True, scene.now)
    (verdict,) = scene.responder.process([waited], scene.now)
    assert node.read(verdict.reply, CARE_OF_2).sequence == 5
    assert scene.send(node.update(4, CARE_OF)).status == messages.SEQUENCE_OUT_OF_WINDOW


def test_a_duplicate_is_refused_and_its_number_is_used(scene):
    node = scene.node()
    scene.send(node.update(0, CARE_OF))
    (verdict,) = scene.detect(is_free=False)
    assert (verdict.reason, verdict.outcome) == ("duplicate address", "refused")
    assert node.read(verdict.reply, CARE_OF).status == messages.DUPLICATE_ADDRESS
    assert scene.send(node.update(1, CARE_OF)).status == messages.DUPLICATE_ADDRESS
    assert scene.send(node.update(1, CARE_OF)).status == messages.SEQUENCE_OUT_OF_WINDOW
    scene.now += 3_000
    scene.responder.expire(scene.now)
    assert scene.register(node, 2, CARE_OF).status == 0, "looked at anew"


def test_what_waits_is_bounded_and_forgotten(scene, monkeypatch):
    monkeypatch.setattr(cache, "WAITING_MAX", 2)
    nodes = [scene.node(number) for number in (1, 2, 3)]
    for node in nodes[:2]:
        assert scene.send(node.update(0, CARE_OF)).outcome == "waiting"
    verdict = scene.send(nodes[2].update(0, CARE_OF))
    assert nodes[2].read(verdict.reply, CARE_OF).status == messages.INSUFFICIENT_RESOURCES
    assert len(scene.cache.to_detect(scene.now)) == 2
    scene.now += 3_000
    assert len(scene.cache.to_detect(scene.now)) == 2, "the link didn't answer: once more"
    scene.now += 8_000
    scene.responder.expire(scene.now)
    assert scene.cache.waiting() == 0
    assert scene.cache.detected(nodes[0].home, True, scene.now) is None


def test_de_registration_from_away_and_from_home(scene):
    node = scene.node()
    scene.register(node, 0, CARE_OF)
    verdict = scene.send(node.update(1, CARE_OF, lifetime=0))
    answer = node.read(verdict.reply, CARE_OF)
    assert (verdict.outcome, answer.status, answer.lifetime) == ("removed", 0, 0)
    assert (verdict.reply.destination, verdict.reply.next_header) == (CARE_OF, packets.ROUTING)
    scene.register(node, 2, CARE_OF_2)
    verdict = scene.send(node.update(3, node.home, lifetime=0, away=False))
    assert node.read(verdict.reply, node.home).status == 0
    assert (verdict.reply.destination, verdict.reply.next_header) == (node.home, packets.MOBILITY)
    assert bound(scene, node) is None
    again = scene.send(node.update(4, node.home, lifetime=0, away=False))
    assert node.read(again.reply, node.home).status == messages.NOT_HOME_AGENT


def test_de_registration_cancels_what_waits(scene):
    node = scene.node()
    scene.send(node.update(0, CARE_OF))
    assert scene.send(node.update(1, CARE_OF, lifetime=0)).status == messages.NOT_HOME_AGENT
    (verdict,) = scene.detect()
    assert (verdict.status, bound(scene, node)) == (messages.SEQUENCE_OUT_OF_WINDOW, None)


@pytest.mark.parametrize(
    ("flags", "status"),
    [
        (messages.FLAG_ACKNOWLEDGE, messages.TYPE_CHANGE_DISALLOWED),
        (FLAGS | messages.FLAG_LINK_LOCAL, messages.REASON_UNSPECIFIED),
    ],
)
def test_flags_that_are_refused(scene, flags, status):
    node = scene.node()
    verdict = scene.send(node.update(0, CARE_OF, flags=flags))
    assert node.read(verdict.reply, CARE_OF).status == status
    assert scene.send(node.update(0, CARE_OF)).status == messages.SEQUENCE_OUT_OF_WINDOW


def test_the_k_flag_and_an_absent_a_flag_are_answered(scene):
    node = scene.node()
    flags = messages.FLAG_HOME_REGISTRATION | messages.FLAG_KEY_MANAGEMENT
    assert node.read(scene.register(node, 0, CARE_OF, flags=flags).reply, CARE_OF).status == 0


def test_a_home_address_elsewhere_is_refused(scene):
    node = HomeNode(1)
    node.home = IPv6Address("2001:db8:b::1").packed
    scene.provision(node)
    verdict = scene.send(node.update(0, CARE_OF))
    assert node.read(verdict.reply, CARE_OF).status == messages.NOT_HOME_SUBNET


def test_refused_by_the_administrator(scene):
    node = scene.node()
    scene.registry.refuse(node.home)
    verdict = scene.send(node.update(0, CARE_OF))
    assert node.read(verdict.reply, CARE_OF).status == messages.ADMINISTRATIVELY_PROHIBITED


@pytest.mark.parametrize("place", [AGENT, IPv6Address("2001:db8:a::2").packed])
def test_care_of_addresses_that_would_lead_back(scene, place):
    scene.node(2)
    node = scene.node(1)
    verdict = scene.send(node.update(0, CARE_OF, alternate=place))
    assert verdict.status == messages.INVALID_CARE_OF_ADDRESS


def test_no_more_bindings_than_allowed(scene):
    scene.start(bindings_max=1)
    first, second = scene.node(1), scene.node(2)
    scene.register(first, 0, CARE_OF)
    assert scene.send(second.update(0, CARE_OF)).status == messages.INSUFFICIENT_RESOURCES


def test_a_later_generation_is_current_from_the_first_message_on(scene):
    node = scene.node(generations=3)
    scene.register(node, 7, CARE_OF)
    verdict = scene.send(node.update(0, CARE_OF, generation=1))
    assert node.read(verdict.reply, CARE_OF, generation=1).status == 0
    late = scene.send(node.update(8, CARE_OF))
    assert (late.outcome, late.reason) == ("dropped", "authenticator")
    scene.reopen()
    assert scene.send(node.update(8, CARE_OF)).reason == "authenticator"


def test_a_generation_that_waits_has_retired_the_earlier(scene):
    node = scene.node(generations=2)
    assert scene.send(node.update(0, CARE_OF, generation=1)).outcome == "waiting"
    scene.reopen()
    assert scene.send(node.update(9, CARE_OF)).reason == "authenticator"
    answer = scene.register(node, 0, CARE_OF, generation=1).reply
    assert node.read(answer, CARE_OF, generation=1).status == 0


@pytest.mark.parametrize("more", [{"spi": 257}, {"spi": 0}, {"spi": 1 << 31}, {"subtype": 2}])
def test_another_key_or_kind_of_authentication_is_dropped(scene, more):
    node = scene.node(generations=2)
    verdict = scene.send(node.update(0, CARE_OF, **more))
    assert (verdict.outcome, verdict.reply, verdict.change) == ("dropped", None, None)
    assert scene.cache.to_detect(scene.now) == []


def test_a_binding_authorized_as_at_a_correspondent_is_dropped(scene):
    node = scene.node()
    other = MobileNode(1, correspondent=AGENT)
    other.kcns = node.kcns
    assert scene.send(other.update(0, CARE_OF, flags=FLAGS)).reason == "authorization data"


def test_each_key_has_its_use(tmp_path):
    """A correspondent at the same address doesn't know what was provisioned for a home agent."""
    peer = Scene(tmp_path / "registry.sqlite")
    node = HomeNode(1, agent=CORRESPONDENT)
    peer.provision(node)
    other = MobileNode(1)
    other.kcns = node.kcns
    assert peer.send(other.update(0, CARE_OF)).reason == "no key"
    peer.registry.close()


def test_inside_udp_from_behind_a_nat(scene):
    node = scene.node()
    private = addresses.parse("192.168.1.5")
    assert scene.send(node.inside(0, NAT, private)).outcome == "waiting"
    (verdict,) = scene.detect()
    answer = node.read(verdict.reply, private)
    assert (answer.status, verdict.reply.endpoint) == (0, NAT.packed)
    assert scene.cache.binding(node.home, scene.now).endpoint == NAT.packed
    assert scene.send(node.keepalive(NAT)).outcome == "keepalive"
    moved = NAT._replace(port=40002)
    unbound = scene.send(node.keepalive(moved))
    assert (unbound.reason, unbound.reply.endpoint) == ("no binding", moved.packed)
    assert len(unbound.reply.payload) <= packets.KEEPALIVE_OCTETS


def test_restart_restores_bindings_without_detection(scene):
    node = scene.node()
    scene.register(node, 0, CARE_OF)
    scene.reopen()
    assert bound(scene, node) == CARE_OF
    assert node.read(scene.send(node.update(1, CARE_OF_2)).reply, CARE_OF_2).status == 0
    scene.now += 401_000
    scene.responder.expire(scene.now)
    assert scene.send(node.update(2, CARE_OF_2)).outcome == "waiting", "nobody defended it"


def test_every_flipped_bit_and_every_truncation_is_refused(scene):
    """But in the checksum, and in what pads the Home Address option, which no MAC covers."""
    node = scene.node()
    good = node.update(9, CARE_OF)
    scene.register(node, 8, CARE_OF)
    octets = bytearray(good.payload)
    unsigned = range(packets.EXTENSION_OCTETS + 4, packets.EXTENSION_OCTETS + 6)
    for at in (0, 1, *range(6, len(octets))):
        for bit in range(8):
            octets[at] ^= 1 << bit
            if at not in unsigned and at >= packets.EXTENSION_OCTETS:
                header = bytes(octets[packets.EXTENSION_OCTETS :])
                header = messages.with_checksum(header, node.home, AGENT)
                whole = bytes(octets[: packets.EXTENSION_OCTETS]) + header
            else:
                whole = bytes(octets)
            verdict = scene.send(Inbound(good.next_header, whole, CARE_OF))
            assert (verdict.outcome, verdict.change) == ("dropped", None), (at, bit)
            octets[at] ^= 1 << bit
    for octets in range(len(good.payload)):
        cut = Inbound(good.next_header, good.payload[:octets], CARE_OF)
        assert scene.send(cut).outcome == "dropped"
    assert scene.send(good).outcome == "accepted"


def test_another_source_than_the_signed_one_is_refused(scene):
    node = scene.node()
    scene.register(node, 0, CARE_OF)
    good = node.update(1, CARE_OF)
    assert scene.send(good._replace(source=CARE_OF_2)).reason == "authenticator"
    assert scene.send(good).outcome == "accepted"


def test_of_two_daemons_one_accepts_a_number(registry_url):
    scene = HomeScene(registry_url)
    node = scene.node()
    scene.register(node, 0, CARE_OF)
    other = HomeScene(registry_url)
    for sequence in range(1, 20):
        update = node.update(sequence, CARE_OF)
        order = [scene, other]
        random.Random(sequence).shuffle(order)
        assert [one.send(update).status for one in order] == [0, 135]
    other.registry.close()
    scene.registry.close()


def test_a_commit_that_fails_is_not_answered(scene, monkeypatch):
    node = scene.node()
    scene.register(node, 0, CARE_OF)
    with monkeypatch.context() as broken:
        broken.setattr(scene.store, "commit", lambda changes: set(range(len(changes))))
        assert scene.send(node.update(1, CARE_OF)).reply is None
    assert scene.send(node.update(1, CARE_OF)).status == 0
