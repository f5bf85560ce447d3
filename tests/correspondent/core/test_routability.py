"""Return routability at the correspondent: RFC 6275 sections 5.2, 9.4 and 9.5."""

import json
from pathlib import Path

import pytest
from support.mutations import cache_of
from support.nodes import NOW as KEYED_NOW
from support.nodes import MobileNode, Scene
from support.strangers import (
    CARE_OF,
    CARE_OF_2,
    CORRESPONDENT,
    HOME,
    NOW,
    Stranger,
    randomness,
    serving,
)

from mip6 import addresses, messages, packets
from roamkey.correspondent.core import entries
from roamkey.correspondent.core.cache import BindingCache
from roamkey.correspondent.core.entries import Inbound
from roamkey.correspondent.core.nonces import INTERVAL_MS, LIFETIME_MS, TOKEN_LIFETIME_MS, Nonces
from roamkey.correspondent.core.places import Link
from roamkey.registry import SENT, Key, Pair

VECTORS = {
    v["name"]: v
    for v in json.loads((Path(__file__).parents[2] / "vectors" / "routability.json").read_text())
}
S = 1000


@pytest.fixture
def cache():
    return serving()


@pytest.fixture
def node(cache):
    """One that has proved that it is at its home address and at two care-of addresses."""
    made = Stranger()
    made.prove(cache, CARE_OF, CARE_OF_2)
    return made


def keyed(cache, home, state=SENT, refused=False, live=True, damaged=None, behind=False):
    """Have a home address be one that a key was entered for."""
    key = Key(1, bytes(8), 0, bytes(range(20)), b"homenonc", b"care-ofn", 600, state, 65535)
    pair = Pair(
        1, "b", home, CORRESPONDENT, refused, (key,) if live else (), damaged, behind=behind
    )
    cache.load(pair, None)


# --- nonces


def test_a_token_is_good_for_210_s_and_a_nonce_for_240():
    nonces = Nonces(randomness())
    index, nonce = nonces.current(NOW)
    assert nonces.current(NOW + INTERVAL_MS - 1) == (index, nonce)
    assert nonces.current(NOW + INTERVAL_MS)[0] == (index + 1) % 65536
    last_token_at = NOW + INTERVAL_MS - 1
    assert nonces.find(index, last_token_at + TOKEN_LIFETIME_MS) == nonce
    assert nonces.find(index, NOW + LIFETIME_MS - 1) == nonce
    assert nonces.find(index, NOW + LIFETIME_MS) is None


def test_indices_wrap_and_few_nonces_are_held():
    nonces = Nonces(lambda octets: b"\xff" * octets)
    assert nonces.current(NOW)[0] == 0xFFFF
    for step in range(1, 100):
        index, _ = nonces.current(NOW + step * INTERVAL_MS)
        assert index == step - 1
        assert len(nonces._held) <= 9
    assert nonces.find(0xFFFF, NOW + 99 * INTERVAL_MS) is None


def test_each_nonce_gives_other_tokens_and_so_does_each_start():
    one, other = Nonces(randomness(1)), Nonces(randomness(2))
    _, first = one.current(NOW)
    _, second = one.current(NOW + INTERVAL_MS)
    tokens = {
        one.home_token(HOME, first), one.home_token(HOME, second), one.care_of_token(HOME, first),
        other.home_token(HOME, first), one.home_token(CARE_OF, first),
    }  # fmt: skip
    assert len(tokens) == 5


# --- the vectors of an independent generator


def vector_cache():
    """A correspondent with the generator's node key and nonces."""
    drawn = iter((bytes(range(1, 21)), b"\x01\x02", b"nonce #1", b"nonce #2"))
    cache = BindingCache(CORRESPONDENT, random=lambda octets: next(drawn))
    return cache


def packet_of(name):
    packet = bytes.fromhex(VECTORS[name]["packet"])
    return Inbound(packet[6], packet[40:], packet[8:24])


def assert_is(reply, name):
    """A reply is the vector's packet, octet for octet."""
    packet = bytes.fromhex(VECTORS[name]["packet"])
    made = packets.ipv6_header(
        CORRESPONDENT, reply.destination, reply.next_header, len(reply.payload)
    )
    assert (made + reply.payload).hex() == packet.hex()


