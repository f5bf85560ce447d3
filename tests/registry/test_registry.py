"""The registry: whole or not at all, one owner a home address, one pair a Kcn, and no secrets."""

import os
import stat
from ipaddress import IPv6Address

import pytest
from sqlalchemy import text

from roamkey.errors import BadInputError, RefusedError, SystemRefusedError
from roamkey.registry import GenerationKey, PairKeys, Registry, Site, TakenError
from roamkey.registry.records import Binding, Change

HOME = IPv6Address("2001:db8:a::100").packed
HOME_2 = IPv6Address("2001:db8:a::200").packed
CN = IPv6Address("2001:db8:c::2").packed
CN_2 = IPv6Address("2001:db8:c::3").packed
LIFETIME = 600


def kcn(number):
    return b"secret-key-material-%02d" % number


def pair(*numbers, home=HOME, cn=CN, first=0):
    keys = tuple(GenerationKey(first + i, kcn(n)) for i, n in enumerate(numbers))
    return PairKeys(home, cn, b"home-non", b"careof-n", keys)


def set_id(number):
    return bytes((number,)) * 8


@pytest.fixture
def path(tmp_path):
    return tmp_path / "registry.sqlite"


@pytest.fixture
def registry(registry_url):
    with Registry.open(registry_url) as opened:
        yield opened


def rows(registry):
    """The number of rows in every table."""
    tables = ("nodes", "pairs", "keys", "bindings")
    with registry.reading() as c:
        return {name: c.scalar(text(f"SELECT count(*) FROM {name}")) for name in tables}


def contents(registry):
    return registry.pairs_for_correspondent(CN)


def test_add_confirm_and_ask(registry):
    registry.add_sent(set_id(1), "board-1", [pair(1, 2), pair(3, cn=CN_2)], LIFETIME)
    (found,) = contents(registry)
    assert (found.home_address, found.correspondent, found.board_id) == (HOME, CN, "board-1")
    assert [(k.generation, k.kcn, k.state) for k in found.keys] == [
        (0, kcn(1), "sent"),
        (1, kcn(2), "sent"),
    ]
    assert found.keys[0].last_sequence is None
    assert found.keys[0].lifetime == LIFETIME
    assert found.keys[0].home_nonce == b"home-non"
    assert registry.node_by_home_address(HOME) == registry.node_by_board("board-1")
    assert registry.node_by_home_address(HOME_2) is None
    assert registry.node_by_board("board-2") is None
    assert [s.state for s in registry.sets_of_board("board-1")] == ["sent"]
    registry.confirm(set_id(1))
    registry.confirm(set_id(1))
    assert [s.state for s in registry.sets_of_board("board-1")] == ["confirmed"]
    assert registry.next_generation(HOME, CN) == 2
    assert registry.next_generation(HOME, CN_2) == 1
    assert registry.next_generation(HOME_2, CN) == 0


def test_a_fresh_home_address_is_nobodys(registry):
    """Of two who chose the same one, one gets it, and the other is told."""
    registry.add_sent(set_id(1), "board-1", [pair(1)], LIFETIME, fresh=True)
    before = rows(registry)
    for board in ("board-1", "board-2"):
        with pytest.raises(TakenError, match="given to another board"):
            registry.add_sent(set_id(2), board, [pair(2, first=1)], LIFETIME, fresh=True)
    registry.retire(HOME)
    with pytest.raises(TakenError):
        registry.add_sent(set_id(2), "board-2", [pair(2, first=1)], LIFETIME, fresh=True)
    assert rows(registry) == before
    registry.add_sent(set_id(2), "board-2", [pair(2, first=1)], LIFETIME)


