"""What the Makefile's targets show while they install: with the real pip, and no index."""

import os
import pty
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

INSTALLING = Path(__file__).parents[1] / "host_tools" / "installing.py"


@pytest.fixture
def wheel(tmp_path: Path) -> Path:
    """A package with nothing in it."""
    made = tmp_path / "nothing-1.0-py3-none-any.whl"
    about = "nothing-1.0.dist-info"
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr(f"{about}/METADATA", "Metadata-Version: 2.1\nName: nothing\nVersion: 1.0")
        archive.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        archive.writestr(f"{about}/RECORD", "")
    return made


def command(*arguments: object) -> list[str]:
    return [sys.executable, str(INSTALLING), "--no-index", *map(str, arguments)]


def test_lines_where_nobody_watches(wheel: Path, tmp_path: Path) -> None:
    argv = command("--target", tmp_path / "there", wheel)
    ran = subprocess.run(argv, capture_output=True, text=True, check=True)
    first, second, last = ran.stdout.splitlines()
    assert (first, second) == ("  fetching nothing-1.0", "  unpacking 1 packages")
    assert last.startswith("  done in ") and not ran.stderr
    assert (tmp_path / "there" / "nothing-1.0.dist-info").is_dir()


def test_one_line_on_a_terminal(wheel: Path, tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    argv = command("--target", tmp_path / "there", wheel)
    with subprocess.Popen(argv, stdout=theirs, stderr=theirs) as process:
        os.close(theirs)
        said = b""
        try:
            while octets := os.read(ours, 4096):
                said += octets
        except OSError:  # the other end is closed
            pass
        finally:
            os.close(ours)
    assert process.returncode == 0
    assert b"fetching nothing-1.0" in said and said.count(b"\n") == 1
    assert said.endswith(b" s\r\n") and b"done in" in said


def test_what_pip_says_is_shown_where_it_fails(tmp_path: Path) -> None:
    argv = command(tmp_path / "away.whl")
    ran = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert ran.returncode == 1 and "away.whl" in ran.stderr and "done" not in ran.stdout
