"""Every row of the checks (RFC 6275 section 9.5.1 with a static key), in their order."""

from ipaddress import IPv6Address

import pytest

from mip6 import messages, packets
from roamkey.correspondent.core.entries import Inbound

CARE_OF = IPv6Address("2001:db8:1::1").packed
CARE_OF_2 = IPv6Address("2001:db8:2::2").packed
ACK = messages.FLAG_ACKNOWLEDGE


def resigned(node, header, source):
    """A message with its checksum made right again, as an attacker on the way may do."""
    header = messages.with_checksum(header, node.home, node.correspondent)
    option = packets.home_address_option(node.home, packets.MOBILITY)
    return Inbound(packets.DESTINATION_OPTIONS, option + header, source)


def header_of(update):
    return bytearray(update.payload[packets.EXTENSION_OCTETS :])


def assert_dropped(scene, packet, reason):
    verdict = scene.send(packet)
    assert (verdict.outcome, verdict.reason) == ("dropped", reason)
    assert verdict.reply is None and verdict.change is None
    assert scene.cache.bound() == 0
    assert scene.responder.counters["dropped", reason] == 1


def test_an_update_makes_a_binding_and_is_acknowledged(scene):
    node = scene.node()
    verdict = scene.send(node.update(0, CARE_OF))
    assert verdict.outcome == "accepted"
    assert verdict.reply.destination == CARE_OF
    assert verdict.reply.next_header == packets.ROUTING
    answer = node.read(verdict.reply, CARE_OF)
    assert (answer.status, answer.sequence, answer.lifetime) == (messages.ACCEPTED, 0, 100)
    binding = scene.cache.binding(node.home, scene.now)
    assert binding.care_of_address == CARE_OF
    assert binding.expires_ms == scene.now + 400_000


# Step 1


@pytest.mark.parametrize(
    ("octet", "value", "reason"),
    [
        (0, 17, "payload protocol"),
        (1, 8, "truncated"),
        (1, 2, "length"),
        (13, 200, "option"),
    ],
)
def test_malformed_messages_are_dropped(scene, octet, value, reason):
    node = scene.node()
    header = header_of(node.update(0, CARE_OF))
    header[octet] = value
    assert_dropped(scene, resigned(node, header, CARE_OF), reason)


def test_a_wrong_checksum_is_dropped(scene):
    header = header_of((node := scene.node()).update(0, CARE_OF))
    header[4] ^= 1
    option = packets.home_address_option(node.home, packets.MOBILITY)
    packet = Inbound(packets.DESTINATION_OPTIONS, option + header, CARE_OF)
    assert_dropped(scene, packet, "checksum")


@pytest.mark.parametrize("home", ["fe80::1", "ff02::1", "::1", "::", "::ffff:192.0.2.1"])
def test_a_home_address_is_unicast_and_global(scene, home):
    node = scene.node()
    node.home = IPv6Address(home).packed
    assert_dropped(scene, node.update(0, CARE_OF), "home address")


def test_a_packet_on_its_way_elsewhere_is_dropped(scene):
    node = scene.node()
    update = node.update(0, CARE_OF)
    route = packets.routing_header(node.home, packets.DESTINATION_OPTIONS)
    assert_dropped(scene, Inbound(packets.ROUTING, route + update.payload, CARE_OF), "routing")


# Step 2


def test_without_a_key_it_is_dropped(scene):
    assert_dropped(scene, scene.node_type(9).update(0, CARE_OF), "no key")


# Step 3


def test_authorization_data_is_there_once_and_last(scene):
    node = scene.node()
    without = messages.Message(messages.BINDING_UPDATE, flags=ACK, lifetime=100).encode()
    assert scene.send(resigned(node, without, CARE_OF)).reason == "authorization data"
    not_last = header_of(node.update(0, CARE_OF)) + b"\x01\x06" + bytes(6)
    not_last[1] += 1
    assert scene.send(resigned(node, not_last, CARE_OF)).reason == "authorization data"
    authorization = (messages.BINDING_AUTHORIZATION_DATA, bytes(12))
    twice = node.update(0, CARE_OF, options=[authorization])
    assert scene.send(twice).reason == "authorization data"
    hidden = messages.Message(  # its last octets look like the option, inside another one
        messages.BINDING_UPDATE, [(200, bytes(2) + b"\x05\x0c" + bytes(12))], lifetime=1
    ).encode()
    assert scene.send(resigned(node, hidden, CARE_OF)).reason == "authorization data"
    assert scene.cache.bound() == 0


