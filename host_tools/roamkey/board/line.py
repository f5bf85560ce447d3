"""A board's serial line: the covered lines that come over it, and what else is heard there.

Frames come from `mip6.console.framing`, the file that the board reads them with. What isn't
covered (noise, prints of a program, another device) is kept, the latest of it, to say who speaks
instead of a board's agent.
"""

import contextlib
import re
import time

from mip6.console import framing
from roamkey.board import hearing, ports
from roamkey.board.opening import open_port, unlock
from roamkey.board.patience import patient
from roamkey.errors import BoardError

_INPUT_OCTETS_MAX = 1 << 16  # more than this without a line's end is noise
_PROMPT = b">>> "
_TO_FRIENDLY = (
    b"\x02"  # leaves the raw REPL; the prompt answers by its banner; a line of noise else
)
_SOFT_RESET = b"\x04"
_RESETS = b"soft reboot"  # what it says then
_RESET_S = patient(3.0)
_FOREIGN_S = patient(2.0)  # an agent that an application outshouts answers by then
_JUDGE_EACH_S = 0.05
# What esptool asks the ROM of an ESP32 by, which says nothing by itself while it waits; framed as
# SLIP (RFC 1055). To anything else it is a line of noise.
_SYNC = b"\xc0\x00\x08\x24\x00\x00\x00\x00\x00\x07\x07\x12\x20" + 32 * b"\x55" + b"\xc0"
_SYNCED = b"\xc0\x01\x08"
_SYNC_S = patient(0.3)
_BANNER_S = patient(0.3)
_BANNER = re.compile(rb"(Micro|Circuit)Python v?(\S{1,40}) on [^;\r\n]{1,60}; ([^\r\n]{1,80})")
_PROBLEM = re.compile(
    rb'\{"jsonrpc":"2\.0","id":null,"error":\{"code":-32603,"message":"([ -!#-~]{1,60})"\}\}'
)
_NO_MEMORY = "no memory left"  # mip6.terminal's words


class ForeignError(BoardError):
    """Something else than a board of ours speaks at the port. `deaf`: nor is that a MicroPython
    that could be interrupted."""

    def __init__(self, text: str, deaf: bool) -> None:
        super().__init__(text)
        self.deaf = deaf