def test_a_site(registry):
    assert registry.site() is None
    network = IPv6Address("fd00:0:0:a::").packed
    first = Site(CN, network, 64, ("192.0.2.1:4191", "cn.example:443"))
    registry.set_site(first, None)
    assert registry.site() == first and first.home_prefix == "fd00:0:0:a::/64"
    second = Site(CN_2, network, 65, ())
    with pytest.raises(RefusedError, match="just now"):
        registry.set_site(second, None)
    registry.set_site(second, first)
    assert registry.site() == second
    for bad in (
        Site(CN, HOME, 64, ()),  # something behind the prefix
        Site(CN, network, 127, ()),
        Site(CN, network, 0, ()),
        Site(bytes(16), network, 64, ()),
        Site(CN, bytes(16), 64, ()),
        Site(CN, network, 64, ("a\n",)),
    ):
        with pytest.raises(BadInputError):
            registry.set_site(bad, second)
    assert registry.site() == second


def test_a_damaged_site_is_told_as_such(registry):
    registry.set_site(Site(CN, IPv6Address("fd00::").packed, 64, ()), None)
    for damage in ("reach = '[1]'", "reach = '[['", "reach = '7'", "home_prefix_length = 200"):
        with registry.writing() as c:
            c.execute(text(f"UPDATE sites SET {damage}"))
        with pytest.raises(BadInputError, match="its site makes no sense"):
            registry.site()


def test_withdraw_leaves_nothing(registry):
    before = rows(registry)
    registry.add_sent(set_id(1), "board-1", [pair(1), pair(2, cn=CN_2)], LIFETIME)
    registry.withdraw(set_id(1))
    registry.withdraw(set_id(1))
    assert rows(registry) == before
    registry.add_sent(set_id(2), "board-2", [pair(1)], LIFETIME)


def test_withdraw_keeps_what_was_there_before(registry):
    registry.add_sent(set_id(1), "board-1", [pair(1)], LIFETIME)
    registry.confirm(set_id(1))
    before = contents(registry), rows(registry)
    registry.add_sent(set_id(2), "board-1", [pair(2, first=1), pair(3, cn=CN_2)], LIFETIME)
    registry.withdraw(set_id(2))
    assert (contents(registry), rows(registry)) == before
    with pytest.raises(RefusedError, match="confirmed"):
        registry.withdraw(set_id(1))


def test_confirm_retires_what_the_board_held_before(registry):
    registry.add_sent(set_id(1), "board-1", [pair(1), pair(2, cn=CN_2)], LIFETIME)
    registry.confirm(set_id(1))
    registry.add_sent(set_id(2), "board-1", [pair(3, first=1)], LIFETIME)
    assert [k.generation for k in contents(registry)[0].keys] == [0, 1]
    registry.confirm(set_id(2))
    assert [k.generation for k in contents(registry)[0].keys] == [1]
    assert registry.pairs_for_correspondent(CN_2)[0].keys == ()
    assert [s.set_id for s in registry.sets_of_board("board-1")] == [set_id(2)]
    with registry.reading() as c:
        assert c.execute(text("SELECT kcn FROM keys ORDER BY id")).scalars().all() == [
            None,
            None,
            kcn(3),
        ]


def test_a_retired_kcn_is_wiped_from_the_file(path):
    with Registry.open(path) as registry:
        registry.add_sent(set_id(1), "board-1", [pair(1)], LIFETIME)
        registry.confirm(set_id(1))
        registry.add_sent(set_id(2), "board-1", [pair(2, first=1)], LIFETIME)
        registry.confirm(set_id(2))
    data = path.read_bytes()
    assert kcn(2) in data and kcn(1) not in data


def test_a_board_that_moves_to_another_home_address_frees_the_first(registry):
    registry.add_sent(set_id(1), "board-1", [pair(1)], LIFETIME)
    registry.confirm(set_id(1))
    registry.add_sent(set_id(2), "board-1", [pair(2, home=HOME_2)], LIFETIME)
    assert registry.node_by_board("board-1").home_address == HOME_2
    with pytest.raises(RefusedError):
        registry.add_sent(set_id(3), "board-2", [pair(3, first=1)], LIFETIME)
    registry.confirm(set_id(2))
    assert registry.node_by_home_address(HOME).board_id is None
    registry.add_sent(set_id(3), "board-2", [pair(3, first=1)], LIFETIME)
    registry.withdraw(set_id(3))
    assert registry.node_by_home_address(HOME).board_id is None