def test_a_wrong_authenticator_is_dropped_in_silence(scene):
    node, other = scene.node(), scene.node(2)
    header = header_of(node.update(0, CARE_OF))
    header[-1] ^= 1
    assert_dropped(scene, resigned(node, header, CARE_OF), "authenticator")
    other.home = node.home  # signed with another node's key
    assert scene.send(other.update(0, CARE_OF)).reason == "authenticator"
    moved = node.update(0, CARE_OF)._replace(source=CARE_OF_2)
    assert scene.send(moved).reason == "authenticator"


def test_nonce_indices_are_ignored_and_signed(scene):
    node = scene.node()
    indices = (messages.NONCE_INDICES, b"\x00\x05\x00\x06")
    assert scene.send(node.update(0, CARE_OF, options=[indices])).outcome == "accepted"


def test_a_later_generation_becomes_current_for_good(scene):
    node = scene.node(generations=3)
    assert scene.send(node.update(40, CARE_OF)).generation == 0
    verdict = scene.send(node.update(0, CARE_OF, generation=1))
    assert (verdict.outcome, verdict.generation) == ("accepted", 1)
    assert node.read(verdict.reply, CARE_OF, generation=1).status == messages.ACCEPTED
    assert scene.send(node.update(41, CARE_OF)).reason == "authenticator"
    scene.reopen()
    assert scene.send(node.update(42, CARE_OF)).reason == "authenticator"
    assert scene.send(node.update(0, CARE_OF, generation=1)).reason == "sequence"
    assert scene.send(node.update(0, CARE_OF, generation=2)).outcome == "accepted"


def test_a_refused_update_makes_its_generation_current_too(scene):
    node = scene.node(generations=2)
    flags = ACK | messages.FLAG_HOME_REGISTRATION
    assert scene.send(node.update(0, CARE_OF, generation=1, flags=flags)).status == 131
    scene.reopen()
    assert scene.send(node.update(0, CARE_OF)).reason == "authenticator"


def test_a_verified_update_confirms_what_was_only_sent(scene):
    node = scene.node()
    assert [s.state for s in scene.registry.sets_of_board("board-1")] == ["sent"]
    scene.send(node.update(0, CARE_OF))
    assert [s.state for s in scene.registry.sets_of_board("board-1")] == ["confirmed"]


# Step 4


@pytest.mark.parametrize("sequence", [0, 5, 299, 300])
def test_an_old_number_is_refused_with_the_last_accepted(scene, sequence):
    node = scene.node()
    scene.send(node.update(300, CARE_OF))
    for away in (node.update(sequence, CARE_OF_2), node.update(sequence, CARE_OF_2, flags=0)):
        verdict = scene.send(away)
        assert (verdict.outcome, verdict.status) == ("refused", 135)
        answer = node.read(verdict.reply, CARE_OF_2)
        assert (answer.status, answer.sequence, answer.lifetime) == (135, 300, 0)
    assert scene.cache.binding(node.home, scene.now).care_of_address == CARE_OF


def test_numbers_compare_linearly_to_the_very_end(scene):
    node = scene.node()
    for sequence in (0, 32767, 32768, 65535):
        assert scene.send(node.update(sequence, CARE_OF)).outcome == "accepted"
    # Modulo 2^16, these two are ahead of 65535.
    assert scene.send(node.update(0, CARE_OF)).status == 135
    assert scene.send(node.update(32767, CARE_OF)).status == 135


def test_the_number_outlives_the_binding_and_the_daemon(scene):
    node = scene.node()
    replayed = node.update(7, CARE_OF)
    scene.send(replayed)
    assert scene.send(node.update(8, CARE_OF, lifetime=0)).outcome == "removed"
    assert scene.send(replayed).status == 135
    scene.reopen()
    assert scene.send(replayed).status == 135
    assert scene.send(node.update(8, CARE_OF)).status == 135
    assert scene.send(node.update(9, CARE_OF)).outcome == "accepted"


def test_within_one_burst_a_number_counts_once(scene):
    node = scene.node()
    update = node.update(3, CARE_OF)
    verdicts = scene.responder.process([update, update, node.update(4, CARE_OF_2)], scene.now)
    assert [v.outcome for v in verdicts] == ["accepted", "refused", "accepted"]
    scene.reopen()
    assert scene.cache.binding(node.home, scene.now).care_of_address == CARE_OF_2


# Step 5


