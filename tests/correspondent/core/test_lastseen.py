"""What was heard of nodes: each once a round, some at a time, and none lost."""

from types import SimpleNamespace

from roamkey.correspondent.lastseen import LastSeen
from roamkey.registry.records import Use

EVERY = 30_000
START = 1_900_000_000_000


def node(number):
    return number.to_bytes(16, "big")


def peer(home):
    number = int.from_bytes(home, "big")
    key = SimpleNamespace(key_id=10 * number, last_sequence=number or None)
    return SimpleNamespace(pair_id=number, keys=[key]) if number < 1000 else None


def test_a_flood_is_a_row_a_round():
    one = LastSeen(peer, EVERY)
    rows = []
    for ms in range(0, 300_000, 100):
        one.data(node(1), START + ms)
        one.updated(node(2), START + ms)
        if ms % 1000 == 0:
            rows += one.due(START + ms)
    assert [row.home_address for row in rows].count(node(1)) == 10
    assert rows[-1].data_ms is None or rows[-1].data_ms > START + 260_000
    assert one.uses(rows[:2]) == [
        Use(2, START, None, 20, 2),
        Use(1, None, START, 10, 1),
    ]


def test_many_come_some_at_a_time():
    one = LastSeen(peer, EVERY, at_once=100)
    for number in range(1, 951):
        one.updated(node(number), START)
    counts = [len(one.due(START + 1000 * second)) for second in range(12)]
    assert counts == [100] * 9 + [50, 0, 0]


def test_who_has_no_key_isnt_remembered():
    one = LastSeen(peer, EVERY)
    for number in range(1000, 5000):
        one.data(node(number), START)
        one.updated(node(number), START)
    assert one.due(START + EVERY) == []


def test_what_could_not_be_noted_comes_again_unless_newer():
    one = LastSeen(peer, EVERY)
    one.updated(node(1), START)
    one.data(node(2), START)
    heard = one.due(START)
    one.updated(node(1), START + 5)
    one.again(heard)
    again = {row.home_address: row for row in one.due(START + EVERY)}
    assert again[node(1)].update_ms == START + 5 and again[node(2)].data_ms == START


def test_at_the_end_all_is_taken():
    one = LastSeen(peer, EVERY, at_once=2)
    for number in range(1, 6):
        one.data(node(number), START)
    one.due(START)
    one.data(node(9), START + 1)
    homes = {row.home_address for row in one.due(START + 1, everything=True)}
    assert homes == {node(3), node(4), node(5), node(9)}
    assert one.due(START + 2, everything=True) == []
