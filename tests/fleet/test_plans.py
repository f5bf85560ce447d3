"""Which board a line is already: by results that the registry bears out, else by the registry."""

from pathlib import Path

import pytest

from mip6 import addresses
from roamkey.enroll.peers import Peers
from roamkey.enroll.plan import Plan
from roamkey.errors import BadInputError
from roamkey.fleet.plans import Common, bound
from roamkey.fleet.prepare import Wish
from roamkey.fleet.results import BEGUN, DONE, Outcome, Results
from roamkey.fleet.rows import Row
from roamkey.registry import Registry
from roamkey.registry.records import pairs_of

PEER = addresses.parse("2001:db8:c::2")
HOME = addresses.parse("2001:db8:a::1")


def outcome(line: int, board: str, result: str = DONE, name: str = "") -> Outcome:
    return Outcome(line, name, board, "", "", result, "", "", 1.0, "", "", "")


@pytest.fixture
def registry(tmp_path: Path):
    """Board aaaa01 has keys and is called roof."""
    with Registry.open(tmp_path / "registry.sqlite") as opened:
        credentials = Plan(HOME, (PEER,)).make({PEER: 0})
        opened.add_sent(credentials.set_id, "aaaa01", pairs_of(credentials), 3600, name="roof")
        opened.confirm(credentials.set_id)
        yield opened


def test_a_line_is_bound_to_who_holds_its_keys(registry: Registry, tmp_path: Path) -> None:
    rows = [Row(2, "roof"), Row(3, home_address=HOME), Row(4), Row(5), Row(6, board="cccc")]
    rows += [Row(7, "roof", board="dddd"), Row(8)]
    results = Results(
        tmp_path / "results.csv",
        rows,
        [outcome(4, "aaaa01", BEGUN), outcome(5, "bbbb01"), outcome(6, "cccc01", BEGUN)],
    )
    found = bound(registry, rows, results)
    assert [(row.bound, row.likely) for row in found] == [
        ("aaaa01", ""),  # results or none, by its name
        ("aaaa01", ""),  # and by its address
        ("aaaa01", ""),  # begun only, and yet it got keys
        ("", "bbbb01"),  # done once, and erased since
        ("", ""),
        ("", ""),  # the name is refused to its own board, with reason
        ("", ""),
    ]


def common(*correspondents: bytes) -> Common:
    return Common(Path("fleet.csv"), Peers(correspondents), False, None, None, 3600, 4, True)


def test_what_is_wrong_is_said_with_its_line() -> None:
    with pytest.raises(BadInputError, match=r"^fleet\.csv, line 3 has no correspondent"):
        common().plan(Row(3))
    with pytest.raises(BadInputError, match=r"^fleet\.csv, line 3: the home address is given as"):
        common(PEER).plan(Row(3, home_address=PEER))
    with pytest.raises(BadInputError, match=r"^fleet\.csv, line 3, reach: "):
        common(PEER).plan(Row(3, reach=("*",)))


def test_a_digest_is_another_where_a_board_becomes_something_else(tmp_path: Path) -> None:
    plan = common(PEER).plan(Row(2, home_address=HOME))
    digest = Wish(plan).digest
    assert Wish(common(PEER).plan(Row(9, home_address=HOME)), replace=True).digest == digest
    others = [
        common(PEER, HOME).plan(Row(2, home_address=PEER[:15] + b"\x09")),
        common(PEER).plan(Row(2, "roof", home_address=HOME)),
        common(PEER).plan(Row(2, home_address=HOME, reach=("192.0.2.1",))),
    ]
    assert len({digest, *(Wish(other).digest for other in others)}) == 4