def test_home_registration_is_refused(scene):
    node = scene.node()
    flags = ACK | messages.FLAG_HOME_REGISTRATION
    verdict = scene.send(node.update(4, CARE_OF, flags=flags))
    answer = node.read(verdict.reply, CARE_OF)
    assert (answer.status, answer.sequence, answer.lifetime) == (131, 4, 0)
    assert scene.cache.bound() == 0


@pytest.mark.parametrize("reopened", [False, True])
@pytest.mark.parametrize("status", [129, 130, 131, 174])
def test_a_refused_number_is_used_up(scene, status, reopened):
    """Played back when nothing speaks against it any more, it is an old one; durably so."""
    other, node = scene.node(2), scene.node()
    options = {}
    if status == 129:
        scene.registry.refuse(node.home)
    elif status == 130:
        scene.send(other.update(0, CARE_OF_2))
        scene.cache._bindings_max = 1
    elif status == 131:
        options["flags"] = ACK | messages.FLAG_HOME_REGISTRATION
    else:
        options["alternate"] = other.home
    recorded = node.update(4, CARE_OF, **options)
    verdict = scene.send(recorded)
    assert (verdict.outcome, verdict.status) == ("refused", status)
    assert verdict.change.sequence == 4
    scene.registry.refuse(node.home, False)
    if reopened:
        scene.reopen()
    scene.cache._bindings_max = 100
    for replayed in (recorded, node.update(4, CARE_OF), node.update(3, CARE_OF)):
        verdict = scene.send(replayed)
        assert verdict.status == 135
        registered = options.get("alternate", CARE_OF) if replayed is recorded else CARE_OF
        assert node.read(verdict.reply, registered).sequence == 4
    assert scene.send(node.update(5, CARE_OF)).outcome == "accepted"


def test_a_refusal_leaves_the_binding_as_it_is(scene):
    node = scene.node()
    scene.send(node.update(0, CARE_OF))
    flags = ACK | messages.FLAG_HOME_REGISTRATION
    assert scene.send(node.update(1, CARE_OF_2, flags=flags)).status == 131
    assert scene.cache.binding(node.home, scene.now).care_of_address == CARE_OF
    scene.reopen()
    assert scene.cache.binding(node.home, scene.now).care_of_address == CARE_OF
    verdicts = scene.responder.process(
        [node.update(2, CARE_OF_2), node.update(3, CARE_OF, flags=flags)], scene.now
    )
    assert [verdict.status for verdict in verdicts] == [0, 131]
    scene.reopen()
    assert scene.cache.binding(node.home, scene.now).care_of_address == CARE_OF_2
    assert scene.send(node.update(3, CARE_OF)).status == 135


def test_the_administrator_refuses_and_relents(scene):
    node = scene.node()
    scene.send(node.update(0, CARE_OF))
    scene.registry.refuse(node.home)
    verdict = scene.send(node.update(1, CARE_OF))
    assert node.read(verdict.reply, CARE_OF).status == 129
    assert scene.cache.bound() == 0
    scene.registry.refuse(node.home, False)
    assert scene.send(node.update(2, CARE_OF)).outcome == "accepted"


def test_no_room_for_another_binding(scene):
    first, second = scene.node(1), scene.node(2)
    scene.reopen(bindings_max=1)
    scene.send(first.update(0, CARE_OF))
    verdict = scene.send(second.update(0, CARE_OF_2))
    assert second.read(verdict.reply, CARE_OF_2).status == 130
    assert scene.send(first.update(1, CARE_OF_2)).outcome == "accepted"
    scene.send(first.update(2, CARE_OF_2, lifetime=0))
    assert scene.send(second.update(1, CARE_OF_2)).outcome == "accepted"


@pytest.mark.parametrize(
    "care_of",
    ["::1", "fe80::1", "ff0e::1", "::", "::ffff:192.0.2.1", "2001:db8:c::2", "2001:db8:a::2"],
)
def test_a_care_of_address_is_unicast_global_and_nobodys_here(scene, care_of):
    """Our own address, or another node's home address, would have data go in circles."""
    node, _ = scene.node(), scene.node(2)
    alternate = IPv6Address(care_of).packed
    verdict = scene.send(node.update(0, CARE_OF, alternate=alternate))
    answer = node.read(verdict.reply, alternate)
    assert answer.status == messages.INVALID_CARE_OF_ADDRESS
    assert scene.cache.bound() == 0


