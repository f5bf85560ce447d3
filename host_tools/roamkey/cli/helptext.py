"""What `-h` prints: plain text with commands in groups, without the parser and without rich.

`roamkey --help` is the first thing that anybody runs: it costs no more than starting Python.
"""

import os
import re
import shutil
import textwrap
from collections.abc import Mapping
from typing import TextIO

Commands = Mapping[str, tuple[str, str]]

WIDTH_LEAST, WIDTH_MOST = 40, 100
_HEADING = re.compile(r"^(?:Usage:|[A-Z][^:\n]*:$)", re.MULTILINE)


def width() -> int:
    """Columns for a help, on this terminal."""
    return max(WIDTH_LEAST, min(shutil.get_terminal_size().columns, WIDTH_MOST))


def group(
    path: str,
    summary: str,
    commands: Commands,
    headings: Mapping[str, str],
    options: Mapping[str, str],
    epilog: str = "",
) -> str:
    """The help of a group of commands. `headings`: what stands above which command."""
    columns = width()
    parts = [
        textwrap.fill(f"Usage: {path} [OPTIONS] COMMAND [ARGS]...", columns),
        textwrap.fill(summary, columns - 2, initial_indent="  ", subsequent_indent="  "),
    ]
    indent = max(map(len, commands)) + 4
    for name, (_, what) in commands.items():
        if name in headings or len(parts) == 2:
            parts.append(f"{headings.get(name, 'Commands')}:")
        parts[-1] += "\n" + _entry(name, what, indent, columns)
    indent = max(map(len, options)) + 4
    rows = [_entry(*each, indent, columns) for each in options.items()]
    parts.append("\n".join(["Options:", *rows]))
    if epilog:
        parts.append("\n".join(textwrap.fill(line, columns) for line in epilog.splitlines()))
    return "\n\n".join(parts)


def _entry(name: str, what: str, indent: int, columns: int) -> str:
    return textwrap.fill(
        what,
        columns,
        initial_indent=f"  {name}".ljust(indent),
        subsequent_indent=" " * indent,
        break_on_hyphens=False,
    )


def emphasized(text: str) -> str:
    """A help with its headings in bold, for a terminal that may show it."""
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return text
    return _HEADING.sub(lambda found: f"\x1b[1m{found[0]}\x1b[0m", text)


def show(text: str, stream: TextIO) -> None:
    """Print a help: in colour on a terminal alone."""
    print(emphasized(text) if stream.isatty() else text, file=stream)