class Line:
    """The line to the board at `port`. `heard`: whether a covered line came since `begin`; `echo`:
    whether our own did; `prompt`: whether MicroPython's prompt did; `problem`: what the board's
    agent says that it can't do anything for, "" where nothing."""

    def __init__(self, port: str) -> None:
        self.port = port
        self.heard = self.echo = self.prompt = False
        self.problem = ""
        self.serial = open_port(port)
        self._input = bytearray()
        self._other = bytearray()  # what was heard and is no covered line
        self._sent = b""
        self._began = self._judged = 0.0
        self._asked_raw = self._left_raw = False

    def begin(self) -> None:
        """A new request: what is heard from now on counts."""
        self.heard = self.echo = self.prompt = False
        self.problem = ""
        self._other.clear()
        self._began = time.monotonic()

    def close(self) -> None:
        """Close the port without resetting an ESP32: RTS falls first, then DTR."""
        with contextlib.suppress(OSError):  # a pty has neither
            self.serial.rts = False
            self.serial.dtr = False
        unlock(self.serial)
        with contextlib.suppress(OSError):
            self.serial.close()

    def write(self, line: bytes) -> None:
        """Send a line."""
        self._sent = line
        self.serial.write(b"\n" + line + b"\n")  # the first ends noise in the board's buffer

    def next(self, end: float) -> bytes:
        """The text of the next covered line before `end`; raises TimeoutError, ForeignError."""
        while True:
            at = self._input.find(b"\n")
            if at < 0:
                self._read(end)
                continue
            line = bytes(self._input[:at]).rstrip(b"\r")
            del self._input[: at + 1]
            text: bytes
            try:
                text, covered = framing.uncover(line)
            except framing.BadLine:
                covered = False
            if not covered:
                self._overhear(line)
                continue
            if line == self._sent:  # RS-485 and radio modems hear what they send
                self.echo = True
                continue
            self.heard = True
            return text

    def other(self, end: float) -> bytes:
        """The next line before `end` that isn't a covered one: what a program printed, mostly.
        Raises TimeoutError."""
        while True:
            at = self._input.find(b"\n")
            if at < 0:
                self._read(end)
                continue
            line = bytes(self._input[:at]).rstrip(b"\r")
            del self._input[: at + 1]
            with contextlib.suppress(framing.BadLine):
                if framing.uncover(line)[1]:
                    continue
            return line

    def nudge(self) -> None:
        """Where nothing at all was heard, have a raw REPL that somebody left show a prompt."""
        if not (self.heard or self.echo or self._other or self._input or self._asked_raw):
            self._asked_raw = True
            self.serial.write(_TO_FRIENDLY)

    def leave_raw_repl(self) -> bool:
        """Whether there was a raw REPL: nobody sits at one, so the board starts what it has."""
        if not (self._asked_raw and self.prompt) or self._left_raw:
            return False
        self._left_raw = True
        self.serial.write(_SOFT_RESET)
        end = time.monotonic() + _RESET_S
        with contextlib.suppress(TimeoutError):
            while _RESETS not in self._input:  # prompts until then are for earlier lines
                self._read(end)
        self._input[:] = self._input.partition(_RESETS)[2]
        return True

    def silence(self) -> BoardError:
        """Why there was no answer, as far as the line tells; asks a prompt who it is."""
        if self.prompt and not self.heard:
            return self._at_prompt()
        if self.problem == _NO_MEMORY:
            return self._error(
                "the board has no memory left to answer: its application (/app.py) takes it all; "
                "reset the board"
            )
        if self.problem:
            return self._error(f"the board's agent fails: {self.problem}; reset the board")
        if self.heard:
            return self._error("the board stopped answering")
        heard = bytes(self._other + self._input)
        said = hearing.describe(heard)
        if not heard and not self.echo and self._is_rom():
            return ForeignError(f"{self.port}: {hearing.DOWNLOAD}", True)
        if said:
            voice = hearing.recognize(heard)
            if voice is not None and voice.certain:
                return ForeignError(f"{self.port}: {said}", voice.deaf)
            return self._error(said)
        others = ports.holders(self.port)
        if others:
            return self._error(
                f"no answer: {', '.join(others)} has the port open too, and reads it"
            )
        if self.echo:
            return self._error(
                "the line echoes, and nothing else answers: no board, no power, or no agent"
            )
        return self._error("no answer: no board, no power, or no agent on it")

    def _is_rom(self) -> bool:
        """Whether the ROM of an ESP32 answers there, waiting for firmware."""
        with contextlib.suppress(OSError, TimeoutError):
            for _ in range(2):
                self.serial.write(_SYNC)
                end = time.monotonic() + _SYNC_S
                with contextlib.suppress(TimeoutError):
                    while _SYNCED not in self._input:
                        self._read(end)
                    return True
        return False

    def _at_prompt(self) -> BoardError:
        self._input.clear()
        with contextlib.suppress(OSError, TimeoutError, ForeignError):
            self.serial.write(_TO_FRIENDLY)
            end = time.monotonic() + _BANNER_S
            while not _BANNER.search(self._other):
                self.next(end)
        found = _BANNER.search(self._other + self._input)
        who = ""
        if found:
            kind, version, machine = (word.decode(errors="replace") for word in found.groups())
            if kind == "Circuit":
                return ForeignError(f"{self.port}: {hearing.describe(found[0])}", False)
            who = f" {version} ({''.join(c if c.isprintable() else '?' for c in machine)})"
        return self._error(
            f"MicroPython{who} is at its REPL prompt, and no agent runs: `roamkey install` puts "
            "one there, or starts it"
        )

    def _error(self, text: str) -> BoardError:
        return BoardError(f"{self.port}: {text}")

    def _read(self, end: float) -> None:
        if time.monotonic() >= end or (self._asked_raw and self.prompt and not self._left_raw):
            raise TimeoutError
        self._input += self.serial.read(1)
        self._input += self.serial.read(self.serial.in_waiting)
        self.prompt = self.prompt or _PROMPT in self._input
        if len(self._input) > _INPUT_OCTETS_MAX:
            self._overhear(bytes(self._input))
            self._input.clear()

    def _overhear(self, line: bytes) -> None:
        """Keep what isn't for us; raise ForeignError where it is clear whose it is."""
        self._other += line + b"\n"
        del self._other[: -hearing.HEARD_OCTETS_MAX]
        problem = _PROBLEM.fullmatch(line)
        if problem:
            self.problem = problem[1].decode()
        now = time.monotonic()
        if self.heard or now < self._began + _FOREIGN_S or now < self._judged + _JUDGE_EACH_S:
            return
        self._judged = now
        voice = hearing.recognize(bytes(self._other))
        if voice is not None and voice.certain:
            said = hearing.describe(bytes(self._other))
            raise ForeignError(f"{self.port}: {said}", voice.deaf)