def test_a_care_of_address_is_no_address_of_our_host(scene):
    """Followed as addresses come and go, and told to whoever follows bindings."""
    node = scene.node()
    scene.send(node.update(0, CARE_OF))
    scene.cache.changed = set()
    scene.cache.host_has(frozenset((CARE_OF, CARE_OF_2)))
    assert scene.cache.changed == {node.home}
    assert scene.cache.binding(node.home, scene.now) is None
    for sequence, care_of in ((1, CARE_OF), (2, CARE_OF_2)):
        verdict = scene.send(node.update(sequence, care_of))
        assert node.read(verdict.reply, care_of).status == messages.INVALID_CARE_OF_ADDRESS
    scene.cache.changed = set()
    scene.cache.host_has(frozenset((CARE_OF_2,)))
    assert scene.cache.changed == {node.home}
    assert scene.cache.binding(node.home, scene.now).care_of_address == CARE_OF
    scene.cache.host_has(frozenset())
    assert scene.send(node.update(3, CARE_OF_2)).status == messages.ACCEPTED


def test_a_binding_from_before_that_leads_to_a_home_address_is_left_out(scene):
    """As an older version kept it, or the home address was provisioned later."""
    node, other = scene.node(1), scene.node_type(2)
    scene.send(node.update(0, CARE_OF, alternate=other.home))
    assert scene.cache.bound() == 1
    scene.provision(other)
    scene.registry.refuse(node.home, False)  # a new revision of it
    assert scene.send(other.update(0, node.home)).status == messages.INVALID_CARE_OF_ADDRESS
    for home in (node.home, other.home):
        assert scene.cache.binding(home, scene.now) is None


def test_what_cannot_be_answered_is_not(scene):
    node = scene.node()
    verdict = scene.send(node.update(0, IPv6Address("ff02::1").packed))
    assert (verdict.outcome, verdict.reply) == ("refused", None)


# Steps 6 and 7


def test_the_alternate_care_of_address_is_registered_and_the_source_answered(scene):
    node = scene.node()
    verdict = scene.send(node.update(0, CARE_OF, alternate=CARE_OF_2))
    assert verdict.reply.destination == CARE_OF
    assert node.read(verdict.reply, CARE_OF_2).status == messages.ACCEPTED
    assert scene.cache.binding(node.home, scene.now).care_of_address == CARE_OF_2


def test_removal_from_away_and_from_home(scene):
    node = scene.node()
    scene.send(node.update(0, CARE_OF))
    verdict = scene.send(node.update(1, CARE_OF, lifetime=0))
    assert verdict.outcome == "removed" and verdict.reply.next_header == packets.ROUTING
    answer = node.read(verdict.reply, CARE_OF, removes=True)
    assert (answer.status, answer.sequence, answer.lifetime) == (messages.ACCEPTED, 1, 0)
    for sequence, lifetime in ((2, 0), (3, 100)):  # by the lifetime, or by the address alone
        scene.send(node.update(sequence * 10, CARE_OF))
        assert scene.cache.bound() == 1
        update = node.update(sequence * 10 + 1, node.home, lifetime=lifetime, away=False)
        verdict = scene.send(update)
        assert verdict.outcome == "removed"
        assert verdict.reply.destination == node.home
        assert verdict.reply.next_header == packets.MOBILITY, "no routing header at home"
        answer = node.read(verdict.reply, node.home, removes=True)
        assert (answer.status, answer.lifetime) == (messages.ACCEPTED, 0)
        assert scene.cache.bound() == 0
    scene.reopen()
    assert scene.cache.bound() == 0


def test_removal_needs_the_key_of_removal(scene):
    node = scene.node()
    scene.send(node.update(0, CARE_OF))
    header = header_of(node.update(1, CARE_OF))
    header[10:12] = bytes(2)
    assert scene.send(resigned(node, header, CARE_OF)).reason == "authenticator"
    assert scene.cache.bound() == 1


def test_the_lifetime_is_what_is_asked_for_up_to_the_maximum(scene):
    node = scene.node()
    for sequence, (asked, granted) in enumerate([(1, 1), (150, 150), (151, 150), (65535, 150)]):
        verdict = scene.send(node.update(sequence, CARE_OF, lifetime=asked))
        assert node.read(verdict.reply, CARE_OF).lifetime == granted
        assert verdict.lifetime == 4 * granted


def test_without_the_flag_there_is_no_acknowledgement(scene):
    node = scene.node()
    verdict = scene.send(node.update(0, CARE_OF, flags=0))
    assert (verdict.outcome, verdict.reply) == ("accepted", None)


