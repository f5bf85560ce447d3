"""What is known of a fleet's lines: nothing of it goes again."""

from pathlib import Path

import pytest

from roamkey.errors import BadInputError
from roamkey.fleet.results import (
    BEGUN,
    DONE,
    FAILED,
    MISSING,
    Outcome,
    Results,
    is_done,
    read_results,
    write_results,
)
from roamkey.fleet.rows import Row


def outcome(line: int, result: str, board: str = "", name: str = "", set_id: str = "") -> Outcome:
    address = f"2001:db8:a::{line}" if set_id else ""
    return Outcome(
        line, name, board, "/dev/x", address, result, "", "", 1.5, "1.28.0", "0.1", set_id
    )


def test_there_and_back(tmp_path: Path) -> None:
    path = tmp_path / "results.csv"
    outcomes = [outcome(3, FAILED, "aaaa", "b,c"), outcome(2, DONE, "bbbb", 'a"', "5e")]
    write_results(path, outcomes)
    assert read_results(path) == outcomes[::-1]
    write_results(path, [])
    assert read_results(path) == []
    path.write_bytes(b"")
    assert read_results(path) == []


def test_of_earlier_versions(tmp_path: Path) -> None:
    """They had no column `plan`."""
    path = tmp_path / "results.csv"
    write_results(path, [outcome(2, DONE, "aaaa")])
    lines = [line.rpartition(",")[0] for line in path.read_text().splitlines()]
    path.write_text("\n".join(lines) + "\n")
    (found,) = read_results(path)
    assert found == outcome(2, DONE, "aaaa") and is_done(found, "aaaa", "any")


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("1.5", "nan", "line 2: damaged"),
        (",ok,", ",fine,", "line 2: damaged"),
        ("2,,", "two,,", "line 2: damaged"),
        ("set_id", "setid", "no results of roamkey batch"),
        ("line,name", "line,port", "no results of roamkey batch"),
    ],
)
def test_what_is_no_file_of_results(old: str, new: str, words: str, tmp_path: Path) -> None:
    path = tmp_path / "results.csv"
    write_results(path, [outcome(2, DONE, "aaaa")])
    path.write_text(path.read_text().replace(old, new, 1))
    with pytest.raises(BadInputError, match=words) as failure:
        read_results(path)
    assert "\n" not in str(failure.value)


def test_a_line_is_known_by_its_board_its_name_or_its_place(tmp_path: Path) -> None:
    earlier = [
        outcome(2, DONE, "aaaa01", "roof", "01"),
        outcome(3, DONE, "bbbb01", "", "02"),
        outcome(4, DONE, "cccc01", "", "03"),
        outcome(5, MISSING, "", "gone"),
        outcome(6, DONE, "dddd01", "cellar", "04"),
    ]
    rows = [
        Row(2, board="bbbb"),
        Row(3, "roof"),
        Row(4),
        Row(5),
        Row(6, "cellar", "eeee"),
    ]
    results = Results(tmp_path / "results.csv", rows, earlier)
    assert [(each.line, each.board) for each in results.outcomes] == [
        (2, "bbbb01"),
        (3, "aaaa01"),
        (4, "cccc01"),
    ]
    assert [each.board for each in results.beside] == ["dddd01"]


def test_nothing_known_goes(tmp_path: Path) -> None:
    path = tmp_path / "results.csv"
    row = Row(2)
    results = Results(path, [row], [outcome(2, DONE, "aaaa", "", "01")])
    results.put(outcome(2, MISSING))
    assert results.of(row) == outcome(2, DONE, "aaaa", "", "01")
    for result in (BEGUN, FAILED):
        results.put(outcome(2, result, "aaaa"))
        (found,) = read_results(path)
        assert (found.result, found.set_id, found.home_address) == (result, "01", "2001:db8:a::2")
    results.put(outcome(2, BEGUN, "bbbb"))
    results.put(outcome(2, DONE, "bbbb", "", "02"))
    assert [(each.board, each.set_id) for each in read_results(path)] == [
        ("bbbb", "02"),
        ("aaaa", "01"),
    ]
    # and the one beside it isn't taken for the line's own later
    again = Results(path, [row], read_results(path), lambda board: board == "bbbb")
    assert [each.board for each in again.outcomes] == ["bbbb"]
    assert [each.board for each in again.beside] == ["aaaa"]


def test_a_board_that_was_begun_is_told_of_once(tmp_path: Path) -> None:
    """Also where another line got it later; until then it stays, with the port where it waits."""
    path = tmp_path / "results.csv"
    results = Results(path, [Row(2), Row(3)], [outcome(2, BEGUN, "aaaa")])
    results.put(outcome(2, BEGUN, "bbbb"))
    assert [(each.line, each.board) for each in read_results(path)] == [(2, "bbbb"), (2, "aaaa")]
    results.put(outcome(3, BEGUN, "aaaa"))
    assert [(each.line, each.board) for each in read_results(path)] == [(2, "bbbb"), (3, "aaaa")]
    results.put(outcome(3, BEGUN, "bbbb"))
    assert [(each.line, each.board) for each in read_results(path)] == [(3, "bbbb"), (3, "aaaa")]


@pytest.mark.parametrize(
    ("board", "plan", "done"), [("aaaa", "p", True), ("bbbb", "p", False), ("aaaa", "q", False)]
)
def test_what_is_done(board: str, plan: str, done: bool) -> None:
    known = Outcome(2, "", "aaaa", "", "", DONE, "", "", 1.0, "", "", "01", "p")
    assert is_done(known, board, plan) is done
    assert not is_done(None, board, plan)
