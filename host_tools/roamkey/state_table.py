"""The mobile node's state table in Markdown, made from firmware/mip6/bindings/states.py.

`python -m roamkey.state_table` prints it; with a file name it puts it between the two marks there,
and exits with 1 if the file has no marks.
"""

import ast
import inspect
import itertools
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from mip6.bindings import states

BEGIN = "<!-- state table: made by `make docs` from firmware/mip6/bindings/states.py -->"
END = "<!-- end of the state table -->"


def markdown() -> str:
    """The states and their meaning, the events, the actions, and every row of the table."""
    actions = ["| action | what it does |", "|---|---|", *_actions()]
    rows = ["| state | event | action | next state |", "|---|---|---|---|", *_rows()]
    return "\n\n".join((_prose(), "\n".join(actions), "\n".join(rows)))


def update(path: Path) -> bool:
    """Put the table between the marks in a file; whether the file has them."""
    text = path.read_text(encoding="utf-8")
    found = re.search(re.escape(BEGIN) + ".*?" + re.escape(END), text, re.DOTALL)
    if found is None:
        return False
    made = f"{BEGIN}\n{markdown()}\n{END}"
    path.write_text(text[: found.start()] + made + text[found.end() :], encoding="utf-8")
    return True


def _source() -> str:
    return inspect.getsource(states)


def _prose() -> str:
    """The module's own header; its list of states as a table."""
    header = inspect.cleandoc(ast.get_docstring(ast.parse(_source())) or "")
    paragraphs = header.split("\n\n")[1:]  # the first line is a title
    return "\n\n".join(_states(text) if text.startswith("`") else text for text in paragraphs)


def _states(text: str) -> str:
    joined = re.sub(r"\n +", " ", text)
    lines = [re.sub(r"^(`\w+`) +(.*)$", r"| \1 | \2 |", line) for line in joined.splitlines()]
    return "| state | what it means |\n|---|---|\n" + "\n".join(lines)


def _actions() -> Iterator[str]:
    """The comments behind the actions' numbers."""
    for number, name in enumerate(states.ACTIONS):
        found = re.search(
            rf"^{name.upper()} = const\({number}\)  # (.*)$", _source(), re.MULTILINE
        )
        if found is None:
            raise ValueError(f"states.py doesn't say what {name} does")
        yield f"| {name} | {found.group(1)} |"


def _rows() -> Iterator[str]:
    """The rows, those of a state that do the same in one line."""
    for state, rows in itertools.groupby(states.rows(), key=lambda row: row[0]):
        together: dict[tuple[int, int], list[str]] = {}
        for _, event, action, following in rows:
            together.setdefault((action, following), []).append(states.EVENTS[event])
        for (action, following), events in together.items():
            cells = (
                states.STATES[state],
                ", ".join(events),
                states.ACTIONS[action],
                states.STATES[following],
            )
            yield "| " + " | ".join(cells) + " |"


if __name__ == "__main__":
    if len(sys.argv) < 2:
        print(markdown())
    elif not update(Path(sys.argv[1])):
        print(f"{sys.argv[1]}: no marks of the state table in it", file=sys.stderr)
        sys.exit(1)
