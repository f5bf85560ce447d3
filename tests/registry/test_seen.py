"""When nodes were last heard of, and how fast they use their keys up: noted, and read."""

import time

import pytest
from sqlalchemy import text

from roamkey.registry import GenerationKey, PairKeys, Registry
from roamkey.registry.records import HOME_AGENT, Binding, Change, Use

HOMES = [b"\xfd" + bytes(14) + bytes((last,)) for last in range(1, 9)]
CN = b"\xfd\x01" + bytes(13) + b"\x02"
AGENT = b"\xfd\x01" + bytes(13) + b"\x03"
NOW = 1_900_000_000_000
HOUR, DAY = 3_600_000, 86_400_000


@pytest.fixture
def registry(registry_url):
    with Registry.open(registry_url) as opened:
        yield opened


def add(registry, number, generations=1, peers=(CN,), keyless=(), name=None):
    """A node; its pairs."""
    given = []
    for at, peer in enumerate((*peers, *keyless)):
        keys = tuple(
            GenerationKey(one, b"secret-key-material-%03d-%d-%d" % (number, at, one))
            for one in range(generations if peer in peers else 0)
        )
        role = HOME_AGENT if peer == AGENT else "correspondent"
        given.append(PairKeys(HOMES[number], peer, b"home-non", b"careof-n", keys, role))
    registry.add_sent(bytes((number,)) * 8, f"board-{number}", given, 600, name=name)
    registry.confirm(bytes((number,)) * 8)
    return [
        pair
        for peer in peers
        for pair in registry.pairs_for_correspondent(peer)
        if pair.home_address == HOMES[number]
    ]


def use(registry, pair, sequence, at, data=None, noted=True):
    """An update of a pair was accepted at an instant, and data came."""
    key = pair.keys[0]
    binding = Binding(HOMES[0], 600, at, at + 600_000, key.key_id)
    change = Change(pair.pair_id, key.key_id, key.generation, sequence, False, binding)
    assert registry.commit([change]) == set()
    if noted:
        registry.note_uses([Use(pair.pair_id, at, data, key.key_id, sequence)], at)


def found(registry):
    return {one.home_address: one for one in registry.nodes_in_use()}


def test_last_heard_of_survives_the_binding(registry):
    (pair,) = add(registry, 1, name="boiler")
    (never,) = registry.nodes_in_use()
    assert (never.name, never.last_ms, never.uses_left) == ("boiler", None, 65536)
    use(registry, pair, 7, NOW, noted=False)
    assert found(registry)[HOMES[1]].last_ms == NOW  # the binding alone tells
    registry.note_uses([Use(pair.pair_id, NOW, None, pair.keys[0].key_id, 7)], NOW)
    registry.note_uses([Use(pair.pair_id, None, NOW + 5000, pair.keys[0].key_id, 7)], NOW + 5000)
    registry.note_uses([Use(pair.pair_id, NOW - 9, NOW - 9, pair.keys[0].key_id, 7)], NOW + 6000)
    registry.expire(CN, NOW + DAY)
    one = found(registry)[HOMES[1]]
    assert (one.update_ms, one.data_ms, one.last_ms) == (NOW, NOW + 5000, NOW + 5000)
    assert one.care_of_address is None and one.uses_left == 65536 - 8


def test_the_present_rate(registry):
    (pair,) = add(registry, 1, generations=2)
    for hours in range(4):  # ten an hour
        use(registry, pair, 10 * hours, NOW + hours * HOUR)
    one = found(registry)[HOMES[1]]
    assert one.uses_left == 2 * 65536 - 31
    assert one.ends_s == one.uses_left * 360
    for hours in range(4, 60):  # a hundred an hour: the slow hours are forgotten
        use(registry, pair, 30 + 100 * (hours - 3), NOW + hours * HOUR)
    one = found(registry)[HOMES[1]]
    assert one.ends_s == one.uses_left * 36


def test_no_rate_where_nobody_knows_one(registry):
    (pair,) = add(registry, 1)
    use(registry, pair, 0, NOW)
    assert found(registry)[HOMES[1]].ends_s is None
    use(registry, pair, 2, NOW + DAY)
    assert found(registry)[HOMES[1]].ends_s is None  # two are no rate
    use(registry, pair, 100, NOW + DAY + 1)
    assert found(registry)[HOMES[1]].ends_s is not None
    other = Use(pair.pair_id, NOW + DAY + 2, None, pair.keys[0].key_id + 1, 3)
    registry.note_uses([other], NOW + DAY + 2)
    assert found(registry)[HOMES[1]].ends_s is None  # another key: from the beginning


