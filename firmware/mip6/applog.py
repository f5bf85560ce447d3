"""What the application prints, kept for whoever asks later: the latest two kilobytes, in RAM.

In memory where there is an application, the two kilobytes once it has printed something. What it
prints goes to the serial line as well, as without this.
"""

import binascii
import builtins
import io
import os

from .compat import const
from .errors import traceback_of

TYPE_CHECKING = const(False)

if TYPE_CHECKING:
    from typing import Any

_KEPT = const(2048)  # octets
_PIECE = const(768)  # octets of one answer
_PROGRAM = "/app.py"
_TRIED = "/app_try.py"


class Printed:
    """`end`: octets printed so far, since the start."""

    def __init__(self) -> None:
        self.end = 0
        self._ring: bytearray | None = None
        self._print = builtins.print

    def begin(self, tried: bool) -> None:
        """From now on what `print` prints is kept. Unless a program is `tried`, one that was is
        removed."""
        builtins.print = self._both
        if not tried:
            try:
                os.remove(_TRIED)
            except OSError:
                pass

    def stop(self, status: str, aloud: bool) -> None:
        """From now on it isn't; `status`: of the application, whose end is told."""
        builtins.print = self._print
        if status in ("ended", "interrupted"):
            self.tell("the application %s\n" % status, aloud)

    def told(self, error: BaseException, aloud: bool) -> None:
        """Keep the traceback of an error that isn't a wish to end, as `tell`; never raises."""
        if not isinstance(error, SystemExit):
            try:  # without the agent's own steps to the program
                before, _, steps = traceback_of(error).partition("in _main\n")
                self.tell(
                    "Traceback (most recent call last):\n" + steps if steps else before, aloud
                )
            except Exception:  # no memory, or an error that can't say what it is
                pass

    def _both(self, *values: "Any", **how: "Any") -> None:
        if how.get("file") is None:
            try:
                how["file"] = text = io.StringIO()
                self._print(*values, **how)
                self._print(text.getvalue(), end="")
                self.tell(text.getvalue(), False)
                return
            except MemoryError:  # what is printed goes before what is kept
                how.pop("file", None)
        self._print(*values, **how)

    def tell(self, text: str, aloud: bool) -> None:
        """Keep a text; `aloud`: print it, too."""
        try:
            self._add(text.encode())
            if aloud:
                self._print(text, end="")
        except Exception:  # no memory, or nobody at the line
            pass

    def _add(self, octets: bytes) -> None:
        if self._ring is None:
            self._ring = bytearray(_KEPT)
        end = self.end + len(octets)
        octets = octets[-_KEPT:]
        at = (end - len(octets)) % _KEPT
        first = min(len(octets), _KEPT - at)
        self._ring[at : at + first] = octets[:first]
        self._ring[: len(octets) - first] = octets[first:]
        self.end = end

    def piece(self, since: int) -> "tuple[int, bytes]":
        """The next octets of what was printed, from `since` on or what of it is still kept: where
        they begin, and none at the end."""
        at = min(max(since, self.end - _KEPT), self.end)
        if self._ring is None:
            return at, b""
        begin = at % _KEPT
        end = min(begin + _PIECE, begin + self.end - at, _KEPT)
        return at, bytes(memoryview(self._ring)[begin:end])


def answer(printed: "Printed | None", since: int) -> "dict[str, Any]":
    """What the console says of it: `printed`: base64, `at`, and `end`."""
    at, octets = printed.piece(since) if printed is not None else (0, b"")
    return {"printed": _base64(octets), "at": at, "end": printed.end if printed is not None else 0}


def program(at: int) -> "dict[str, Any]":
    """The next octets of /app.py, in base64, and how many it has; no `program` where there is
    none. Raises OSError."""
    try:
        octets = os.stat(_PROGRAM)[6]
    except OSError:
        return {"octets": None}
    with open(_PROGRAM, "rb") as file:
        file.seek(at)
        return {"octets": octets, "program": _base64(file.read(_PIECE))}


def _base64(octets: bytes) -> str:
    return binascii.b2a_base64(octets).decode().strip()
