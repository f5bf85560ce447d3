"""An empty account: a home without a registry, a clone to stand in, and a shell that runs lines.

    with Account(tmp_path) as somebody:
        somebody.run(".venv/bin/roamkey init").ok()
        with somebody.start("roamkey correspondent run --log json") as daemon:
            daemon.wait_for("serving")

Lines run as typed, by `sh`, in the account's clone of the project: what a command leaves behind or
changes there is the account's own. `.venv` is the one that runs the tests. Nothing of the caller's
environment comes along but what says where programs are.

`sudo` is the system's where the account isn't root. Where it is root, as in the laboratory's
sandbox, it is a program that runs its arguments and changes nothing, SUDO_UID neither.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pyroute2 import IPRoute

from roamkey.lab import sandbox

PROJECT = Path(__file__).parents[2]
TIMEOUT_S = 60.0
_GRACE_S = 20.0

#: What of the project is linked into a clone: nothing that a command writes to.
_LINKED = (
    "CHANGELOG.md", "CONTRIBUTING.md", "LICENSE", "Makefile", "README.md", "SECURITY.md",
    "host_tools", "pyproject.toml", "tests",
)  # fmt: skip
_COPIED = ("bench", "boards", "docs", "firmware")
_LEFT_BEHIND = shutil.ignore_patterns("__pycache__", "out")
_SUDO = '#!/bin/sh\n# For root, who has no need of it.\nexec "$@"\n'


@dataclass(frozen=True)
class Ran:
    """What a line did: its exit code, and what it printed. `seconds`: how long it took."""

    line: str
    code: int
    output: str
    errors: str
    seconds: float

    def ok(self) -> "Ran":
        """Itself, if it ended with 0; AssertionError with all it said otherwise."""
        return self.ended(0)

    def ended(self, *codes: int) -> "Ran":
        """Itself, if it ended with one of these codes; AssertionError otherwise."""
        assert self.code in codes, (
            f"{self.line}: exit code {self.code}\n{self.output}{self.errors}"
        )
        return self

    def json(self) -> Any:
        """What it printed, as JSON."""
        return json.loads(self.output)


class Running:
    """A line that goes on: a daemon, a board. `lines`: what it printed until now, errors too."""

    def __init__(self, line: str, process: "subprocess.Popen[str]") -> None:
        self.line = line
        self.process = process
        self.lines: list[str] = []
        self._changed = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> "Running":
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def _read(self) -> None:
        assert self.process.stdout
        for line in self.process.stdout:
            with self._changed:
                self.lines.append(line.rstrip("\n"))
                self._changed.notify_all()
        with self._changed:
            self._changed.notify_all()

    def wait_for(self, wanted: str | Callable[[str], bool], within_s: float = TIMEOUT_S) -> str:
        """The first line that holds a text, or that a function wants; AssertionError if none."""
        fits = (lambda line: wanted in line) if isinstance(wanted, str) else wanted
        end = time.monotonic() + within_s
        with self._changed:
            while True:
                for line in self.lines:
                    if fits(line):
                        return line
                left = end - time.monotonic()
                if left <= 0 or not self._reader.is_alive():
                    said = "\n".join(self.lines[-30:])
                    raise AssertionError(f"{self.line}: never said {wanted!r}; it said:\n{said}")
                self._changed.wait(min(left, 0.5))

    def end(self, number: int = signal.SIGINT, within_s: float = _GRACE_S) -> int:
        """Send a signal to all the line started, as Ctrl-C does; its exit code."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, number)
        try:
            self.process.wait(within_s)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(_GRACE_S)
            raise AssertionError(
                f"{self.line}: went on for {within_s:g} s after signal {number}"
            ) from None
        finally:
            self._reader.join(_GRACE_S)
        return self.process.returncode


class Account:
    """One account. `folder`: an empty one, for all it has; `variables`: set besides (a board's
    port: ROAMKEY_PORTS); `spawn`: starts processes as subprocess.Popen does, elsewhere perhaps."""

    def __init__(
        self,
        folder: Path,
        *,
        variables: Mapping[str, str] | None = None,
        spawn: Callable[..., Any] = subprocess.Popen,
    ) -> None:
        self.home = folder / "home"
        self.clone = folder / "roamkey"
        self._programs = folder / "bin"
        self._spawn = spawn
        self._stack = ExitStack()
        for made in (self.home, self.clone, self._programs):
            made.mkdir(parents=True)
        for name in _LINKED:
            (self.clone / name).symlink_to(PROJECT / name)
        for name in _COPIED:
            shutil.copytree(PROJECT / name, self.clone / name, ignore=_LEFT_BEHIND)
        (self.clone / ".venv").symlink_to(sys.prefix)
        if os.geteuid() == 0:
            sudo = self._programs / "sudo"
            sudo.write_text(_SUDO)
            sudo.chmod(0o755)
        self.variables = {
            "HOME": str(self.home),
            "PATH": f"{self._programs}:{Path(sys.prefix) / 'bin'}:/usr/local/sbin:/usr/local/bin"
            ":/usr/sbin:/usr/bin:/sbin:/bin",
            "LANG": "C.UTF-8",
            "TERM": "dumb",
            "COLUMNS": "200",
            **(variables or {}),
        }

    def __enter__(self) -> "Account":
        if sandbox.inside():  # whose own network has nothing in it
            with IPRoute() as kernel:
                kernel.link("set", index=kernel.link_lookup(ifname="lo")[0], state="up")
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def registry(self) -> Path:
        """Where the registry is, once something has made one."""
        return self.home / ".local" / "share" / "roamkey" / "registry.sqlite"

    def run(self, line: str, *, typed: str = "", timeout_s: float = TIMEOUT_S) -> Ran:
        """Run a line to its end; `typed`: what stands in its standard input (never a terminal).

        AssertionError where it doesn't end in time: what it started has been ended.
        """
        began = time.monotonic()
        process = self._popen(line, stdin=subprocess.PIPE, stderr=subprocess.PIPE)
        try:
            output, errors = process.communicate(typed, timeout_s)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            output, errors = process.communicate()
            raise AssertionError(f"{line}: no end in {timeout_s:g} s\n{output}{errors}") from None
        return Ran(line, process.returncode, output, errors, time.monotonic() - began)

    def start(self, line: str) -> Running:
        """Start a line that goes on; it is ended with the account at the latest."""
        process = self._popen(f"exec {line}", stdin=subprocess.DEVNULL, stderr=subprocess.STDOUT)
        return self._stack.enter_context(Running(line, process))

    def _popen(self, line: str, **options: Any) -> "subprocess.Popen[str]":
        process: subprocess.Popen[str] = self._spawn(
            ["/bin/sh", "-c", line],
            cwd=self.clone,
            env=self.variables,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
            **options,
        )
        return process
