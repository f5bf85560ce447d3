"""Names of nodes: one node's at most, given up where no board holds the node, carried along."""

import pytest
from sqlalchemy import text

from roamkey.enroll import transferfile
from roamkey.errors import BadInputError, RefusedError
from roamkey.registry import GenerationKey, PairKeys, Registry

HOMES = [b"\xfd" + bytes(14) + bytes((last,)) for last in range(1, 9)]
CN = b"\xfd\x01" + bytes(13) + b"\x02"
LIFETIME = 600


@pytest.fixture
def registry(registry_url):
    with Registry.open(registry_url) as opened:
        yield opened


def add(registry, number, **more):
    """A node of a board of its own; its set."""
    key = GenerationKey(more.pop("generation", 0), b"secret-key-material-%03d" % number)
    pair = PairKeys(HOMES[more.pop("home", number)], CN, b"home-non", b"careof-n", (key,))
    registry.add_sent(bytes((number,)) * 8, f"board-{number}", [pair], LIFETIME, **more)
    return bytes((number,)) * 8


def test_a_name_is_one_nodes(registry):
    add(registry, 1, name="boiler-3")
    add(registry, 2)
    before = registry.revision()
    for name in ("boiler-3", "a", "9.b_c-D", "x" * 63):
        registry.rename(HOMES[1], name)
        assert registry.names() == {HOMES[1]: name}
        assert registry.home_address_of(name) == HOMES[1]
        assert registry.node_by_home_address(HOMES[1]).name == name
    assert registry.revision() == before + 3  # the first one was its name already
    with pytest.raises(RefusedError, match="that of fd00::2, board board-1"):
        registry.rename(HOMES[2], "x" * 63)
    with pytest.raises(RefusedError, match="no node in the registry"):
        registry.rename(HOMES[3], "other")
    registry.rename(HOMES[1], None)
    assert registry.names() == {} and registry.home_address_of("a") is None


@pytest.mark.parametrize(
    "name", ["", "-a", ".a", "_a", "x" * 64, "a b", "a:b", "fd00::1", "é", "a\n", "a\0", 7]
)
def test_what_is_no_name(registry, name):
    add(registry, 1)
    with pytest.raises(BadInputError, match="1 to 63"):
        registry.rename(HOMES[1], name)
    with pytest.raises(BadInputError, match="1 to 63"):
        add(registry, 2, name=name)
    assert registry.names() == {} and registry.node_by_home_address(HOMES[2]) is None


def test_a_taken_name_leaves_no_trace(registry):
    add(registry, 1, name="taken")
    with pytest.raises(RefusedError, match=r"the name taken is that of fd00::2, board board-1"):
        add(registry, 2, name="taken")
    assert registry.node_by_home_address(HOMES[2]) is None
    assert registry.sets_of_board("board-2") == []


def test_a_withdrawn_node_had_no_name(registry):
    registry.withdraw(add(registry, 1, name="short"))
    assert registry.names() == {}
    add(registry, 2, name="short")


def test_a_lost_boards_name_is_free(registry):
    add(registry, 1, name="pump")
    registry.retire(HOMES[1])
    assert registry.names() == {HOMES[1]: "pump"}  # until somebody else is called so
    add(registry, 2, name="pump")
    assert registry.names() == {HOMES[2]: "pump"}


def test_a_new_board_at_an_old_address_keeps_the_name(registry):
    add(registry, 1, name="pump")
    registry.retire(HOMES[1])
    add(registry, 2, home=1, generation=1)
    assert registry.names() == {HOMES[1]: "pump"}


def test_daemons_learn_of_it(registry):
    add(registry, 1, name="one")
    add(registry, 2)
    known = registry.revision()
    registry.rename(HOMES[2], "two")
    (pair,) = registry.pairs_for_correspondent(CN, known)
    assert (pair.home_address, pair.name) == (HOMES[2], "two")
    known = registry.revision()
    registry.retire(HOMES[1])
    registry.rename(HOMES[2], "one")
    found = {pair.home_address: pair.name for pair in registry.pairs_for_correspondent(CN, known)}
    assert found == {HOMES[1]: None, HOMES[2]: "one"}
    states = {one.home_address: one.name for one in registry.nodes_of_correspondent(CN)}
    assert states == found


def test_what_cant_be_a_name_isnt_shown(registry):
    add(registry, 1)
    with registry.writing() as c:
        c.execute(text("UPDATE nodes SET name = :name"), {"name": "\x1b[2J"})
    assert registry.names() == {}
    assert registry.node_by_home_address(HOMES[1]).name is None
    assert registry.pairs_for_correspondent(CN)[0].name is None


def test_names_go_to_other_machines(registry, tmp_path):
    for number in range(1, 5):
        add(registry, number, name=f"node-{number}" if number < 4 else None)
    file = tmp_path / "file"
    with Registry.open(tmp_path / "other.sqlite") as other:
        transferfile.export_to(registry, CN, file, b"passphrase")
        transferfile.import_from(other, file, b"passphrase")
        assert other.names() == registry.names()
        for number, name in ((1, None), (1, "node-2"), (2, "node-1")):
            if name == "node-2":
                registry.rename(HOMES[2], None)
            registry.rename(HOMES[number], name)
        registry.rename(HOMES[3], "mine")
        other.rename(HOMES[4], "mine")
        add(other, 5, name="here")
        registry.rename(HOMES[4], "here")
        transferfile.export_to(registry, CN, file, b"passphrase", force=True)
        _, taken = transferfile.import_from(other, file, b"passphrase")
        assert taken.names_kept == ["here"]
        names = {HOMES[1]: "node-2", HOMES[2]: "node-1", HOMES[3]: "mine", HOMES[5]: "here"}
        assert other.names() == names
        revision = other.revision()
        transferfile.import_from(other, file, b"passphrase")
        assert other.names() == names and other.revision() <= revision + 2


def test_what_boards_are_called(registry):
    add(registry, 1, name="one")
    add(registry, 2)
    add(registry, 3, name="gone")
    registry.retire(HOMES[3])
    assert registry.names_of_boards() == {"board-1": "one"}
