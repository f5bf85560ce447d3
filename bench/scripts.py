"""Runs the programs of tests/storage under the real MicroPython, several at a time.

The agent beside them is the one that `roamkey install` puts on a board, compiled once in a run.
"""

import json
import os
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

PROJECT = Path(__file__).parent.parent
sys.path.insert(0, str(PROJECT / "tests"))

from support.storage import prepare, start  # noqa: E402

from roamkey.lab import apart  # noqa: E402

apart.stand_apart()
OUT = PROJECT / "bench" / "out"


def run(script: str, *arguments: object) -> dict:
    """Run one script; its last line is JSON. Anything else it prints, or a failure, ends us."""
    done = start(Path(_folder().name), script, *arguments)
    lines = done.stdout.strip().splitlines()
    if done.returncode or not lines:
        sys.exit(f"{script} {arguments}: failed\n{done.stdout}{done.stderr}")
    if lines[:-1] or done.stderr:
        print(f"{script} {arguments} says:", *lines[:-1], done.stderr, sep="\n")
    return json.loads(lines[-1])


@cache
def _folder() -> tempfile.TemporaryDirectory:
    """Agent and programs, until this process ends."""
    folder = tempfile.TemporaryDirectory()
    prepare(Path(folder.name))
    return folder


def run_all(jobs: list[tuple]) -> list[dict]:
    """Run scripts, as many at a time as there are processors; results in the order of `jobs`."""
    _folder()  # once, not in each thread
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        return list(pool.map(lambda job: run(*job), jobs))


def save(path: Path, result: dict) -> None:
    """Write a result as JSON, making its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(result, indent=2) + "\n")


def table(title: str, head: list[str], rows: list[list[object]]) -> None:
    """Print a plain table, the first column to the left and the others to the right."""
    cells = [[f"{cell:,}" if isinstance(cell, int) else str(cell) for cell in row] for row in rows]
    widths = [max(len(row[i]) for row in [head, *cells]) for i in range(len(head))]
    print(f"\n{title}")
    for row in [head, *cells]:
        first = row[0].ljust(widths[0])
        others = [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        print("  ".join([first, *others]))