def test_a_clock_that_was_set_back(registry):
    (pair,) = add(registry, 1)
    use(registry, pair, 0, NOW + 900 * DAY)
    for hours in range(30):
        use(registry, pair, 10 * hours + 10, NOW + hours * HOUR)
    with registry.writing() as c:  # what was told of the future stays until it is there
        c.execute(text("UPDATE seen SET update_ms = :now"), {"now": NOW + 29 * HOUR})
    assert found(registry)[HOMES[1]].ends_s == found(registry)[HOMES[1]].uses_left * 360


def test_who_is_told_of(registry):
    add(registry, 1, peers=(CN, AGENT))
    add(registry, 2, peers=(), keyless=(CN, AGENT))
    add(registry, 3)
    registry.retire(HOMES[3])
    rows = [(one.home_address, one.peer, one.role) for one in registry.nodes_in_use()]
    assert rows == [
        (HOMES[1], CN, "correspondent"),
        (HOMES[1], AGENT, HOME_AGENT),
        (HOMES[2], None, None),
    ]


def test_figures(registry):
    empty = registry.figures(CN, NOW)
    assert empty[:4] == (0, None, None, None) and set(empty.quiet.values()) == {0}
    pairs = [add(registry, number)[0] for number in range(1, 6)]
    use(registry, pairs[0], 65_000, NOW - 1000)
    use(registry, pairs[1], 60_000, NOW - 2 * HOUR)
    use(registry, pairs[2], 5, NOW - 3 * DAY, data=NOW - 400_000)
    use(registry, pairs[3], 5, NOW - 3 * DAY)
    use(registry, pairs[3], 505, NOW - 2 * DAY)
    figures = registry.figures(CN, NOW)
    assert (figures.never, figures.quietest_s, figures.least_uses) == (1, 172_800, 535)
    assert figures.quiet == {300: 4, 3600: 3, 86_400: 2, 604_800: 1}
    assert figures.uses_left == {1000: 1, 10_000: 2, 30_000: 2}
    assert figures.soonest_end_s == (65_535 - 505) * 86_400 // 500
    assert figures.ends == {604_800: 0, 2_592_000: 0, 7_776_000: 0}
    assert registry.figures(AGENT, NOW) == empty


def test_a_pair_that_went_meanwhile_is_left_out(registry):
    pair = add(registry, 1)[0]
    uses = [Use(pair.pair_id + 9, NOW, None, 1, 1), Use(pair.pair_id, NOW, None, 1, 1)]
    registry.note_uses(uses, NOW)
    assert found(registry)[HOMES[1]].update_ms == NOW
    registry.note_uses([uses[0]], NOW)


NODES = 20_000
ROWS = {
    "nodes (id, board_id, home_address, refused)": (":i, :b, :h, false", 1),
    "pairs (id, node_id, correspondent, revision)": (":i, :i, :h, 1", 1),
    "keys (id, pair_id, set_id, generation, kcn, fingerprint, home_nonce, care_of_nonce, "
    "lifetime, state, last_sequence)": (":k, :i, :s, :g, :f, :f, :s, :s, 600, 'confirmed', :l", 4),
}


@pytest.mark.slow
def test_many(registry):
    """What 20,000 nodes with four keys cost a reader: a fraction of this."""
    with registry.writing() as c:
        for table, (values, each) in ROWS.items():
            peer = {"h": CN} if table.startswith("pairs") else {}
            rows = [
                {
                    "i": i, "k": 4 * i + g, "g": g, "s": bytes(8), "l": i if not g else None,
                    "f": (4 * i + g).to_bytes(32, "big"), "b": f"board-{i}",
                    "h": b"\xfd" + i.to_bytes(15, "big"), **peer,
                }
                for i in range(1, NODES + 1)
                for g in range(each)
            ]  # fmt: skip
            c.execute(text(f"INSERT INTO {table} VALUES ({values})"), rows)
    uses = [Use(i, NOW + i, None, 4 * i, i) for i in range(1, NODES + 1)]
    for at in range(0, NODES, 500):
        registry.note_uses(uses[at : at + 500], NOW)
    began = time.process_time()
    assert len(registry.nodes_in_use()) == NODES
    assert registry.figures(CN, NOW + DAY).never == 0
    assert time.process_time() - began < 4