def test_retire_frees_a_lost_board(registry):
    registry.add_sent(set_id(1), "board-1", [pair(1)], LIFETIME)
    registry.retire(HOME)
    assert contents(registry)[0].keys == ()
    registry.add_sent(set_id(2), "board-2", [pair(2, first=1)], LIFETIME)
    assert registry.node_by_home_address(HOME).board_id == "board-2"


@pytest.mark.parametrize(
    ("board", "given", "reason"),
    [
        ("board-2", [pair(2)], "2001:db8:a::100 belongs to board board-1"),
        ("board-2", [pair(1, home=HOME_2)], "in use"),
        ("board-1", [pair(1, cn=CN_2)], "in use"),
        ("board-1", [pair(2)], "the next is 1"),
        ("board-1", [pair(2, 2, cn=CN_2)], "in use"),
    ],
)
def test_duplicates_are_refused_and_nothing_changes(registry, board, given, reason):
    registry.add_sent(set_id(1), "board-1", [pair(1)], LIFETIME)
    before = contents(registry), rows(registry)
    fresh = pair(9, home=given[0].home_address, cn=IPv6Address("2001:db8:c::9").packed)
    with pytest.raises(RefusedError, match=reason) as caught:
        registry.add_sent(set_id(2), board, [fresh, *given], LIFETIME)
    assert "\n" not in str(caught.value) and "secret" not in str(caught.value)
    assert (contents(registry), rows(registry)) == before
    with pytest.raises(RefusedError):
        registry.add_sent(set_id(1), "board-1", [pair(9, first=5)], LIFETIME)


def test_a_retired_kcn_or_one_that_hmac_takes_for_the_same_is_refused(registry):
    registry.add_sent(set_id(1), "board-1", [pair(1)], LIFETIME)
    registry.retire(HOME)
    padded = PairKeys(HOME, CN, bytes(8), bytes(8), (GenerationKey(1, kcn(1) + b"\0"),))
    for given in (pair(1, first=1), padded):
        with pytest.raises(RefusedError, match="was in use"):
            registry.add_sent(set_id(2), "board-1", [given], LIFETIME)


def test_the_database_itself_enforces_the_unique_kcn(registry):
    registry.add_sent(set_id(1), "board-1", [pair(1, 2)], LIFETIME)
    with pytest.raises(SystemRefusedError, match=r"(?i)unique"), registry.writing() as c:
        c.execute(
            text("UPDATE keys SET fingerprint = (SELECT fingerprint FROM keys WHERE id = 1)")
        )


@pytest.mark.parametrize(
    ("given", "lifetime"),
    [
        ([], LIFETIME),
        ([pair()], LIFETIME),
        ([pair(1)], 3),
        ([pair(1)], 262141),
        ([pair(1), pair(2)], LIFETIME),
        ([pair(1), pair(2, home=HOME_2)], LIFETIME),
        ([pair(1, first=-1)], LIFETIME),
        ([pair(1, home=IPv6Address("fe80::1").packed)], LIFETIME),
        ([pair(1, cn=IPv6Address("ff02::1").packed)], LIFETIME),
        ([PairKeys(HOME, CN, bytes(7), bytes(8), pair(1).keys)], LIFETIME),
        ([PairKeys(HOME, CN, bytes(8), bytes(33), pair(1).keys)], LIFETIME),
        ([PairKeys(HOME, CN, bytes(8), bytes(8), (GenerationKey(0, bytes(19)),))], LIFETIME),
    ],
)
def test_what_is_out_of_range_is_refused(registry, given, lifetime):
    before = rows(registry)
    with pytest.raises(BadInputError):
        registry.add_sent(set_id(1), "board-1", given, lifetime)
    assert rows(registry) == before


