"""All nodes, the quiet ones first: their order, what is said of them, and which are asked for."""

import json
import sys

import pytest
from json_output import checked

from roamkey.cli import app, ending
from roamkey.fleet import overview
from roamkey.registry import GenerationKey, PairKeys, Registry
from roamkey.registry.records import HOME_AGENT, NodeUse, Use

NOW = 1_900_000_000_000
CN = b"\xfd\x01" + bytes(13) + b"\x02"
AGENT = b"\xfd\x01" + bytes(13) + b"\x03"


def home(number):
    return b"\xfd" + bytes(13) + number.to_bytes(2, "big")


def node(number, name=None, ago_s=None, bound=False, left=60_000, ends_s=None, **more):
    last = None if ago_s is None else NOW - 1000 * ago_s
    care_of, until = (home(9000 + number), NOW + 1000) if bound else (None, None)
    made = NodeUse(
        home(number), name, f"board-{number}", False, CN, "correspondent", 2, 0, left, ends_s,
        last, None, last, care_of, until,
    )  # fmt: skip
    return made._replace(**more)


def keyless(number):
    return node(number)._replace(**dict.fromkeys(NodeUse._fields[4:]))


def test_the_quiet_ones_first():
    found = [
        node(1, ago_s=5, bound=True),
        node(2, "boiler", ago_s=90_000),
        node(3),
        keyless(4),
        node(5, ago_s=4000, bound=True),
    ]
    rows = overview.rows(found, NOW)
    assert [row["home_address"] for row in rows] == ["fd00::3", "fd00::2", "fd00::5", "fd00::1",
                                                    "fd00::4"]  # fmt: skip
    states = [row["state"] for row in rows]
    assert states == ["never seen", "quiet", "bound", "bound", "keyless"]
    assert [row["quiet_for_s"] for row in rows] == [None, 90_000, 4000, 5, None]
    assert overview.summary(rows) == "5 nodes: 2 bound, 1 quiet, 1 never seen, 1 keyless"
    heading, *lines = overview.lines(rows)
    assert heading.split() == [
        "name",
        "home",
        "address",
        "board",
        "last",
        "seen",
        "where",
        "keys",
        "end",
        "in",
    ]
    assert "never seen" in lines[0] and "60000 uses left" in lines[0]
    assert lines[1].startswith("boiler  fd00::2") and "quiet for 1 d 1 h" in lines[1]
    assert "1 h 6 min ago" in lines[2] and "fd00::232d" in lines[2]
    assert "not known: no key" in lines[4] and "left" not in lines[4]


def test_of_two_peers_the_latest_word_and_the_soonest_end():
    found = [
        node(1, ago_s=500, left=70, ends_s=9000),
        node(1, ago_s=40, bound=True, left=500, ends_s=800, peer=AGENT, role=HOME_AGENT),
    ]
    (row,) = overview.rows(found, NOW)
    assert (row["quiet_for_s"], row["uses_left"], row["ends_in_s"]) == (40, 70, 800)
    assert [peer["role"] for peer in row["peers"]] == ["correspondent", HOME_AGENT]
    assert "13 min 20 s, 70 uses left" in overview.lines([row])[1]


def test_no_names_no_column():
    assert overview.lines(overview.rows([node(1)], NOW))[0].startswith("home address")
    assert len(overview.lines([])) == 1


def test_what_is_asked_for():
    rows = overview.rows([node(1, ago_s=100), node(2), keyless(3), node(4, ago_s=0)], NOW)
    assert [row["home_address"] for row in rows if overview.is_quiet(row, 60)] == [
        "fd00::2",
        "fd00::1",
    ]
    (row,) = overview.rows([node(1, left=99, ends_s=3600)], NOW)
    assert overview.ends_soon(row, 100, None) and not overview.ends_soon(row, 99, None)
    assert overview.ends_soon(row, None, 3601) and not overview.ends_soon(row, None, 3600)
    (row,) = overview.rows([keyless(1)], NOW)
    assert not overview.ends_soon(row, 1000, 1e9)


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0, "0 s"), (59, "59 s"), (60, "1 min"), (3661, "1 h 1 min"), (86_400, "1 d"),
     (90_061, "1 d 1 h"), (86_400 * 365 * 3 + 5, "3 y"), (86_400 * 365 * 500, "> 100 y")],
)  # fmt: skip
def test_times(seconds, said):
    assert overview.span(seconds) == said