def test_the_generators_exchange_octet_for_octet():
    cache = vector_cache()
    assert_is(cache.judge(packet_of("hoti"), NOW).reply, "hot")
    now = NOW + INTERVAL_MS  # the generator's care-of token is of the next nonce
    assert_is(cache.judge(packet_of("coti"), now).reply, "cot")
    verdict = cache.judge(packet_of("rr-bu"), now)
    assert (verdict.outcome, verdict.lifetime) == (entries.ACCEPTED, 420)
    assert_is(verdict.reply, "rr-ba")
    verdict = cache.judge(packet_of("rr-bu-alternate"), now)
    assert verdict.care_of_address == addresses.parse("2001:db8:b:1::7")
    assert_is(verdict.reply, "rr-ba-alternate")
    verdict = cache.judge(packet_of("rr-bu-no-acknowledgement"), now)
    assert (verdict.outcome, verdict.lifetime, verdict.reply) == (entries.ACCEPTED, 40, None)
    verdict = cache.judge(packet_of("rr-bu-no-acknowledgement"), now)
    assert_is(verdict.reply, "rr-ba-135")
    verdict = cache.judge(packet_of("rr-dereg-away"), now)
    assert verdict.outcome == entries.REMOVED
    assert_is(verdict.reply, "rr-dereg-away-ba")
    verdict = cache.judge(packet_of("rr-dereg-home"), now)
    assert verdict.outcome == entries.REMOVED
    assert_is(verdict.reply, "rr-dereg-home-ba")


