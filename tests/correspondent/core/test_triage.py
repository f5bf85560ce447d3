"""Of more than can be judged a node's own comes first; no purpose spends what another is due."""

import random
from collections import Counter
from ipaddress import IPv6Address

import pytest
from support.nodes import CORRESPONDENT
from support.strangers import NOW, Stranger, serving

from mip6 import messages, packets
from roamkey.correspondent.core import triage
from roamkey.correspondent.core.entries import Inbound

CARE_OF = IPv6Address("2001:db8:1::1").packed
OTHER = IPv6Address("2001:db8:2::2").packed
DROPPED = "dropped"


def somewhere(chance):
    return IPv6Address((0x20010DB8_0077 << 80) | chance.getrandbits(64)).packed


def forged(update, chance, number=None):
    """The same with another number, authenticator and source."""
    payload = bytearray(update.payload)
    payload[30:32] = (chance.getrandbits(16) if number is None else number).to_bytes(2, "big")
    payload[-12:] = chance.randbytes(12)
    header = messages.with_checksum(bytes(payload[24:]), bytes(payload[8:24]), CORRESPONDENT)
    return Inbound(update.next_header, bytes(payload[:24]) + header, somewhere(chance))


def test_who_needs_no_key_has_a_share_behind_those_with_one(scene):
    """Of a flood of tests and of updates with nonce indices, if anybody serves them at all."""
    chance = random.Random(4)
    cache = serving()
    guest = Stranger()
    guest.prove(cache, CARE_OF, now=NOW)
    node = scene.node(1)
    scene.responder.process([], scene.now)
    own = node.update(0, CARE_OF)
    burst = [Stranger(home=somewhere(chance)).init(OTHER) for _ in range(1000)]
    burst += [guest.update(number, CARE_OF) for number in range(1000)]
    burst = [each._replace(source=somewhere(chance)) for each in burst]
    burst += [guest.init(guest.home)] * 100
    chance.shuffle(burst)
    burst.append(own)
    served, drops = triage.choose(burst, scene.cache.peer, serves_guests=True)
    assert served[0] == own
    assert len(served) == 1 + triage._GUESTS
    assert max(Counter(each.source for each in served).values()) <= triage._GUESTS_EACH
    assert drops == {(DROPPED, triage.FLOOD): len(burst) - len(served)}
    unserved, drops = triage.choose(burst, scene.cache.peer)
    assert len(unserved) < len(served) and drops[DROPPED, "no key"] > 2000


def chosen(scene, burst):
    scene.responder.process([], scene.now)  # reads what was provisioned
    found, drops = triage.choose(burst, scene.cache.peer)
    assert len(found) + drops.total() == len(burst)
    assert set(drops) <= {(DROPPED, triage.FLOOD), (DROPPED, "no key")}
    return found, drops


def test_what_is_little_is_judged_whole(scene):
    burst = [scene.node_type(9).update(number, CARE_OF) for number in range(triage.CALM)]
    assert triage.choose(burst, scene.cache.peer) == (burst, {})


def test_many_honest_nodes_are_no_flood(scene):
    nodes = [scene.node(number) for number in range(1, 301)]
    scene.start()
    burst = [node.update(number, CARE_OF) for number in range(3) for node in nodes]
    assert sorted(chosen(scene, burst)[0]) == sorted(burst)


@pytest.mark.parametrize("number", [8, 60_000])
def test_a_nodes_own_update_is_found_among_forged_ones(scene, number):
    chance = random.Random(1)
    node, others = scene.node(1), [scene.node(other) for other in range(2, 10)]
    scene.send(node.update(number - 1, CARE_OF))
    own = node.update(number, OTHER)
    burst = [forged(own, chance) for _ in range(2000)]
    burst += [each.update(0, CARE_OF) for each in others]
    burst.insert(1000, own)
    found, drops = chosen(scene, burst)
    assert own in found and all(each.update(0, CARE_OF) in found for each in others)
    assert len(found) < 50 and drops[DROPPED, triage.FLOOD] > 1900


