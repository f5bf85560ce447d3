"""The kinds of failure that the agent knows apart, and the text of a traceback."""

import io
import sys

from .compat import MICROPYTHON, const

_TRACEBACK_OCTETS_MAX = const(600)


class Violation(ValueError):
    """A peer sent what it must not send; the packet is dropped and counted by `reason`.

    `reason` is a short fixed word for counters ("truncated", "checksum"); `str()` of the error is
    one line for a person.
    """

    def __init__(self, reason: str, text: str) -> None:
        super().__init__(text)  # MicroPython's built-in classes have no __init__ to call by name
        self.reason = reason


class Misuse(ValueError):
    """The caller asked for what would break a rule of the key store; nothing has changed."""


class StorageError(Exception):
    """Flash can't be read or written, or did not keep what was written. Nothing was given out."""


class Exhausted(Exception):
    """All 65,536 sequence numbers of a key are used: the next generation's turn, or the end."""


class Unsupported(Exception):
    """The platform lacks what was asked for; `str()` says it in a line."""


def traceback_of(error: "BaseException") -> str:
    """The traceback of `error`, its last 600 characters: functions, files, what it said."""
    if MICROPYTHON:
        written = io.StringIO()
        sys.print_exception(error, written)  # type: ignore[attr-defined]  # MicroPython's own
        text = written.getvalue()
    else:
        import traceback

        text = "".join(traceback.format_exception(error))
    return text[-_TRACEBACK_OCTETS_MAX:]
