"""The mobile node's state table in docs/DESIGN.md is the one in the code."""

from pathlib import Path

from mip6.bindings import states
from roamkey import state_table

DESIGN = Path(__file__).parents[1] / "docs" / "DESIGN.md"


def test_the_document_holds_the_table_of_the_code(tmp_path: Path) -> None:
    copy = tmp_path / "DESIGN.md"
    copy.write_text(DESIGN.read_text())
    assert state_table.update(copy), "no marks of the state table in docs/DESIGN.md"
    assert copy.read_text() == DESIGN.read_text(), "stale: make docs"


def test_every_row_is_in_it() -> None:
    lines = state_table.markdown().splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    for state, event, action, following in states.rows():
        assert any(
            len(row) == 4
            and row[0] == states.STATES[state]
            and states.EVENTS[event] in row[1].split(", ")
            and row[2:] == [states.ACTIONS[action], states.STATES[following]]
            for row in cells
        )
    for name in states.STATES:
        assert f"| `{name}` |" in state_table.markdown()


def test_a_file_without_marks_is_left_alone(tmp_path: Path) -> None:
    other = tmp_path / "other.md"
    other.write_text("nothing here\n")
    assert not state_table.update(other)
    assert other.read_text() == "nothing here\n"