@pytest.mark.parametrize("name", ["rr-bu", "rr-bu-alternate", "rr-dereg-away", "rr-dereg-home"])
def test_every_flipped_bit_and_every_cut_is_dropped(name):
    cache = vector_cache()
    for init, now in (("hoti", NOW), ("coti", NOW + INTERVAL_MS)):
        cache.judge(packet_of(init), now)
    now, whole = NOW + INTERVAL_MS, packet_of(name)
    skipped = {*range(1, 8)} if whole.next_header == packets.DESTINATION_OPTIONS else set()
    for bit in range(8 * len(whole.payload)):
        if bit // 8 in skipped:
            continue
        damaged = bytearray(whole.payload)
        damaged[bit // 8] ^= 1 << bit % 8
        verdict = cache.judge(whole._replace(payload=bytes(damaged)), now)
        assert verdict.outcome == entries.DROPPED, bit
    for length in range(len(whole.payload)):
        verdict = cache.judge(whole._replace(payload=whole.payload[:length]), now)
        assert verdict.outcome == entries.DROPPED, length
    assert cache.bound() == 0
    assert cache.judge(whole, now).outcome in (entries.ACCEPTED, entries.REMOVED)


def test_every_flipped_bit_with_its_checksum_mended_is_dropped(cache, node):
    good = node.update(1)
    for bit in range(8 * 24, 8 * len(good.payload)):
        octets = bytearray(good.payload)
        octets[bit // 8] ^= 1 << bit % 8
        header = messages.with_checksum(octets[24:], HOME, CORRESPONDENT)
        verdict = cache.judge(good._replace(payload=bytes(octets[:24]) + header), NOW)
        if bit // 8 in (28, 29):  # the checksum itself
            assert verdict.reason != "authenticator"
        else:
            assert verdict.outcome == entries.DROPPED, bit
    assert cache.judge(node.update(2)._replace(source=CARE_OF_2), NOW).reason == "authenticator"


# --- tests


def test_an_answer_is_eight_octets_longer_and_nothing_is_kept(cache, node):
    init = node.init(HOME)
    verdict = cache.judge(init, NOW)
    assert verdict.outcome == entries.TESTED and verdict.change is None
    assert len(verdict.reply.payload) - len(init.payload) == 8
    assert verdict.reply.destination == HOME
    assert cache.bound() == 0 and cache.routability.facts()["remembered"] == 0


def test_the_answer_goes_back_by_the_interface_that_the_init_came_by(cache, node):
    verdict = cache.judge(node.init(HOME)._replace(scope=7), NOW)
    assert verdict.reply.scope == 7


def test_nothing_may_stand_before_an_init(cache, node):
    init = node.init(HOME)
    option = packets.home_address_option(HOME, packets.MOBILITY)
    claimed = Inbound(packets.DESTINATION_OPTIONS, option + init.payload, CARE_OF)
    padded = Inbound(
        packets.DESTINATION_OPTIONS, bytes((packets.MOBILITY, 0, 1, 4, 0, 0, 0, 0)) + init.payload,
        HOME,
    )  # fmt: skip
    for packet in (claimed, padded):
        verdict = cache.judge(packet, NOW)
        assert (verdict.reason, verdict.reply) == ("headers before a test", None)


def test_tests_are_limited_for_an_address_a_site_and_all(cache):
    node = Stranger()
    answered = [cache.judge(node.init(HOME), NOW).reply for _ in range(50)]
    assert sum(one is not None for one in answered) == 10
    assert cache.judge(node.init(HOME), NOW + 400).reply, "three a second"
    spread = 0
    for number in range(2000):
        home = HOME[:8] + number.to_bytes(8, "big")
        spread += cache.judge(Stranger(home).init(home), NOW + 400).reply is not None
    assert 700 <= spread <= 800, "a site has a quarter of all"
    before = spread
    for number in range(5000):
        home = HOME[:4] + number.to_bytes(2, "big") + HOME[6:]
        spread += cache.judge(Stranger(home).init(home), NOW + 400).reply is not None
    assert before + 2000 <= spread <= 3100, "and all are limited"
    assert cache.withheld() > 3000


def test_inits_from_where_nothing_may_be_sent_are_dropped(cache):
    cache.host_has(frozenset((CARE_OF_2,)))
    node = Stranger(home=CARE_OF_2)
    assert cache.judge(node.init(CARE_OF_2), NOW).reason == "home address"
    for text in ("ff02::1", "fe80::1", "::", "::1"):
        source = addresses.parse(text)
        assert cache.judge(Stranger(home=source).init(source), NOW).reply is None
        assert cache.judge(Stranger().init(source), NOW).reply is None
    assert cache.judge(Stranger().init(CARE_OF_2), NOW).reason == "care-of address"
    assert cache.judge(Stranger().init(CORRESPONDENT), NOW).reply is None


# --- Binding Updates


def test_a_binding_is_made_moved_refreshed_and_removed(cache, node):
    cache.changed = set()
    first = cache.judge(node.update(1), NOW)
    assert (first.outcome, first.generation, first.authorized_by) == (
        entries.ACCEPTED, None, entries.RETURN_ROUTABILITY,
    )  # fmt: skip
    assert node.read(first.reply).lifetime == 105
    assert cache.binding(HOME, NOW).care_of_address == CARE_OF
    assert cache.changed == {HOME} and cache.bound_homes() == [HOME]
    moved = cache.judge(node.update(2, CARE_OF_2), NOW)
    assert moved.previous == CARE_OF
    assert cache.binding(HOME, NOW).care_of_address == CARE_OF_2
    assert cache.bound() == 1 and cache.nodes() == 0
    gone = cache.judge(node.update(3, CARE_OF_2, lifetime=0), NOW)
    assert gone.outcome == entries.REMOVED
    assert node.read(gone.reply, CARE_OF_2, removes=True).status == 0
    assert cache.binding(HOME, NOW) is None and cache.bound() == 0


def test_data_are_taken_from_where_the_node_is(cache, node):
    cache.judge(node.update(1), NOW)
    data = packets.udp(HOME, CORRESPONDENT, 1, 2, b"data")
    option = packets.home_address_option(HOME, packets.UDP)
    packet = Inbound(packets.DESTINATION_OPTIONS, option + data, CARE_OF)
    assert cache.judge(packet, NOW).outcome == entries.DATA
    stray = cache.judge(packet._replace(source=CARE_OF_2), NOW)
    assert stray.reason == "no binding" and stray.reply is not None, "Binding Error 1"


def test_the_alternate_care_of_address_is_the_one_that_was_tested(cache, node):
    elsewhere = addresses.parse("2001:db8:5::5")
    verdict = cache.judge(node.update(1, CARE_OF_2, alternate=True, source=elsewhere), NOW)
    assert (verdict.outcome, verdict.care_of_address) == (entries.ACCEPTED, CARE_OF_2)
    assert verdict.reply.destination == elsewhere
    node.tests[elsewhere] = node.tests[CARE_OF]  # a token of another address
    wrong = cache.judge(node.update(2, elsewhere), NOW)
    assert wrong.reason == "authenticator"


@pytest.mark.parametrize(("asked", "granted"), [(1, 4), (104, 416), (105, 420), (65535, 420)])
def test_a_lifetime_is_420_s_at_most(cache, node, asked, granted):
    verdict = cache.judge(node.update(1, lifetime=asked), NOW)
    assert verdict.lifetime == granted
    assert node.read(verdict.reply).lifetime == granted // 4
    assert cache.binding(HOME, NOW + granted * S - 1)
    assert cache.binding(HOME, NOW + granted * S) is None
    assert [home for home, _ in cache.expire(NOW + granted * S)] == [HOME]
    assert cache.bound() == 0


@pytest.mark.parametrize(
    ("home_age", "care_of_age", "status"),
    [(0, 0, 0), (240, 0, 136), (0, 240, 137), (240, 240, 138), (210, 210, 0)],
)
def test_nonces_that_are_too_old_are_told(cache, home_age, care_of_age, status):
    node, start = Stranger(), NOW
    for age, source in sorted(((home_age, HOME), (care_of_age, CARE_OF)), reverse=True):
        node.take(cache.judge(node.init(source), start + (240 - age) * S).reply)
    verdict = cache.judge(node.update(9), start + 240 * S)
    if not status:
        assert verdict.outcome == entries.ACCEPTED
        return
    assert (verdict.outcome, verdict.reason) == (entries.DROPPED, "nonces not recognized")
    message = node.read(verdict.reply, signed=False)
    assert (message.status, message.sequence, message.lifetime) == (status, 9, 0)
    assert len(verdict.reply.payload) <= len(node.update(9).payload)
    assert cache.bound() == 0


def test_what_is_told_of_nonces_is_limited(cache, node):
    other = serving(seed=1)
    told = [other.judge(node.update(1), NOW).reply for _ in range(50)]
    assert sum(one is not None for one in told) == 10


def test_the_care_of_nonce_is_not_looked_at_to_remove_a_binding(cache, node):
    cache.judge(node.update(1), NOW)
    indices = node.tests[HOME][0], 0xBEEF
    verdict = cache.judge(node.update(2, lifetime=0, indices=indices), NOW)
    assert verdict.outcome == entries.REMOVED


def test_from_home_a_binding_is_removed_and_the_answer_comes_plainly(cache, node):
    cache.judge(node.update(1), NOW)
    verdict = cache.judge(node.update(2, HOME, lifetime=0), NOW)
    assert verdict.outcome == entries.REMOVED
    assert verdict.reply.next_header == packets.MOBILITY
    assert node.read(verdict.reply, HOME, removes=True).status == 0


def test_numbers_go_modulo_65536(cache, node):
    for number, status in (
        (65000, 0), (65535, 0), (0, 0), (65535, 135), (0, 135), (1, 0), (32768, 0), (32768, 135),
        (1, 135), (65535, 0), (32766, 0),
    ):  # fmt: skip
        verdict = cache.judge(node.update(number), NOW + number)
        assert verdict.status == status, number
        if status:
            assert (
                node.read(verdict.reply).sequence == cache.routability._guests[HOME].last_sequence
            )
        cache.routability._updates._by_address._sources.clear()


def test_without_a_binding_any_number_will_do():
    for number in (0, 1, 30000, 65535):
        cache, node = serving(), Stranger()
        node.prove(cache, CARE_OF)
        assert cache.judge(node.update(number), NOW).outcome == entries.ACCEPTED


@pytest.mark.parametrize("ends_by", ["removal", "time"])
def test_an_update_can_not_be_played_back_after_the_binding(cache, node, ends_by):
    """Section 9.5.3: the number is remembered until no nonce is recognized that was good then."""
    recorded, ended_at = node.update(5, lifetime=1), NOW
    assert cache.judge(recorded, NOW).outcome == entries.ACCEPTED
    if ends_by == "removal":
        assert cache.judge(node.update(6, lifetime=0), NOW).outcome == entries.REMOVED
    else:
        ended_at = NOW + 4 * S
        assert cache.expire(ended_at)
    assert cache.routability.facts()["remembered"] == 1
    for later in range(ended_at, NOW + LIFETIME_MS, 10 * S):
        cache.expire(later)
        verdict = cache.judge(recorded, later)
        assert (verdict.outcome, verdict.status) == (entries.REFUSED, 135), later
    cache.expire(NOW + LIFETIME_MS)
    verdict = cache.judge(recorded, NOW + LIFETIME_MS)
    assert (verdict.outcome, verdict.reason) == (entries.DROPPED, "nonces not recognized")
    assert cache.routability.facts()["remembered"] == 0, "then nothing is kept"


def test_a_removal_is_remembered_where_the_update_before_it_was_held_back(cache, node):
    held_back = node.update(5)
    assert cache.judge(node.update(6, lifetime=0), NOW).outcome == entries.REMOVED
    assert cache.judge(held_back, NOW).status == 135


def test_home_registrations_are_refused_under_the_key(cache, node):
    flags = messages.FLAG_ACKNOWLEDGE | messages.FLAG_HOME_REGISTRATION
    verdict = cache.judge(node.update(1, flags=flags), NOW)
    assert node.read(verdict.reply).status == 131
    assert cache.bound() == 0


def test_updates_are_limited(cache, node):
    outcomes = [cache.judge(node.update(number), NOW).outcome for number in range(50)]
    assert outcomes.count(entries.ACCEPTED) == 10
    assert cache.judge(node.update(60), NOW + 1000).outcome == entries.ACCEPTED


def test_a_restart_is_told_and_healed(node):
    after = serving(seed=7)
    stale = after.judge(node.update(2), NOW)
    assert node.read(stale.reply, signed=False).status == 138
    node.prove(after, CARE_OF)
    assert after.judge(node.update(2), NOW).outcome == entries.ACCEPTED


# --- who may not


@pytest.mark.parametrize(
    "how",
    [
        {},
        {"state": "confirmed"},
        {"refused": True},
        {"refused": True, "live": False},
        {"damaged": "a key is short", "live": False},
        {"behind": True},
    ],
    ids=["live, all numbers used", "confirmed", "refused", "refused and retired", "damaged",
         "behind"],
)  # fmt: skip
def test_a_home_address_with_a_key_is_never_bound_without(cache, node, how):
    assert cache.judge(node.update(1), NOW).outcome == entries.ACCEPTED
    keyed(cache, HOME, **how)
    assert cache.binding(HOME, NOW) is None, "what was bound goes at once"
    assert cache.bound() == 0
    verdict = cache.judge(node.update(2), NOW)
    behind = "registry behind" if "behind" in how else "a key was entered"
    assert (verdict.outcome, verdict.reason, verdict.reply) == (entries.DROPPED, behind, None)
    assert cache.judge(node.init(HOME), NOW).reason == "a key was entered"
    cache.forget(HOME)
    assert cache.judge(node.update(3), NOW).outcome == entries.ACCEPTED, (
        "the operator took it back"
    )


def test_off_is_off(node):
    cache = BindingCache(CORRESPONDENT)
    for packet in (node.init(HOME), node.init(CARE_OF), node.update(1)):
        verdict = cache.judge(packet, NOW)
        assert (verdict.reason, verdict.reply) == ("return routability is off", None)


def test_inside_udp_there_is_none():
    from roamkey.correspondent.core.endpoints import Endpoint

    node, cache = MobileNode(1), serving()
    endpoint = Endpoint(CARE_OF, 4000, CORRESPONDENT)
    init = messages.Message(messages.HOME_TEST_INIT).encode()
    init = messages.with_checksum(init, node.home, CORRESPONDENT)
    indices = [(messages.NONCE_INDICES, bytes(4)), (messages.ALTERNATE_CARE_OF_ADDRESS, CARE_OF)]
    for packet in (
        node.carried(endpoint, packets.MOBILITY, init),
        node.inside(1, endpoint, options=indices),
    ):
        verdict = cache.judge(packet, NOW)
        assert (verdict.reason, verdict.reply) == ("return routability inside UDP", None)


def test_a_home_address_that_the_host_needs_is_refused(cache, node):
    """Of the host itself, of its links; the correspondent's own isn't even tested."""
    cache.judge(node.update(1), NOW)
    cache.changed = set()
    cache.host_has(frozenset((HOME,)))
    assert cache.binding(HOME, NOW) is None and cache.changed == {HOME}
    assert node.read(cache.judge(node.update(2), NOW).reply).status == 129
    link = Link(HOME[:8] + bytes(8), 64)
    cache.host_has(frozenset(), frozenset((link,)))
    assert link.has(HOME) and not link.has(CARE_OF)
    assert cache.binding(HOME, NOW) is None
    assert node.read(cache.judge(node.update(3), NOW).reply).status == 129
    removal = cache.judge(node.update(4, lifetime=0), NOW)
    assert removal.outcome == entries.REMOVED, "but it can be taken back"


def test_bindings_never_lead_on_to_each_other(cache, node):
    """Neither is a home address another one's care-of address, nor the other way round."""
    assert cache.judge(node.update(1), NOW).outcome == entries.ACCEPTED
    at_home = Stranger(home=CARE_OF)  # its home address is where the other one is
    at_home.prove(cache, CARE_OF_2)
    verdict = cache.judge(at_home.update(1, CARE_OF_2), NOW)
    assert at_home.read(verdict.reply, CARE_OF_2).status == 129
    visitor = Stranger(home=HOME[:-1] + b"\x77")  # its care-of address is the other one's home
    visitor.prove(cache, HOME)
    verdict = cache.judge(visitor.update(1, HOME), NOW)
    assert visitor.read(verdict.reply, HOME).status == 174


def test_who_has_a_key_comes_first(tmp_path):
    scene = Scene(tmp_path / "registry.sqlite")
    scene.start(random=randomness())
    stranger = Stranger()
    stranger.prove(scene.cache, CARE_OF, now=KEYED_NOW)
    assert scene.send(stranger.update(1)).outcome == entries.ACCEPTED
    with_key = scene.node()
    verdict = scene.send(with_key.update(0, HOME))  # its care-of address is the stranger's home
    assert verdict.outcome == entries.ACCEPTED
    assert scene.cache.binding(HOME, KEYED_NOW) is None
    assert scene.send(stranger.update(2)).status == 129
    assert scene.cache.binding(with_key.home, KEYED_NOW).care_of_address == HOME


def test_strangers_have_their_own_share(tmp_path):
    scene = Scene(tmp_path / "registry.sqlite")
    scene.start(random=randomness(), bindings_max=64)
    routability = scene.cache.routability
    assert routability.most == 8
    statuses = []
    for number in range(12):
        stranger = Stranger(home=HOME[:4] + (256 + number).to_bytes(2, "big") + HOME[6:])
        stranger.prove(scene.cache, CARE_OF[:-1] + bytes((number,)), now=KEYED_NOW)
        statuses.append(scene.send(stranger.update(1, CARE_OF[:-1] + bytes((number,)))).status)
    assert statuses == [0] * 8 + [130] * 4
    for number in range(1, 65):
        assert scene.send(scene.node(number).update(0, CARE_OF)).outcome == entries.ACCEPTED
    assert scene.send(scene.node(99).update(0, CARE_OF)).status == 130
    assert scene.cache.bound() == 72 and routability.bound == 8


def test_a_site_has_a_quarter_of_that_share():
    cache, statuses = serving(bindings_max=128), []
    for number in range(6):
        stranger = Stranger(home=HOME[:-1] + bytes((number,)))
        stranger.prove(cache, CARE_OF)
        statuses.append(cache.judge(stranger.update(1), NOW).status)
    assert statuses == [0] * 4 + [130] * 2
    other = Stranger(home=addresses.parse("2001:db8:7777::1"))
    other.prove(cache, CARE_OF)
    assert cache.judge(other.update(1), NOW).status == 0
    cache.expire(NOW + 420 * S)
    assert cache.routability.facts() == {"bound": 0, "remembered": 0, "most": 16}
    assert not cache.routability._of_site and not cache.routability._ends._count


def test_a_static_key_update_with_nonce_indices_is_by_its_key():
    """protocol: the option is ignored where a key was entered."""
    vectors = json.loads(
        (Path(__file__).parents[2] / "vectors" / "mobility-vectors.json").read_text()
    )
    found = next(v for v in vectors if v["name"] == "altcoa-nonce")
    packet = bytes.fromhex(found["packet"])
    inbound = Inbound(packet[6], packet[40:], packet[8:24])
    verdict = cache_of(found).judge(inbound, NOW)
    assert (verdict.outcome, verdict.generation) == (entries.ACCEPTED, 0)
    other = bytearray(packet)
    other[-1] ^= 1
    header = messages.with_checksum(other[64:], packet[48:64], packet[24:40])
    damaged = inbound._replace(payload=bytes(other[40:64]) + header)
    assert cache_of(found).judge(damaged, NOW).reason == "a key was entered"
