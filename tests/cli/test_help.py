"""Each command's help: groups, examples that the parser takes, terminals of all kinds."""

import os
import pty
import re
import shlex
import subprocess
import sys
from typing import Any

import pytest
import typer
from support.commands import commands

from roamkey.cli import COMMANDS, HEADINGS, app, overview
from roamkey.cli.examples import EXAMPLES

ROOT = typer.main.get_command(app)
ALL = {" ".join(path): command for path, command in commands(ROOT)}


def words_of(line: str) -> list[str]:
    """The words behind `roamkey` in a line of a shell."""
    line = re.sub(r'.*\$\((.*)\)"', r"\1", line)
    words = shlex.split(line)
    words = words[words.index("roamkey") + 1 :]
    ends = [words.index(word) for word in ("|", "<", ">") if word in words]
    return words[: min(ends)] if ends else words


def parse(words: list[str]) -> Any:
    """Have the parser read words; the context of the command they name."""
    group, context = ROOT, typer.Context(ROOT, info_name="roamkey")
    while hasattr(group, "list_commands"):
        group = group.get_command(context, words[0])
        assert group is not None, words[0]
        if not hasattr(group, "list_commands"):
            return group.make_context(words[0], words[1:], parent=context)
        context = typer.Context(group, info_name=words[0], parent=context)
        words = words[1:]
    raise AssertionError("no command")


def test_each_command_has_examples_and_no_other() -> None:
    assert sorted(EXAMPLES) == sorted(ALL)


@pytest.mark.parametrize("path", sorted(EXAMPLES))
def test_examples_are_of_their_command_and_parse(path: str, tmp_path: Any) -> None:
    for line in EXAMPLES[path]:
        words = words_of(line)
        assert " ".join(words[: path.count(" ") + 1]) == path
        parse(words)


def test_an_example_that_no_parser_takes_is_seen() -> None:
    with pytest.raises(Exception, match=r"(?i)no such option"):
        parse(words_of("sudo roamkey status --prot /dev/ttyACM0 | less"))


def test_every_help_ends_with_its_examples() -> None:
    for path, command in ALL.items():
        context = typer.Context(command, info_name=f"roamkey {path}")
        text = re.sub(r"\x1b\[\d*m", "", command.get_help(context))
        below = text.partition("\n\nExamples:\n")[2]
        assert below.splitlines() == [f"  {line}" for line in EXAMPLES[path]], path


def test_the_overview_has_each_command_once_below_a_heading() -> None:
    text = overview()
    found = re.findall(r"^  ([\w-]+) ", text[text.index(":\n") :], re.MULTILINE)
    assert [name for name in found if not name.startswith("-")] == list(COMMANDS)
    assert re.findall(r"^([A-Z][^:]*):$", text, re.MULTILINE) == [*HEADINGS.values(), "Options"]
    assert next(iter(COMMANDS)) in HEADINGS and set(HEADINGS) <= set(COMMANDS)


def on_terminal(columns: int, *words: str, **environ: str) -> str:
    """What a command prints on a terminal of so many columns."""
    leader, follower = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "roamkey", *words],
        stdin=follower, stdout=follower, stderr=follower,
        env={**os.environ, "COLUMNS": str(columns), "TERM": "xterm", **environ},
    )  # fmt: skip
    os.close(follower)
    said = b""
    while True:
        try:
            said += os.read(leader, 1 << 16)
        except OSError:  # the other end is closed
            break
    os.close(leader)
    assert process.wait(60) in (0, 2)
    return said.decode().replace("\r\n", "\n")


@pytest.mark.parametrize("words", [(), ("-h",), ("correspondent",), ("registry", "-h"),
                                   ("status", "-h")])  # fmt: skip
def test_headings_are_bold_on_a_terminal_that_may_show_it(words: tuple[str, ...]) -> None:
    shown = on_terminal(80, *words, NO_COLOR="")
    assert shown.startswith("\x1b[1mUsage:\x1b[0m") and "\x1b[1mOptions:\x1b[0m\n" in shown
    for plain in ({"NO_COLOR": "1"}, {"TERM": "dumb", "NO_COLOR": ""}):
        assert on_terminal(80, *words, **plain) == re.sub(r"\x1b\[\d*m", "", shown)


@pytest.mark.parametrize("columns", [1, 40, 57, 80, 300])
def test_a_help_fits_its_terminal(columns: int) -> None:
    shown = on_terminal(columns, "-h", NO_COLOR="1")
    assert max(map(len, shown.splitlines())) <= max(40, min(columns, 100))


def test_without_a_terminal_nothing_is_bold() -> None:
    for words in ([], ["-h"], ["status", "-h"], ["lab"]):
        done = subprocess.run(
            [sys.executable, "-m", "roamkey", *words],
            capture_output=True, check=False, env={**os.environ, "NO_COLOR": ""},
        )  # fmt: skip
        assert b"\x1b" not in done.stdout + done.stderr and done.returncode == (
            0 if "-h" in words else 2
        )