def test_where_the_node_was_last_has_a_share_of_its_own(scene):
    """Whoever sees the traffic knows the next number, but hardly sends from there."""
    chance, node = random.Random(2), scene.node(1)
    scene.send(node.update(7, CARE_OF))
    own = node.update(8, CARE_OF)
    assert own in chosen(scene, [forged(own, chance, 8) for _ in range(999)] + [own])[0]


def test_a_new_key_begins_at_nought(scene):
    chance, node = random.Random(3), scene.node(1, generations=2)
    scene.send(node.update(1000, CARE_OF))
    own = node.update(0, OTHER, generation=1)
    assert own in chosen(scene, [forged(own, chance) for _ in range(999)] + [own])[0]


def test_strangers_are_dropped_by_their_address(scene):
    node = scene.node(1)
    strangers = [scene.node_type(number).update(0, CARE_OF) for number in range(2, 1002)]
    own = node.update(0, CARE_OF)
    found, drops = chosen(scene, [*strangers, own])
    assert own in found and len(found) < 30
    assert drops[DROPPED, "no key"] > 900


def test_of_other_layouts_each_source_has_a_share(scene):
    chance = random.Random(4)
    odd = [Inbound(60, chance.randbytes(chance.randrange(60)), OTHER) for _ in range(3000)]
    honest = Inbound(60, bytes((135, 0, 1, 4, 0, 0, 0, 0)) + bytes(24), CARE_OF)
    assert honest in chosen(scene, [*odd, honest])[0]


def test_data_do_not_push_updates_out(scene):
    node = scene.node(1)
    option = packets.home_address_option(node.home, packets.UDP)
    data = Inbound(60, option + packets.udp(node.home, node.correspondent, 5, 7, b"data"), CARE_OF)
    own = node.update(0, CARE_OF)
    found, _ = chosen(scene, [*[data] * 2000, own])
    assert own in found and data in found


def test_nodes_at_home_have_their_share(scene):
    chance, node = random.Random(5), scene.node(1)
    own = node.update(0, node.home, lifetime=0, away=False)
    noise = [Inbound(135, chance.randbytes(40), somewhere(chance)) for _ in range(3000)]
    assert own in chosen(scene, [*noise, own])[0]


def test_later_keys_are_tried_at_a_measure_for_each_home_and_source(scene):
    chance = random.Random(6)
    node, other = scene.node(1, generations=16), scene.node(2, generations=16)
    scene.send(node.update(0, CARE_OF), other.update(0, CARE_OF))
    own = node.update(1, CARE_OF)
    reasons = Counter(scene.send(forged(own, chance)).reason for _ in range(2000))
    assert reasons["too many guesses"] > 1800
    # The current key is always tried; other nodes' later keys are, too.
    assert scene.send(own).outcome == "accepted"
    assert scene.send(other.update(0, OTHER, generation=5)).outcome == "accepted"
    scene.now += 60_000
    assert scene.send(node.update(0, OTHER, generation=3)).outcome == "accepted"


def test_one_guesser_does_not_spend_what_the_node_is_due(scene):
    chance, node = random.Random(7), scene.node(1, generations=16)
    scene.send(node.update(0, CARE_OF))
    for _ in range(500):
        one = forged(node.update(1, CARE_OF), chance)
        scene.send(one._replace(source=OTHER))
    assert scene.send(node.update(0, CARE_OF, generation=1)).outcome == "accepted"


def test_errors_to_strangers_do_not_spend_refusals(scene):
    chance, node = random.Random(8), scene.node(1)
    scene.send(node.update(5, CARE_OF))
    option = packets.home_address_option(scene.node_type(9).home, packets.UDP)
    for _ in range(5000):
        scene.send(Inbound(60, option + bytes(8), somewhere(chance)))
    assert scene.cache.withheld() > 3000
    assert scene.send(node.update(5, CARE_OF)).reply is not None


def test_a_recorded_update_played_on_does_not_spend_the_nodes_refusals(scene):
    node = scene.node(1)
    scene.send(node.update(5, CARE_OF))
    replies = [scene.send(node.update(4, CARE_OF)).reply for _ in range(100)]
    assert 0 < sum(reply is not None for reply in replies) < 20
    assert scene.send(node.update(3, OTHER)).reply is not None
