"""How a command ends: with a documented exit code and, where it failed, one line on stderr."""

import errno
import os
import sys
from contextlib import suppress
from typing import Any, TextIO

import typer

from roamkey.errors import BadInputError, RoamkeyError, SystemRefusedError
from roamkey.interrupts import EXIT_INTERRUPTED

_LINE_MAX = 600  # characters of a message; the middle of a longer one says least
_EXIT_USAGE = 2
_USAGE: Any = typer.BadParameter.__bases__[0]  # click's own, or typer's copy of click
_OF_PARSER: Any = _USAGE.__bases__[0]


def run(app: typer.Typer) -> int:
    """Run a command line; its exit code, with what is to be said said."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # a name that the terminal can't show is no failure
            stream.reconfigure(errors="backslashreplace")
    try:
        code = _run(app)
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    return _flushed() or code


def one_line(text: str) -> str:
    """A message as one line that a terminal shows and doesn't obey."""
    line = "".join(c if c.isprintable() else "?" for c in " ".join(text.split()))
    half = _LINE_MAX // 2
    return line if len(line) <= _LINE_MAX else f"{line[:half]} ... {line[-half:]}"


def _run(app: typer.Typer) -> int:
    try:
        if any("\0" in word for word in sys.argv):
            raise typer.BadParameter("a NUL in an argument")
        code = app(prog_name="roamkey", standalone_mode=False)
        return code if isinstance(code, int) else 0
    except RoamkeyError as error:
        return _say(str(error), error.exit_code)
    except _OF_PARSER as error:
        return _wrong(error)
    except (typer.Abort, KeyboardInterrupt) as error:
        end = isinstance(error, typer.Abort)
        return _say("nothing done", BadInputError.exit_code) if end else EXIT_INTERRUPTED
    except MemoryError:
        return _say("out of memory", SystemRefusedError.exit_code)
    except OSError as error:
        return _say(_words(error), SystemRefusedError.exit_code)


def _say(text: str, code: int) -> int:
    try:
        print(f"roamkey: {one_line(text)}", file=sys.stderr, flush=True)
    except OSError:
        _silence(sys.stderr)
    return code


def _wrong(error: Any) -> int:
    """Wrong usage, as the parser sees it. A group alone shows its help, as if asked for."""
    if type(error).__name__ == "NoArgsIsHelpError":
        error.show()
        return _EXIT_USAGE
    words = error.format_message().rstrip(".")
    context = getattr(error, "ctx", None)
    hint = f" (see {context.command_path} -h)" if context is not None else ""
    return _say(f"{words}{hint}", error.exit_code)


def _words(error: OSError) -> str:
    what = error.strerror or str(error) or type(error).__name__
    return f"{os.fsdecode(error.filename)}: {what}" if error.filename else f"can't go on: {what}"


def _flushed() -> int:
    """Write what waits for stdout; 0, or the exit code where that fails."""
    try:
        sys.stdout.flush()
    except OSError as error:
        _silence(sys.stdout)
        if error.errno == errno.EPIPE:  # whoever read it had enough
            return BadInputError.exit_code
        return _say(f"standard output: {error.strerror}", SystemRefusedError.exit_code)
    return 0


def _silence(stream: TextIO) -> None:
    """Let Python's own last flush fail no more."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC), stream.fileno())
