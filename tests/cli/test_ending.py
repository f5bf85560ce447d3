"""A command's end: one line, a documented exit code, and nothing of Python's."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from roamkey.cli import COMMANDS, ending
from roamkey.cli.output import fresh_folder, keep_folder
from roamkey.errors import RefusedError

FULL = Path("/dev/full")

# It tells once the command looks after interrupts: before, they are Python's own.
STARTED = """
import os, sys
from roamkey import __main__ as program

before = program.end_at_once

def end_at_once():
    before()
    os.write(1, b"!")

program.end_at_once = end_at_once
sys.argv = ["roamkey", *sys.argv[1:]]
program.main()
"""


def interrupted(arguments: list[str], after_s: float) -> tuple[int, bytes]:
    process = subprocess.Popen(
        [sys.executable, "-c", STARTED, *arguments],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.read(1) == b"!"
    time.sleep(after_s)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    return process.returncode, errors


@pytest.mark.slow
@pytest.mark.parametrize("command", list(COMMANDS))
def test_ctrl_c_at_the_start_is_silent(command: str) -> None:
    """At some moments of the first half second; a command that was faster ended by itself."""
    for at in range(4):
        moment = 0.005 + (0.13 * at + 0.01 * (len(command) % 13)) % 0.5
        code, errors = interrupted([command], moment)
        assert b"Traceback" not in errors and b"KeyboardInterrupt" not in errors, errors
        assert code in (0, 1, 2, 3, 4, 5, 130, -signal.SIGINT)  # the last as Python ends


def test_ctrl_c_while_a_registry_is_closed_is_silent(tmp_path: Path) -> None:
    code = (
        "import sys\nfrom roamkey.registry import Registry, place\n"
        "from roamkey.cli import ending\n"
        "def interrupt(*_): raise KeyboardInterrupt\n"
        "def open_and_close():\n"
        "    place.Place.close = interrupt\n"
        "    with Registry.open(sys.argv[1]) as opened:\n"
        "        opened.names()\n"
        "sys.exit(ending.run(open_and_close))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "r.sqlite")], capture_output=True, check=False
    )
    assert (done.returncode, done.stderr) == (130, b"")


def test_ctrl_c_that_is_ignored_stays_so() -> None:
    code = (
        "import signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\n"
        "from roamkey.interrupts import end_at_once, handed_over\n"
        "with handed_over():\n    signal.raise_signal(signal.SIGINT)\n"
        "assert not end_at_once()\nsignal.raise_signal(signal.SIGINT)\nprint('alive')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert done.stdout == b"alive\n", done.stderr


@pytest.mark.parametrize(
    "arguments", [["--help"], ["--version"], ["registry", "-h"], ["boards"], ["boards", "--json"]]
)
def test_output_to_a_full_disk(arguments: list[str]) -> None:
    with FULL.open("wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "roamkey", *arguments],
            stdout=full, stderr=subprocess.PIPE, check=False,
        )  # fmt: skip
    assert done.returncode == 5, done.stderr
    assert done.stderr.startswith(b"roamkey: ") and done.stderr.count(b"\n") == 1
    assert b"No space left on device" in done.stderr


def test_a_reader_that_has_enough() -> None:
    done = subprocess.run(
        ["sh", "-c", '"$0" -m roamkey --help | head -c 1', sys.executable],
        capture_output=True, check=False,
    )  # fmt: skip
    assert done.stderr == b""


def test_an_output_that_knows_no_unicode() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "roamkey", "decode", "ä\udcff"],
        env={**os.environ, "PYTHONIOENCODING": "ascii"}, capture_output=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1 and done.stderr.count(b"\n") == 1, done.stderr


def test_messages_are_one_line_and_not_endless() -> None:
    assert ending.one_line("a\nb\x1b[2J") == "a b?[2J"
    said = ending.one_line("begin" + 5000 * "x" + "end")
    assert said.startswith("begin") and said.endswith("end") and len(said) < 700


def test_only_folders_of_its_own_are_made_anew(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b"
    fresh_folder(folder)
    (folder / "left").write_text("")
    fresh_folder(folder)
    assert not (folder / "left").exists()
    before = folder.with_name("b.before")
    for number in range(3):  # what is whole outlasts the next one, and any that isn't
        (folder / "capture").write_text(str(number))
        keep_folder(folder)
        fresh_folder(folder)
        (folder / "half").write_text("")
        fresh_folder(folder)
        assert (before / "capture").read_text() == str(number) and not (before / "half").exists()
    (tmp_path / "letter").write_text("")
    with pytest.raises(RefusedError, match="holds other things"):
        fresh_folder(tmp_path)
    assert folder.is_dir()
