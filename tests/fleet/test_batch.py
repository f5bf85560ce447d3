"""Which board becomes which line, and whole batches on virtual boards."""

import fcntl
import os
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import command
import pytest
from json_output import checked

from roamkey.board import discovery
from roamkey.board.discovery import Found, Port
from roamkey.board.serial_client import SerialClient
from roamkey.enroll.plan import Plan
from roamkey.errors import BoardError
from roamkey.fleet import batch
from roamkey.fleet.batch import Work, run
from roamkey.fleet.plans import resumed
from roamkey.fleet.prepare import Progress, Wish, is_registered
from roamkey.fleet.results import Outcome, read_results
from roamkey.fleet.rows import Row
from roamkey.lab.board import VirtualBoard
from roamkey.registry import Registry

COMMON = ("--home-prefix", "2001:db8:a::/64", "--correspondent", "2001:db8:c::2")


# --- which board is which


def wish(row: Row) -> Wish:
    return Wish(Plan(bytes(16), ()))


@pytest.fixture
def plugged(monkeypatch: pytest.MonkeyPatch) -> list[Found]:
    """What is plugged in; preparing a board takes no time and no board."""
    boards: list[Found] = []

    def look_at_all(ports: list[Port], ask_s: float = 0) -> list[Found]:
        return [found for found in boards if found.port in ports]

    monkeypatch.setattr(discovery, "ports", lambda: [found.port for found in boards])
    monkeypatch.setattr(discovery, "look_at_all", look_at_all)
    monkeypatch.setattr(batch, "prepare", lambda registry, wish, progress: None)
    monkeypatch.setattr(batch, "_LOOK_EACH_S", 0.01)
    return boards


def board(path: str, name: str | None, set_id: str | None = None) -> Found:
    if name is None:
        return Found(Port(path), discovery.SILENT)
    return Found(
        Port(path),
        discovery.AGENT,
        board=name,
        micropython="1.28.0",
        keystore="ready" if set_id else "empty",
        set_id=set_id,
    )


def taken(rows: list[Row], **options: object) -> dict[int, str]:
    """The board that each line got, or its result where it got none."""
    work = Work(rows, wish, wait_s=0.05, **options)  # type: ignore[arg-type]
    outcomes = run(None, work)  # type: ignore[arg-type]
    return {each.line: each.board if each.result == "ok" else each.result for each in outcomes}


def test_lines_that_name_a_board_come_first(plugged: list[Found]) -> None:
    plugged += [board("/p1", "aaaa01"), board("/p2", "bbbb01"), board("/p3", "cccc01")]
    rows = [Row(2), Row(3, board="aaaa"), Row(4, port="/p3"), Row(5), Row(6, port="/p9")]
    assert taken(rows) == {2: "bbbb01", 3: "aaaa01", 4: "cccc01", 5: "missing", 6: "missing"}


def test_lines_that_name_none_leave_boards_with_keys_alone(plugged: list[Found]) -> None:
    plugged += [board("/p1", "aaaa", "00" * 8), board("/p2", None)]
    assert taken([Row(2)]) == {2: "missing"}
    assert taken([Row(2)], replace=True) == {2: "aaaa"}
    assert taken([Row(2, board="aaaa")]) == {2: "aaaa"}


def test_ports_of_silent_and_other_boards(plugged: list[Found], tmp_path: Path) -> None:
    plugged += [board("/p1", None), board("/p2", "bbbb")]
    assert taken([Row(2, port="/p1")]) == {2: "missing"}
    assert taken([Row(2, board="aaaa", port="/p2")]) == {2: "missing"}
    # A bare chip answers once it is flashed.
    silent = [Row(2, port="/p1", firmware=tmp_path)]
    (outcome,) = run(None, Work(silent, wish, wait_s=0.05))  # type: ignore[arg-type]
    assert outcome.result == "ok"