def test_what_a_board_is_called_is_shown_not_obeyed():
    lines = overview.lines(overview.rows([node(1)._replace(board_id="a\x1b[2Jb")], NOW))
    assert "a?[2Jb" in lines[1]


# --- the command


@pytest.fixture
def run(monkeypatch, capsys):
    """A command's exit code and what it printed, in this process."""

    def running(*words):
        monkeypatch.setattr(sys, "argv", ["roamkey", *words])
        code = ending.run(app)
        return code, *capsys.readouterr()

    return running


@pytest.fixture
def registry(tmp_path):
    with Registry.open(tmp_path / "registry.sqlite") as opened:
        for number, name in ((1, "boiler"), (2, None), (3, None)):
            key = GenerationKey(0, b"secret-key-material-%03d" % number)
            pair = PairKeys(home(number), CN, b"home-non", b"careof-n", (key,))
            opened.add_sent(bytes((number,)) * 8, f"board-{number}", [pair], 600, name=name)
        pairs = {pair.home_address: pair for pair in opened.pairs_for_correspondent(CN)}
        uses = [Use(pairs[home(1)].pair_id, 1_700_000_000_000, None, 1, 7)]
        opened.note_uses(uses, 1_700_000_000_000)
    return str(tmp_path / "registry.sqlite")


def test_the_command(run, registry):
    code, out, err = run("nodes", "--registry", registry, "--json")
    assert (code, err) == (0, "")
    rows = checked("nodes", out)
    assert [row["name"] for row in rows] == [None, None, "boiler"]
    assert {row["registry"] for row in rows} == {registry}
    code, out, err = run("nodes", "--registry", registry)
    assert (code, err) == (0, "") and "boiler  fd00::1" in out
    assert "3 nodes: 1 quiet, 2 never seen; registry " + registry in out
    for words, count in (
        (("boiler",), 1), (("fd00::2",), 1), (("--quiet-for", "1h"), 3), (("--limit", "2"), 2),
        (("--key-below", "10"), 0), (("--key-below", "70000"), 3),
        (("--key-ends-within", "30d"), 0),
    ):  # fmt: skip
        code, out, _ = run("nodes", *words, "--registry", registry, "--json")
        assert (code, len(json.loads(out))) == (0, count), words
    code, out, err = run("nodes", "nobody", "--registry", registry)
    assert (code, out) == (4, "")
    assert err == "roamkey: NODE: no node in the registry has the name nobody\n"


def test_renaming(run, registry):
    code, out, err = run("rename", "boiler", "pump-1", "--registry", registry, "--json")
    assert (code, err) == (0, "") and checked("rename", out)["name"] == "pump-1"
    code, out, err = run("rename", "fd00::2", "pump-1", "--registry", registry)
    assert (code, out) == (4, "")
    assert err == "roamkey: the name pump-1 is that of fd00::1, board board-1\n"
    code, out, _ = run("rename", "pump-1", "--none", "--registry", registry)
    assert (code, out) == (0, "fd00::1: no name\n")
    for words, code in (
        (("fd00::2",), 2),
        (("fd00::2", "a", "--none"), 2),
        (("fd00::2", "a b"), 1),
    ):
        assert run("rename", *words, "--registry", registry)[0] == code
    code, _, err = run("rename", "fd00::9", "x", "--registry", registry)
    assert code == 4 and err == "roamkey: no node in the registry with the home address fd00::9\n"
