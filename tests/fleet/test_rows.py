"""The fleet's CSV and its results."""

from pathlib import Path

import pytest

from mip6 import addresses
from roamkey.enroll.peers import Peers
from roamkey.errors import BadInputError
from roamkey.fleet.rows import Outcome, Row, only_failed, read_fleet, read_results, write_results


def outcome(line: int, result: str, board: str = "", name: str = "") -> Outcome:
    return Outcome(
        line, name, board, "/dev/x", "2001:db8:a::1", result, "", "", 1.5, "1.28.0", "0.1", "ab"
    )


def test_every_column(tmp_path: Path) -> None:
    path = tmp_path / "fleet.csv"
    path.write_text(
        "\ufeffName, Port,board,firmware,home_address,correspondents\n"
        "Roof,,E6614C311B,../pico.uf2,2001:db8:a::1,2001:db8:c::2 2001:db8:c::3\n"
        "\n"
        "Cellar,/dev/ttyUSB0\n"
    )
    roof, cellar = read_fleet(path)
    assert (roof.line, roof.name, roof.board) == (2, "Roof", "e6614c311b")
    assert roof.firmware == tmp_path / "../pico.uf2"
    assert roof.home_address == addresses.parse("2001:db8:a::1")
    assert len(roof.peers.correspondents) == 2 and roof.title == "Roof"
    assert cellar == Row(4, "Cellar", port="/dev/ttyUSB0")


def test_columns_of_home_agents(tmp_path: Path) -> None:
    path = tmp_path / "fleet.csv"
    path.write_text(
        "name,home_agent,insecure_home_agent,return_routability\n"
        "Roof,2001:db8:a::fe,,2001:db8:d::5 2001:db8:d::6\n"
        "Cellar,,2001:db8:a::ff\n"
    )
    agent, other, *strangers = map(
        addresses.parse, ("2001:db8:a::fe", "2001:db8:a::ff", "2001:db8:d::5", "2001:db8:d::6")
    )
    roof, cellar = read_fleet(path)
    assert roof.peers == Peers((), tuple(strangers), agent)
    assert cellar.peers == Peers(home_agent=other, insecure=True)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("home_agent,insecure_home_agent\n2001:db8::1,2001:db8::2\n", "line 2: .* one home agent"),
        ("home_agent\nfe80::1\n", "line 2: fe80::1 is not unicast and global"),
        ("", "no usable header"),
        ("name\n", "no boards"),
        ("nmae\nx\n", "unknown column 'nmae'"),
        ("name,name\nx,y\n", "no usable header"),
        ("name\nx,y\n", "line 2: more values"),
        ("board\nxyz9\n", "line 2: xyz9: a board's id"),
        ("board\nabc\n", "four digits"),
        ("name\n../x\n", "line 2: a name"),
        ("home_address\n2001:db8::g\n", "line 2: .*not an IPv6 address"),
        ("home_address\nfe80::1\n", "line 2: fe80::1 is not unicast and global"),
        ("correspondents\nff0e::1\n", "line 2"),
        ("home_address\n2001:db8:a::1\n2001:DB8:A:0::1\n", "2001:db8:a::1 stands in it twice"),
        ("port\n/dev/a\n/dev/a\n", "twice"),
        ('name\n"x\n', "not a CSV"),
    ],
)
def test_bad_files(text: str, words: str, tmp_path: Path) -> None:
    path = tmp_path / "fleet.csv"
    path.write_text(text)
    with pytest.raises(BadInputError, match=words) as failure:
        read_fleet(path)
    assert "\n" not in str(failure.value)
    with pytest.raises(BadInputError, match="No such file"):
        read_fleet(tmp_path / "none.csv")
    path.write_bytes(b"name\n\xff\xfe\n")
    with pytest.raises(BadInputError, match="not a CSV"):
        read_fleet(path)


def test_results_there_and_back(tmp_path: Path) -> None:
    path = tmp_path / "results.csv"
    outcomes = [outcome(3, "failed", "aaaa", "b,c"), outcome(2, "ok", "bbbb", 'a"')]
    write_results(path, outcomes)
    assert read_results(path) == outcomes[::-1]
    assert list(tmp_path.iterdir()) == [path]
    path.write_text("name\nx\n")
    with pytest.raises(BadInputError, match="no results"):
        read_results(path)


def test_only_what_failed() -> None:
    rows = [Row(2, "a"), Row(3, "b"), Row(4, "c", port="/dev/c"), Row(5, "d"), Row(6, "e", "ffff")]
    earlier = [
        outcome(2, "ok", "aaaa", "a"),
        outcome(3, "failed", "bbbb", "b"),
        outcome(4, "failed", "cccc", "c"),
        outcome(6, "missing", "ffff", "e"),
    ]
    left = only_failed(rows, earlier)
    assert left == [Row(3, "b", "bbbb"), rows[2], rows[3], rows[4]]
    with pytest.raises(BadInputError, match="line 2 isn't what it was"):
        only_failed([Row(2, "other")], earlier)