def test_a_line_is_its_boards_wherever_it_is(plugged: list[Found]) -> None:
    plugged += [board("/p1", "aaaa", "00" * 8), board("/p2", "bbbb"), board("/p3", "cccc")]
    bound = Row(2, port="/p3", bound="aaaa")
    assert taken([Row(3), bound, Row(4, likely="bbbb")]) == {2: "aaaa", 3: "cccc", 4: "bbbb"}
    assert taken([Row(2, port="/p2", bound="dddd"), Row(3, likely="dddd")]) == {
        2: "missing",
        3: "bbbb",
    }
    # Boards of other lines are left alone, even where keys may be replaced.
    assert taken([Row(2)], taken=frozenset({"aaaa", "bbbb"}), replace=True) == {2: "cccc"}
    assert taken([Row(2, port="/p2")], taken=frozenset({"bbbb"})) == {2: "bbbb"}


@pytest.mark.parametrize(
    ("row", "words"),
    [
        (Row(2), "no board without keys is plugged in (3 other port(s) asked: 1 with keys, 1 "),
        (Row(2, port="/nowhere/p9"), "not plugged in: no port /nowhere/p9"),
        (Row(2, port="/dev/null"), "/dev/null: not MicroPython"),
        (Row(2, port="/dev/zero", board="aaaa"), "/dev/zero: board bbbb01 is there, not aaaa"),
        (Row(2, board="ffff"), "no board ffff is plugged in (3 other port(s) asked)"),
        (Row(2, bound="ffff01"), "`roamkey retire --board ffff01` frees the line"),
    ],
)
def test_why_there_is_no_board(row: Row, words: str, plugged: list[Found]) -> None:
    """What is plugged in isn't said not to be."""
    plugged += [
        board("/dev/zero", "bbbb01", "00" * 8),
        Found(Port("/dev/null"), discovery.SILENT, "not MicroPython"),
        replace(board("/dev/full", "cccc01", "00" * 8), set_id=None, keystore="damaged"),
    ]
    work = Work([row], wish, wait_s=0.05, taken=frozenset({"cccc01"}))
    (outcome,) = run(None, work)  # type: ignore[arg-type]
    assert outcome.result == "missing" and words in outcome.error


def test_stopped_it_finishes_what_was_begun(
    plugged: list[Found], monkeypatch: pytest.MonkeyPatch
) -> None:
    plugged += [board(f"/p{name}", name) for name in ("aaaa", "bbbb", "cccc")]
    stop = threading.Event()

    def prepare(registry: Registry, wish: Wish, progress: Progress) -> None:
        progress.note()
        stop.set()
        time.sleep(0.3)

    monkeypatch.setattr(batch, "prepare", prepare)
    begun: list[str] = []
    rows = [Row(2), Row(3), Row(4), Row(5)]
    work = Work(
        *(rows, wish), jobs=1, stop=stop, begun=lambda outcome: begun.append(outcome.board)
    )
    outcomes = run(None, work)  # type: ignore[arg-type]
    assert [(each.board, each.result) for each in outcomes] == [("aaaa", "ok")]
    assert begun == ["aaaa"]


