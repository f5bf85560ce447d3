"""Every command line that README and docs/*.md print is run, on the playground.

Line after line, in the order of the documents: on a playground that is whole those of README from
`lab up` to `lab down`, as anybody types them in a shell of their own; then a bare one is made, and
all others run in `lab shell`, so that README's own lines make the system that the rest of the
documents speaks of. A line is run as printed and has to end with 0, unless a table
(printed_tables.py) says what is run in its place, and why. So a new line is run, or fails until
somebody says why not.
"""

import re
import shlex
import subprocess
import time
from pathlib import Path
from types import TracebackType

import pytest
import typer
from docs.printed_tables import BEFORE, GOES_ON, INSTEAD, NOT_RUN
from support.account import Account
from support.commands import commands
from support.printed import Line, documents, lines
from support.roaming import need_tun

from roamkey.cli import COMMANDS, app
from roamkey.waiting import until

LINES = lines(set(COMMANDS))
WHOLE = [line.text for line in LINES if line.whole]
DOWN = ".venv/bin/roamkey lab down"
_LINE_S = 120.0
_RUN_ONCE: set[str] = set()  # what several lines are run as


class Shell:
    """`roamkey lab shell`, into which lines are typed. What a line prints comes back whole."""

    def __init__(self, account: Account, host: str = "correspondent") -> None:
        self._account = account
        self._process = subprocess.Popen(
            [account.clone / ".venv/bin/roamkey", "lab", "shell", "--on", host],
            cwd=account.clone,
            env={**account.variables, "SHELL": "/bin/sh"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._numbers = iter(range(10_000))

    def __enter__(self) -> "Shell":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._process.stdin
        self._process.stdin.close()
        self._process.wait(30)

    def run(self, line: str) -> tuple[int, str]:
        """The exit code of a line, and what it printed."""
        mark = f"--- {next(self._numbers)} ended with"
        assert self._process.stdin and self._process.stdout
        bounded = f"timeout --kill-after=10 {_LINE_S:.0f} sh -c {shlex.quote(line)}"
        self._process.stdin.write(
            f"{bounded} </dev/null 2>&1; code=$?; echo; echo '{mark}' $code\n"
        )
        self._process.stdin.flush()
        printed = []
        for said in self._process.stdout:
            if said.startswith(mark):
                return int(said.removeprefix(mark)), "".join(printed)
            printed.append(said)
        raise AssertionError(f"the shell ended at {line}: {''.join(printed)}")

    def start(self, line: str, wanted: str) -> str | None:
        """Start a line that goes on; None once it says what is wanted, else all it said."""
        log = self._account.clone / f"goes-on-{next(self._numbers)}"
        self.run(f"{line} >{log.name} 2>&1 &")
        there = until(lambda: log.exists() and wanted in log.read_text(), _LINE_S, 0.1)
        return None if there else log.read_text()


@pytest.mark.lab
@pytest.mark.slow
@pytest.mark.timeout(600)
def test_every_printed_line_runs(tmp_path: Path) -> None:
    need_tun()
    alone, inside = WHOLE[: WHOLE.index(DOWN) + 1], WHOLE[WHOLE.index(DOWN) + 1 :]
    failed = {}
    with Account(tmp_path / "account") as account:
        for line in alone:
            ran = account.run(INSTEAD.get(line, (line,))[0], timeout_s=_LINE_S)
            if ran.code:
                failed[line] = f"exit code {ran.code}\n{ran.output}{ran.errors}"
        port = account.run("roamkey lab up --bare --json", timeout_s=_LINE_S).ok().json()["port"]
        try:
            with Shell(account) as shell:
                for line in inside:
                    wrong = _run(account, shell, line, port)
                    if wrong is not None:
                        failed[line] = wrong
        finally:
            account.run("roamkey lab down")
    assert failed == {}, "\n\n".join(f"{line}: {wrong}" for line, wrong in failed.items())


def _run(account: Account, shell: Shell, line: str, port: str) -> str | None:
    """What went wrong with a line; None: nothing."""
    if line in NOT_RUN:
        return None
    if line in GOES_ON:
        host, typed, wanted = GOES_ON[line]
        if host is None:
            return shell.start(typed, wanted)
        with Shell(account, host) as elsewhere:
            return elsewhere.start(typed, wanted)
    for start, first in BEFORE.items():
        if line.startswith(start):
            shell.run(first)
    typed = INSTEAD.get(line, (line,))[0]
    typed = typed.replace("PORT", port).replace("/dev/ttyACM0", port)
    if typed in _RUN_ONCE:
        return None
    _RUN_ONCE.add(typed)
    began = time.monotonic()
    code, printed = shell.run(typed)
    print(f"{time.monotonic() - began:5.1f} s  {code}  {typed}")
    return f"exit code {code}\n{printed}" if code else None


def test_the_tables_hold_nothing_that_isnt_printed() -> None:
    """A line that a document lost, or changed, leaves no row behind; every row has a reason."""
    for table in (INSTEAD, NOT_RUN, GOES_ON):
        assert set(table) - set(WHOLE) == set()
    assert all(why for _, why in INSTEAD.values()) and all(NOT_RUN.values())
    roamkeys = {line.text: line for line in LINES if line.words and line.text in NOT_RUN}
    assert [text for text, line in roamkeys.items() if _command(line)] == []


def test_what_make_does_is_never_done_within_a_test() -> None:
    """Its targets take minutes, or run this test once more: each printed one is looked up only."""
    made = [line for line in WHOLE if line.split()[0] == "make"]
    assert made and [line for line in made if "make -n " not in INSTEAD.get(line, ("",))[0]] == []


def test_no_block_with_our_command_is_overlooked() -> None:
    known = {line.text for line in LINES}
    for path in documents():
        for line in path.read_text(encoding="utf-8").splitlines():
            typed = re.fullmatch(
                r"(?:    )?((?:sudo )?(?:\.venv/bin/)?roamkey .*?)(?:  +#.*)?", line
            )
            assert typed is None or typed[1].strip() in known, f"{path.name}: {line}"


@pytest.mark.parametrize("line", [line for line in LINES if line.words], ids=lambda one: one.text)
def test_what_is_printed_of_a_command_exists(line: Line) -> None:
    """Lines with places to fill in, too: the command, and each of its options."""
    if line.text in NOT_RUN or line.words[0] == "--help":
        return
    found = _command(line)
    assert found, f"no such command: {line.text}"
    path, known = found
    given = {word.partition("=")[0] for word in line.words if re.match(r"--?[a-z]", word)}
    assert given <= known, f"{' '.join(path)} has no {given - known}"


def _command(line: Line) -> tuple[tuple[str, ...], set[str]] | None:
    """The command of a line, and the options that it has; None where there is no such command."""
    root = typer.main.get_command(app)
    for path, command in commands(root):
        if tuple(line.words[: len(path)]) == path:
            return path, {name for one in command.params for name in one.opts} | {"--help", "-h"}
    groups = {path[:-1] for path, _ in commands(root)}
    return (tuple(line.words), {"--help"}) if tuple(line.words) in groups else None
