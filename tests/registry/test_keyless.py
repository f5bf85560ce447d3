"""Peers without a key: kept with the set that a board was told of, and seen by no daemon."""

from ipaddress import IPv6Address

import pytest

from roamkey.errors import BadInputError, RefusedError
from roamkey.registry import CONFIRMED, CORRESPONDENT, HOME_AGENT, SENT, PairKeys, Registry
from roamkey.registry.records import Change, GenerationKey, SetEntry
from roamkey.registry.schema import keyless as table

HOME = IPv6Address("2001:db8:a::1").packed
HOME_2 = IPv6Address("2001:db8:a::2").packed
AGENT = IPv6Address("2001:db8:a::ff").packed
CN = IPv6Address("2001:db8:c::2").packed
CN_2 = IPv6Address("2001:db8:c::3").packed
LIFETIME = 600
NUMBERS = iter(range(100))


def peer(address, role=CORRESPONDENT, home=HOME, generation=None):
    keys = ()
    if generation is not None:
        keys = (GenerationKey(generation, b"secret-key-material-%02d" % next(NUMBERS)),)
    return PairKeys(home, address, b"home-non", b"careof-n", keys, role)


def keyless(home=HOME):
    return [peer(CN, home=home), peer(AGENT, HOME_AGENT, home)]


def set_id(number):
    return bytes((number,)) * 8


@pytest.fixture
def registry(registry_url):
    with Registry.open(registry_url) as opened:
        yield opened


def sets(registry, board="board"):
    return [(one.set_id, one.state) for one in registry.sets_of_board(board)]


def rows(registry):
    with registry.reading() as c:
        return len(c.execute(table.select()).all())


def test_a_set_of_both_kinds(registry):
    given = [peer(CN, generation=0), peer(CN_2), peer(AGENT, HOME_AGENT, generation=0)]
    registry.add_sent(set_id(1), "board", given, LIFETIME)
    assert registry.entries_of_set(set_id(1)) == [
        SetEntry(HOME, CN, 0, LIFETIME, CORRESPONDENT),
        SetEntry(HOME, AGENT, 0, LIFETIME, HOME_AGENT),
        SetEntry(HOME, CN_2, None, LIFETIME, CORRESPONDENT),
    ]
    assert registry.pairs_for_correspondent(CN_2) == [], "what would keep it from being bound"
    assert not registry.knows_correspondent(CN_2)
    assert sets(registry) == [(set_id(1), SENT)]
    registry.withdraw(set_id(1))
    assert sets(registry) == [] and rows(registry) == 0
    assert registry.node_by_home_address(HOME) is None


def test_a_set_without_any_key(registry):
    """It has a state, holds the home address, and gives way to the next."""
    registry.add_sent(set_id(1), "board", keyless(), LIFETIME)
    assert sets(registry) == [(set_id(1), SENT)]
    with pytest.raises(RefusedError, match="board"):
        registry.add_sent(set_id(2), "other", keyless(), LIFETIME)
    registry.confirm(set_id(1))
    registry.confirm(set_id(1))
    assert sets(registry) == [(set_id(1), CONFIRMED)]
    with pytest.raises(RefusedError, match="is confirmed"):
        registry.withdraw(set_id(1))
    assert registry.node_by_board("board").home_address == HOME

    registry.add_sent(set_id(2), "board", keyless(HOME_2), LIFETIME)
    assert registry.node_by_board("board").home_address == HOME_2
    registry.withdraw(set_id(2))
    assert sets(registry) == [(set_id(1), CONFIRMED)]
    assert registry.node_by_board("board").home_address == HOME
    registry.add_sent(set_id(3), "board", keyless(HOME_2), LIFETIME)
    registry.confirm(set_id(3))
    assert sets(registry) == [(set_id(3), CONFIRMED)] and rows(registry) == 2
    assert registry.node_by_home_address(HOME).board_id is None, "free"


@pytest.mark.parametrize("first", ["keys", "none", "both"])
@pytest.mark.parametrize("second", ["keys", "none", "both"])
def test_one_set_after_another(registry, first, second):
    """Whichever of them hold keys: confirming one ends the earlier ones, and not a later one."""

    def given(kind, generation):
        return {
            "keys": [peer(CN_2, generation=generation)],
            "none": keyless(),
            "both": [peer(CN_2, generation=generation), *keyless()],
        }[kind]

    registry.add_sent(set_id(1), "board", given(first, 0), LIFETIME)
    registry.add_sent(set_id(2), "board", given(second, 1), LIFETIME)
    registry.confirm(set_id(1))
    assert dict(sets(registry)) == {set_id(1): CONFIRMED, set_id(2): SENT}
    registry.confirm(set_id(2))
    assert sets(registry) == [(set_id(2), CONFIRMED)]
    assert rows(registry) == (0 if second == "keys" else 2)
    assert len(registry.live_keys()) == (0 if second == "none" else 1)
    assert registry.node_by_home_address(HOME).board_id == "board"
    registry.retire(HOME)
    assert sets(registry) == [] and rows(registry) == 0
    assert registry.node_by_home_address(HOME).board_id is None


def test_an_update_confirms_the_whole_set(registry):
    """A daemon sees it by a key; the rows beside it are no reason to send the set again."""
    registry.add_sent(set_id(1), "board", [peer(CN_2, generation=0), *keyless()], LIFETIME)
    (pair,) = registry.pairs_for_correspondent(CN_2)
    (key,) = pair.keys
    change = Change(pair.pair_id, key.key_id, 0, 7, True, None)
    assert registry.commit([change]) == set()
    assert sets(registry) == [(set_id(1), CONFIRMED)]
    with pytest.raises(RefusedError, match="is confirmed"):
        registry.withdraw(set_id(1))
    assert rows(registry) == 2, "nothing of it went"


def test_what_is_refused(registry):
    with pytest.raises(BadInputError, match="needs a home agent beside it"):
        registry.add_sent(set_id(1), "board", [peer(CN), peer(CN_2, generation=0)], LIFETIME)
    with pytest.raises(BadInputError, match="at least one pair"):
        registry.add_sent(set_id(1), "board", [], LIFETIME)


def test_a_peer_becomes_something_else_once_its_keys_are_given_up(registry):
    registry.add_sent(set_id(1), "board", [peer(CN, generation=0)], LIFETIME)
    other = [peer(CN, HOME_AGENT, generation=1)]
    with pytest.raises(RefusedError, match="roamkey retire"):
        registry.add_sent(set_id(2), "board", other, LIFETIME)
    registry.retire(HOME)
    registry.add_sent(set_id(2), "board", other, LIFETIME)
    assert [pair.role for pair in registry.pairs_for_correspondent(CN)] == [HOME_AGENT]
