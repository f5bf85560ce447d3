"""How a command ends: with a documented exit code and, where it failed, one line on stderr."""

import errno
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TextIO

from roamkey import extras
from roamkey.errors import BadInputError, RoamkeyError, SystemRefusedError
from roamkey.interrupts import EXIT_INTERRUPTED

_LINE_MAX = 600  # characters of a message; the middle of a longer one says least


def run(command: Callable[[], Any]) -> int:
    """Run a command, which may give its exit code; the exit code, with what is to be said said."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # a name that the terminal can't show is no failure
            stream.reconfigure(errors="backslashreplace")
    try:
        code = _run(command)
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    return _flushed() or code


def one_line(text: str) -> str:
    """A message as one line that a terminal shows and doesn't obey."""
    line = "".join(c if c.isprintable() else "?" for c in " ".join(text.split()))
    half = _LINE_MAX // 2
    return line if len(line) <= _LINE_MAX else f"{line[:half]} ... {line[-half:]}"


def _run(command: Callable[[], Any]) -> int:
    try:
        code = command()
        return code if isinstance(code, int) else 0
    except RoamkeyError as error:
        return say(str(error), error.exit_code)
    except ModuleNotFoundError as error:
        if extras.is_ours(error.name):
            raise
        return say(extras.missing(error.name or ""), SystemRefusedError.exit_code)
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except MemoryError:
        return say("out of memory", SystemRefusedError.exit_code)
    except OSError as error:
        if error.errno == errno.EPIPE:  # whoever read it had enough
            _silence(sys.stdout)
            return BadInputError.exit_code
        return say(_words(error), SystemRefusedError.exit_code)


def say(text: str, code: int) -> int:
    """Print the one line of a failure; gives the exit code back."""
    try:
        print(f"roamkey: {one_line(text)}", file=sys.stderr, flush=True)
    except OSError:
        _silence(sys.stderr)
    return code


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
        return say(f"standard output: {error.strerror}", SystemRefusedError.exit_code)
    return 0


def _silence(stream: TextIO) -> None:
    """Let Python's own last flush fail no more."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC), stream.fileno())