def test_what_an_interrupted_run_did_is_not_done_again(
    plugged: list[Found], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither the flash, nor new keys in the place of old ones; on another board both."""
    plugged += [board("/p1", "aaaa", "0b" * 8), board("/p2", "bbbb", "0c" * 8)]
    done: dict[str, Wish] = {}
    notes: list[Outcome] = []

    def prepare(registry: Registry, wish: Wish, progress: Progress) -> None:
        done[progress.board] = wish
        progress.at("install")
        progress.note()

    monkeypatch.setattr(batch, "prepare", prepare)

    def go(*rows: Row) -> None:
        run(None, Work(list(rows), wish, replace=True, begun=notes.append))  # type: ignore[arg-type]

    def wish(row: Row) -> Wish:
        return Wish(Plan(bytes(16), ()), replace=True)

    digest = wish(Row(2)).digest
    assert digest == wish(Row(3)).digest
    go(Row(2), Row(3))
    assert [(each.board, each.step, each.set_id, each.plan) for each in notes] == [
        ("aaaa", "install", "0b" * 8, digest),
        ("bbbb", "install", "0c" * 8, digest),
    ]
    assert all(each.replace and each.held is None and not each.flashed for each in done.values())
    # A run later: one has new keys by now, which aren't to be replaced; one was verified.
    resume = [
        resumed(Row(2, bound="aaaa"), replace(notes[0], set_id="0a" * 8), digest),
        resumed(Row(3, bound="bbbb"), replace(notes[1], step="verify"), digest),
    ]
    assert resumed(Row(2), notes[0], "another plan") == Row(2)
    notes.clear()
    go(*resume)
    assert done["aaaa"].held == "0a" * 8 and done["aaaa"].replace and done["aaaa"].flashed
    assert not done["bbbb"].replace
    assert [(each.step, each.set_id) for each in notes] == [
        ("install", "0a" * 8),
        ("verify", "0c" * 8),
    ]


def test_boards_that_appear_later(plugged: list[Found]) -> None:
    plugged.append(board("/p1", "aaaa"))

    def ended(outcome: Outcome) -> None:
        if outcome.board == "aaaa":
            plugged.append(board("/p2", "bbbb"))

    work = Work([Row(2), Row(3)], wish, wait_s=10, ended=ended)
    started = time.monotonic()
    assert [each.board for each in run(None, work)] == ["aaaa", "bbbb"]  # type: ignore[arg-type]
    assert time.monotonic() - started < 5


def test_one_that_fails_does_not_stop_the_others(
    plugged: list[Found], monkeypatch: pytest.MonkeyPatch
) -> None:
    plugged += [board(f"/p{name}", name) for name in ("aaaa", "bbbb", "cccc")]

    def prepare(registry: Registry, wish: Wish, progress: Progress) -> None:
        progress.at("install")
        if progress.board == "aaaa":
            raise BoardError("gone\naway")
        if progress.board == "bbbb":
            raise ZeroDivisionError("secret")

    monkeypatch.setattr(batch, "prepare", prepare)
    rows = [Row(2, board="aaaa"), Row(3, board="bbbb"), Row(4, board="cccc")]
    outcomes = run(None, Work(rows, wish, wait_s=1))  # type: ignore[arg-type]
    assert [(each.result, each.step, each.error) for each in outcomes] == [
        ("failed", "install", "gone away"),
        ("failed", "install", "internal error: ZeroDivisionError"),
        ("ok", "", ""),
    ]


# --- whole batches


@pytest.fixture
def roamkey(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> Callable[..., tuple[int, str, str]]:
    """Runs the command in this process with a registry of its own: exit code, stdout, stderr."""
    monkeypatch.setenv("ROAMKEY_REGISTRY", str(tmp_path / "registry.sqlite"))
    return partial(command.run, monkeypatch, capfd)


@pytest.mark.slow
@pytest.mark.lab
def test_a_batch_and_its_failures_again(lab_network, roamkey, tmp_path: Path) -> None:
    """Boards in networks of their own, without any uplink."""
    boards = [
        VirtualBoard(tmp_path / f"{name}.img", spawn=lab_network.add_node(name).popen)
        for name in ("one", "two", "three", "four")
    ]
    try:
        boards[2].install({"/main.py": b"print('mine')\n"})
        for each in boards:
            each.start()
        os.environ["ROAMKEY_PORTS"] = ":".join(each.port for each in boards[:3])
        fleet = tmp_path / "fleet.csv"
        fleet.write_text(
            "name,port,board,home_address\n"
            f"Roof,,{boards[1].unique_id.hex()[:8]},\n"
            f"Mine,{boards[2].port},,2001:db8:a::77\n"
            "Gone,,0123456789,\n"
            "Any,,,\n"
        )
        results, labels = tmp_path / "fleet.results.csv", tmp_path / "labels"
        options = (*COMMON, "--wait", "4", "--labels", labels)
        code, out, error = roamkey("batch", fleet, *options, "--json")
        assert code == 3 and "2 of 4 boards not done" in error and error.count("\n") == 1
        told = checked("batch", out)
        roof, mine, gone, some = told["boards"]
        assert [each["result"] for each in told["boards"]] == ["ok", "failed", "missing", "ok"]
        assert (roof["board"], roof["home_address"]) == (
            boards[1].unique_id.hex(),
            "2001:db8:a::1",
        )
        assert (some["board"], some["home_address"]) == (
            boards[0].unique_id.hex(),
            "2001:db8:a::2",
        )
        assert mine["step"] == "install" and "/main.py of its own" in mine["error"]
        assert {path.name for path in labels.iterdir()} == {
            f"{roof['board']}.png",
            f"{some['board']}.png",
            "labels.html",
        }
        with SerialClient(boards[0].port) as client:
            assert client.identify().set_id == some["set_id"]
        assert [each.result for each in read_results(results)] == [
            "ok",
            "failed",
            "missing",
            "ok",
        ]

        # Mended, and again: what was done stays, labels too.
        boards[2].power_cut()
        boards[2].remove_file("/main.py")
        boards[2].power_on()
        code, out, error = roamkey("batch", fleet, *options)
        assert code == 3 and "1 of 4 boards not done" in error and "2 of them before" in out
        assert "2001:db8:a::77" in out and "Gone: no board 0123456789 is plugged in" in out
        assert max(map(len, out.splitlines()[:3])) <= 80
        assert [each.result for each in read_results(results)] == ["ok", "ok", "missing", "ok"]
        assert len(list(labels.iterdir())) == 4

        # Nobody is plugged in any more: nothing is lost. Everything again: the keys stay.
        known, there = read_results(results), os.environ.pop("ROAMKEY_PORTS")
        assert roamkey("batch", fleet, *options, "--wait", "0")[0] == 3
        after = read_results(results)
        assert [*after[:2], after[3]] == [*known[:2], known[3]] and after[2].result == "missing"
        assert len(list(labels.iterdir())) == 4
        os.environ["ROAMKEY_PORTS"] = there
        boots = boards[1].boots
        roamkey("batch", fleet, *options)
        assert boards[1].boots == boots
        roamkey("batch", fleet, *options, "--again")
        assert boards[1].boots > boots
        before = known[0].set_id
        assert read_results(results)[0].set_id == before

        # With a site nothing has to be said; what a board holds already is told anew.
        roamkey("init", "--correspondent", "2001:db8:c::2", "--home-prefix", "2001:db8:a::/64")
        roamkey("init", "--reach", "cn.example")
        fleet.write_text(
            "board,reach\n"
            f"{boards[0].unique_id.hex()},192.0.2.1:443 192.0.2.2\n"
            f"{boards[1].unique_id.hex()},\n"
        )
        code, _, error = roamkey("batch", fleet, "--wait", "1", "--native", "off")
        assert code == 0, error
        assert read_results(results)[1].set_id == before
        for board, reach in (
            (boards[0], ["192.0.2.1:443", "192.0.2.2:4191"]),
            (boards[1], ["cn.example:4191"]),
        ):
            with SerialClient(board.port) as client:
                keystore = client.status()["keystore"]
            assert keystore["peers"][0]["reach"] == reach and keystore["native"] is False

        # One board by itself.
        code, out, error = roamkey("setup", "--port", boards[3].port, *COMMON, "--json")
        assert code == 0, error
        told = checked("setup", out)
        assert told["home_address"] == "2001:db8:a::3"
        code, _, error = roamkey("setup", "--port", boards[3].port, *COMMON, "--registered", "0.5")
        assert code == 3 and "not registered after" in error
    finally:
        for each in boards:
            each.stop()


AGENT, OTHER_AGENT, STRANGER = "2001:db8:a::1", "2001:db8:a::ff", "2001:db8:d::5"


def peers_of(board: VirtualBoard) -> dict[str, tuple[str, int]]:
    """What a board knows: role and number of keys, by address."""
    with SerialClient(board.port) as client:
        peers = client.status()["keystore"]["peers"]
    return {one["correspondent"]: (one["role"], len(one["generations"])) for one in peers}


@pytest.mark.lab
def test_home_agents_and_correspondents_without_keys(lab_network, roamkey, tmp_path: Path) -> None:
    """By columns and by options; again nothing changes, and what is changed is told."""
    boards = [
        VirtualBoard(tmp_path / f"{name}.img", spawn=lab_network.add_node(name).popen)
        for name in ("roof", "cellar", "attic")
    ]
    try:
        for each in boards:
            each.start()
        roof, cellar, attic = boards
        os.environ["ROAMKEY_PORTS"] = ":".join(each.port for each in boards)
        fleet = tmp_path / "fleet.csv"

        def write(roofs_stranger: str) -> None:
            fleet.write_text(
                "name,port,correspondents,return_routability,home_agent,insecure_home_agent,reach\n"
                f"Roof,{roof.port},,{roofs_stranger},,,{AGENT}=192.0.2.9:443\n"
                f"Cellar,{cellar.port},,{STRANGER},,{OTHER_AGENT},\n"
                f"Attic,{attic.port},2001:db8:c::3,,{OTHER_AGENT},,\n"
            )

        write(STRANGER)
        options = (*COMMON, "--home-agent", AGENT, "--generations", "2", "--wait", "4")
        code, out, error = roamkey("batch", fleet, *options, "--json")
        assert code == 0 and error.count("\n") == 1, error
        assert error.startswith("roamkey: warning: home agent 2001:db8:a::ff is given no key")
        first = checked("batch", out)["boards"]
        # the prefix's first address is the home agent's
        assert [each["home_address"] for each in first] == [
            "2001:db8:a::2",
            "2001:db8:a::3",
            "2001:db8:a::4",
        ]
        assert peers_of(roof) == {
            "2001:db8:c::2": ("correspondent", 2),
            STRANGER: ("correspondent", 0),
            AGENT: ("home agent", 2),
        }
        assert peers_of(cellar) == {
            "2001:db8:c::2": ("correspondent", 2),
            STRANGER: ("correspondent", 0),
            OTHER_AGENT: ("home agent", 0),
        }
        assert peers_of(attic) == {
            "2001:db8:c::3": ("correspondent", 2),
            OTHER_AGENT: ("home agent", 2),
        }
        with SerialClient(roof.port) as client:
            status = client.status()
        reach = {one["correspondent"]: one["reach"] for one in status["keystore"]["peers"]}
        assert reach == {"2001:db8:c::2": [], STRANGER: [], AGENT: ["192.0.2.9:443"]}
        assert status["node"]["home_agent"] == AGENT

        # With --again, --replace gives each new keys, once; without it what is there stays, and
        # what is another set, if only by a peer without a key, isn't put over it.
        code, out, _ = roamkey("batch", fleet, *options, "--replace", "--json")
        there = checked("batch", out)["boards"]
        assert code == 0 and [{**one, "earlier": False} for one in there] == first
        code, out, _ = roamkey("batch", fleet, *options, "--replace", "--again", "--json")
        again = checked("batch", out)["boards"]
        assert code == 0 and not {one["set_id"] for one in first} & {
            one["set_id"] for one in again
        }
        code, out, _ = roamkey("batch", fleet, *options, "--replace", "--json")
        third = checked("batch", out)["boards"]
        assert code == 0
        assert [one["set_id"] for one in third] == [one["set_id"] for one in again]
        write("2001:db8:d::6")
        code, out, error = roamkey("batch", fleet, *options, "--json")
        assert code == 3
        changed = checked("batch", out)["boards"]
        assert [each["result"] for each in changed] == ["failed", "ok", "ok"]
        assert "--replace" in changed[0]["error"] and STRANGER in peers_of(roof)

        # One board by itself; without a network it is said which of them it isn't registered at.
        setup = ("setup", "--port", attic.port, *COMMON, "--replace", "--registered", "0.5")
        setup += ("--insecure-home-agent", AGENT, "--return-routability", STRANGER)
        code, _, error = roamkey(*setup)
        assert code == 3 and "not registered after" in error and "detached" in error
        assert peers_of(attic) == {
            "2001:db8:c::2": ("correspondent", 4),
            STRANGER: ("correspondent", 0),
            AGENT: ("home agent", 0),
        }
    finally:
        for each in boards:
            each.stop()


@pytest.mark.parametrize(
    ("where", "state", "authorized_by", "expected"),
    [
        ("away", "bound", "static key", True),
        ("away", "bound", "return routability", True),
        ("away", "registering", "return routability", False),
        ("away", "home", "return routability", True),  # the home agent stands for it
        ("home", "home", "return routability", False),
        ("away", "refused", "nothing", False),
    ],
)
def test_who_counts_as_registered(
    where: str, state: str, authorized_by: str, expected: bool
) -> None:
    binding = {"state": state, "authorized_by": authorized_by}
    assert is_registered({"state": where}, binding) is expected


@pytest.mark.parametrize(
    ("columns", "values", "options", "words"),
    [
        (
            "return_routability",
            STRANGER,
            COMMON,
            "line 3: 2001:db8:d::5: return routability needs",
        ),
        ("home_agent", "2001:db8:c::2", COMMON, "line 3: the home agent is given as a"),
        (
            "return_routability",
            "2001:db8:c::2",
            (*COMMON, "--home-agent", AGENT),
            "line 3: a corr",
        ),
        ("home_address", AGENT, (*COMMON, "--home-agent", AGENT), "line 3: the home address is"),
        ("name", "x", (*COMMON, "--home-agent", AGENT, "--no-home-agent"), "give one of"),
    ],
)
def test_a_line_that_no_board_would_take_is_named(
    columns, values, options, words, roamkey, tmp_path: Path
) -> None:
    fleet = tmp_path / "fleet.csv"
    fleet.write_text(f"firmware,{columns}\n,\n,{values}\n")
    code, out, error = roamkey("batch", fleet, *options)
    assert code in (1, 2) and out == "" and words in " ".join(error.split())
    assert code == 2 or error.count("\n") == 1


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--correspondent", "2001:db8:c::2"), "line 2 has no home address"),
        (("--home-prefix", "2001:db8:a::/64"), "line 2 has no correspondent"),
        ((*COMMON, "--correspondent", "ff02::1"), "not unicast and global"),
        ((*COMMON, "--firmware", "/none"), "/none: No such file"),
        (("--home-prefix", "x", "--correspondent", "2001:db8:c::2"), "x: not an IPv6 prefix"),
        ((*COMMON, "--results", "/none/results.csv"), "/none/results.csv"),
    ],
)
def test_what_is_wrong_is_said_at_once(options, words, roamkey, tmp_path: Path) -> None:
    fleet = tmp_path / "fleet.csv"
    fleet.write_text("name\nRoof\n")
    code, out, error = roamkey("batch", fleet, *options)
    assert code in (1, 5) and out == "" and error.count("\n") == 1 and words in error


def test_what_is_wrong_with_other_files_is_said_at_once(roamkey, tmp_path: Path) -> None:
    fleet, results = tmp_path / "fleet.csv", tmp_path / "fleet.results.csv"
    fleet.write_text("name,firmware\nRoof,\nAttic,none.uf2\n")
    code, _, error = roamkey("batch", fleet, *COMMON)
    assert code == 1 and f"{fleet}, line 3, firmware: " in error and "No such file" in error
    fleet.write_text("name\nRoof\n")
    for mine in ("name\nRoof\n", "name\n", "my notes\n"):
        results.write_text(mine)
        code, _, error = roamkey("batch", fleet, *COMMON)
        assert code == 1 and "no results of roamkey batch" in error
        assert results.read_text() == mine
    results.unlink()
    with fleet.open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        code, _, error = roamkey("batch", fleet, *COMMON)
    assert code == 4 and "another `roamkey batch` works on it" in error