def test_revisions_tell_what_changed(registry):
    registry.add_sent(set_id(1), "board-1", [pair(1)], LIFETIME)
    first = registry.revision()
    registry.add_sent(set_id(2), "board-2", [pair(2, home=HOME_2)], LIFETIME)
    assert registry.revision() > first
    assert [p.home_address for p in registry.pairs_for_correspondent(CN, first)] == [HOME_2]
    second = registry.revision()
    registry.refuse(HOME)
    assert [p.refused for p in registry.pairs_for_correspondent(CN, second)] == [True]
    with pytest.raises(RefusedError):
        registry.refuse(IPv6Address("2001:db8:a::9").packed)


def test_nothing_prints_a_secret(registry):
    registry.add_sent(set_id(1), "board-1", [pair(1)], LIFETIME)
    shown = repr(contents(registry)) + repr(registry.node_by_board("board-1"))
    assert "secret" not in shown and kcn(1).hex() not in shown
    assert "home-non" not in shown


def test_files_are_private(path):
    old = os.umask(0)
    try:
        with Registry.open(path) as registry:
            registry.add_sent(set_id(1), "board-1", [pair(1)], LIFETIME)
            for file in path.parent.iterdir():
                assert stat.S_IMODE(file.stat().st_mode) == 0o600, file.name
    finally:
        os.umask(old)
    path.chmod(0o640)
    with pytest.raises(BadInputError, match="chmod 600"):
        Registry.open(path)


def test_the_default_is_in_a_private_folder_of_the_user(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    with pytest.raises(BadInputError, match="no registry"):
        Registry.open(create=False)
    Registry.open().close()
    Registry.open(create=False).close()
    folder = tmp_path / "data" / "roamkey"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert (folder / "registry.sqlite").exists()


def test_a_url_works_like_a_path(path):
    Registry.open(f"sqlite:///{path}").close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with pytest.raises(SystemRefusedError, match="driver"):
        Registry.open("nosuchdatabase://somewhere/")
    with pytest.raises(BadInputError, match="malformed"):
        Registry.open("://")


def test_damaged_files_are_one_line(path, tmp_path):
    path.write_bytes(b"no database at all, but long enough to be looked at" * 50)
    path.chmod(0o600)
    with pytest.raises(BadInputError, match="damaged") as caught:
        Registry.open(path)
    assert "\n" not in str(caught.value)
    with pytest.raises(BadInputError, match="no file"):
        Registry.open(tmp_path)
    with pytest.raises(SystemRefusedError):
        Registry.open(tmp_path / "missing" / "registry.sqlite")


def test_a_binding_through_udp_is_kept_with_its_endpoint(registry):
    registry.add_sent(set_id(1), "board-1", [pair(1)], LIFETIME)
    registry.add_sent(set_id(2), "board-2", [pair(2, home=HOME_2)], LIFETIME)
    by_udp, native = contents(registry)
    endpoint, private = bytes(range(34)), IPv6Address("::ffff:192.168.1.5").packed

    def commit(found, number, *more):
        binding = Binding(private, LIFETIME, 1, 1000, found.keys[0].key_id, *more)
        change = Change(found.pair_id, found.keys[0].key_id, 0, number, False, binding)
        assert registry.commit([change]) == set()
        return binding

    first, second = commit(by_udp, 0, endpoint), commit(native, 0)
    loaded = registry.bindings_for_correspondent(CN, 5)
    assert loaded == {by_udp.pair_id: first, native.pair_id: second}
    assert (loaded[by_udp.pair_id].endpoint, second.endpoint) == (endpoint, b"")
    assert {one.endpoint for one in registry.current_bindings(5)} == {endpoint, b""}
    assert {one.endpoint for one in registry.nodes_of_correspondent(CN)} == {endpoint, b""}
    assert {home: one for home, _, one in registry.followed(CN, None)} == {
        HOME: first, HOME_2: second,
    }  # fmt: skip
    again = commit(by_udp, 1)
    assert registry.bindings_for_correspondent(CN, 5)[by_udp.pair_id] == again
    with registry.reading() as c:
        assert c.scalar(text("SELECT count(*) FROM bindings WHERE endpoint IS NOT NULL")) == 0
