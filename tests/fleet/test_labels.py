"""Labels: what the codes hold, and that a scanner's library reads them."""

from pathlib import Path

import pytest

from roamkey.errors import BadInputError
from roamkey.fleet.labels import SHEET, text_of, write_labels
from roamkey.fleet.results import Outcome


def outcome(board: str, result: str = "ok", name: str = "<b>Roof & co</b>") -> Outcome:
    return Outcome(
        *(2, name, board, "/dev/x", "2001:db8:a::1", result, "", "", 1.0, "1.28.0", "0.1"),
        "0123456789abcdef",
    )


def test_codes_and_a_sheet(tmp_path: Path) -> None:
    done = outcome("e6614c311b7e6f35")
    written = write_labels(tmp_path / "labels", [done, outcome("ffff", "failed")])
    assert [path.name for path in written] == ["e6614c311b7e6f35.png", SHEET]
    assert written[0].read_bytes().startswith(b"\x89PNG\r\n")
    assert text_of(done) == "roamkey:e6614c311b7e6f35?home=2001:db8:a::1"
    sheet = written[1].read_text()
    assert sheet.count("<svg") == 1 and "ffff" not in sheet
    assert "&lt;b&gt;Roof &amp; co" in sheet and "2001:db8:a::1" in sheet
    assert "0123456789abcdef" not in sheet, "not even the set's public name"


def test_labels_of_earlier_runs_stay(tmp_path: Path) -> None:
    write_labels(tmp_path, [outcome("aaaa01", name="Roof"), outcome("bbbb01", name="Cellar")])
    write_labels(tmp_path, [outcome("bbbb01", name="Attic"), outcome("cccc01")])
    write_labels(tmp_path, [])
    sheet = (tmp_path / SHEET).read_text()
    assert [sheet.count(f"<span>{board}01</span>") for board in ("aaaa", "bbbb", "cccc")] == [
        1
    ] * 3
    assert "Roof" in sheet and "Attic" in sheet and "Cellar" not in sheet
    assert len(list(tmp_path.iterdir())) == 4
    (tmp_path / SHEET).write_text("<p>my own</p>")
    with pytest.raises(BadInputError, match="no sheet of labels"):
        write_labels(tmp_path, [])
    assert (tmp_path / SHEET).read_text() == "<p>my own</p>"