def test_a_binding_ends_with_its_lifetime(scene):
    node, other = scene.node(1), scene.node(2)
    scene.send(node.update(0, CARE_OF, lifetime=10), other.update(0, CARE_OF, lifetime=20))
    scene.now += 39_999
    assert scene.cache.binding(node.home, scene.now)
    assert scene.responder.expire(scene.now) == []
    scene.now += 1
    assert scene.cache.binding(node.home, scene.now) is None
    assert [home for home, _ in scene.responder.expire(scene.now)] == [node.home]
    assert scene.cache.bound() == 1
    scene.send(other.update(1, CARE_OF, lifetime=20))
    scene.now += 40_000
    assert scene.responder.expire(scene.now) == [], "a refreshed binding lives on"
    scene.reopen()
    assert scene.cache.bound() == 1
    scene.send(other.update(2, CARE_OF, lifetime=1))
    scene.now += 4_000
    assert [home for home, _ in scene.responder.expire(scene.now)] == [other.home]


def test_refreshing_takes_no_memory(scene):
    node = scene.node()
    for sequence in range(100):
        scene.now += 1
        scene.send(node.update(sequence, CARE_OF))
    assert len(scene.cache._expiries) == 1


# What is no Binding Update


def data_of(node, source):
    option = packets.home_address_option(node.home, packets.UDP)
    datagram = packets.udp(node.home, node.correspondent, 5, 7, b"data")
    return Inbound(packets.DESTINATION_OPTIONS, option + datagram, source)


def read_error(scene, reply, source):
    packet = packets.parse_payload(
        reply.next_header, reply.payload, scene.correspondent, reply.destination
    )
    assert reply.destination == source and packet.checksum_ok()
    message = messages.decode(packet.payload)
    assert message.kind == messages.BINDING_ERROR
    return message


def test_data_needs_a_binding_to_its_very_source(scene):
    node = scene.node()
    for source in (CARE_OF, CARE_OF_2):
        verdict = scene.send(data_of(node, source))
        assert (verdict.outcome, verdict.reason) == ("dropped", "no binding")
        error = read_error(scene, verdict.reply, source)
        assert (error.status, error.home_address) == (messages.UNKNOWN_BINDING, node.home)
        scene.send(node.update(0, CARE_OF))
    assert scene.send(data_of(node, CARE_OF)).outcome == "data"
    scene.now += 400_000
    assert scene.send(data_of(node, CARE_OF)).reason == "no binding"


def test_ordinary_packets_with_destination_options_are_none_of_ours(scene):
    plain = Inbound(packets.DESTINATION_OPTIONS, b"\x11\x00\x01\x04" + bytes(4 + 8), CARE_OF)
    verdict = scene.send(plain)
    assert (verdict.reason, verdict.reply) == ("no home address", None)


def test_an_unknown_message_type_is_answered(scene):
    node = scene.node()
    header = bytearray(messages.Message(messages.BINDING_REFRESH_REQUEST).encode())
    header[2] = 99
    assert scene.send(resigned(node, header, CARE_OF)).reason == "no binding"
    scene.send(node.update(0, CARE_OF))
    error = read_error(scene, scene.send(resigned(node, header, CARE_OF)).reply, CARE_OF)
    assert error.status == messages.UNRECOGNIZED_MESSAGE
    plain = messages.with_checksum(header, CARE_OF_2, node.correspondent)
    verdict = scene.send(Inbound(packets.MOBILITY, plain, CARE_OF_2))
    error = read_error(scene, verdict.reply, CARE_OF_2)
    assert (error.status, error.home_address) == (messages.UNRECOGNIZED_MESSAGE, bytes(16))


def test_messages_for_others_are_dropped(scene):
    for kind in (0, 3, 4, 6, 7):
        header = messages.Message(kind).encode()
        header = messages.with_checksum(header, CARE_OF, scene.correspondent)
        verdict = scene.send(Inbound(packets.MOBILITY, header, CARE_OF))
        assert verdict.reason == "message not for a correspondent"
        assert verdict.reply is None


# Refusals are limited


def test_refusals_are_limited_for_each_source(scene):
    node = scene.node()
    scene.send(node.update(9, CARE_OF))
    replayed = [node.update(9, CARE_OF)] * 50
    sent = [v for v in scene.responder.process(replayed, scene.now) if v.reply]
    assert 0 < len(sent) < 20
    assert scene.send(node.update(9, CARE_OF_2)).reply, "another source has its own measure"
    assert scene.send(node.update(10, CARE_OF)).reply, "acceptance is not limited"
    scene.now += 1000
    assert scene.send(node.update(9, CARE_OF)).reply
    errors = scene.responder.process([data_of(scene.node_type(8), CARE_OF_2)] * 50, scene.now)
    assert sum(1 for v in errors if v.reply) < 20
