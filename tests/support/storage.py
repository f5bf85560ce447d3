"""Runs the programs of tests/storage beside the agent's files as `roamkey install` puts them."""

import os
import subprocess
from pathlib import Path

from roamkey.lab.installed import write_beside
from roamkey.lab.interpreter import micropython

TESTS = Path(__file__).parent.parent
STORAGE = TESTS / "storage"


def prepare(folder: Path) -> Path:
    """Fill a folder with the agent and the programs, and return it."""
    programs = [path for path in STORAGE.glob("*.py") if not path.stem.startswith("test_")]
    programs.append(TESTS / "support" / "counter.py")
    return write_beside(folder, {path.stem: path for path in programs})


def start(folder: Path, *command: object) -> subprocess.CompletedProcess[str]:
    """Run a program (and its arguments) in a folder that was prepared."""
    return subprocess.run(
        [micropython(), "-X", "heapsize=32M", *map(str, command)],
        env={**os.environ, "MICROPYPATH": f"{folder}:.frozen"},
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
