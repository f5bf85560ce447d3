"""The last events of a board, in blocks of a kilobyte of text: the newest in RAM, all in flash.

A line is "milliseconds-since-the-start kind detail ..."; a block begins with "milliseconds boot
number" and each start adds "milliseconds boot number cause unix-seconds", so times mean something
over resets. A block is one file, written whole: again while it grows, at most every eight seconds,
and no more once it is full. The oldest of 32 goes. See docs/SPEC.md, "The event log".
"""

import json

from . import addresses, packets
from .compat import const
from .limits import DATAGRAM_OCTETS_MAX

TYPE_CHECKING = const(False)

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from .node import Node
    from .protocols import BlockStore, Octets

_BLOCK = const(1024)  # octets
_BLOCKS = const(32)
_WAITING_SLOTS = const(112)  # four for an event that no line tells of yet
_LINE = const(900)  # octets; a longer one, or one of other alphabets, is cut
_SAVE_MS = const(8000)
_AGAIN_MS = const(60000)  # after a write that failed
_ANSWER_MS = const(100)  # between answers over the air
_NUMBER_MAX = const(999999999)
_DIGITS_MAX = const(9)  # of a block's number
_NAME = "%06d"


def _numbers(names: "list[str]") -> "list[int]":
    """The numbers of the blocks among these names, ascending; what else lies there is ignored."""
    found = set()
    for name in names:
        name = name.split("/")[0]  # a folder takes a number, too
        try:
            number = int(name)
        except ValueError:
            continue
        if 0 < number <= _NUMBER_MAX and _NAME % number == name:
            found.add(number)
    return sorted(found)


def _boot_of(lines: "list[str]") -> int:
    """The number of the last boot in a block, whose first line is one; 0 where this is none."""
    boot = 0
    for line in lines:
        words = line.split(" ", 3)
        if len(words) > 2 and words[1] == "boot":
            try:
                boot = max(boot, int(words[2]))
            except ValueError:
                pass
        if not boot:
            break
    return boot


class EventLog:
    """`now()`: milliseconds since the start. `store`: keeps blocks (a FileStore of their own) or
    None. `start`: why the board started and when, for people and as Unix time.

    An event has the time of that moment; lines are made of it later (`write_lines`).
    """

    def __init__(
        self, now: "Callable[[], int]", store: "BlockStore | None" = None, start: str = "0 0"
    ) -> None:
        self._now = now
        self._store = store
        # time, kind, subject and detail of each, one behind the other: noting needs no memory
        self._waiting: "list[Any]" = [None] * _WAITING_SLOTS
        self._filled = self._written = 0
        self._lines: list[str] = []
        self._octets = 0
        self._blocks: list[int] | None = []  # in flash, ascending; None: nobody could look
        self._dirty = 0
        self.block = self._boot = 0
        try:
            if store is not None:
                self._blocks = _numbers(store.names())
        except OSError:
            self._blocks = None
        self._resume()
        self._boot += 1
        self.add("boot", "%d %s" % (self._boot, start))

    def _resume(self) -> None:
        """Go on in the newest block, behind it where it is torn; no number comes again."""
        for number in reversed(self._blocks or ()):
            text = self.read(number)
            lines = text.split("\n")
            boot = _boot_of(lines)
            if boot:
                if not self.block:
                    self.block, self._lines, self._octets = number, lines, len(text.encode()) + 1
                self._boot += boot
                return
            self.block = self.block or number + 1
            self._boot += 1  # the start that began it
        self.block = self.block or 1

    def emit(self, kind: str, subject: bytes | None, detail: object) -> None:
        """Note a kind, address or None, detail or None with the time of now, if there is room."""
        waiting, at = self._waiting, self._filled
        if at < _WAITING_SLOTS:
            waiting[at] = self._now()
            waiting[at + 1] = kind
            waiting[at + 2] = subject
            waiting[at + 3] = detail
            self._filled = at + 4

    def add(self, kind: str, text: object = None) -> None:
        """Note an event: a short fixed word and a line for a person, without secrets."""
        self.emit(kind, None, text)

    def write_lines(self) -> None:
        """Make lines of what waits."""
        while self._written < self._filled:
            at, kind, subject, detail = self._waiting[self._written : self._written + 4]
            self._written += 4
            line = "%d %s" % (at, kind)
            if subject is not None:
                line += " " + addresses.text(subject)
            if detail is not None:
                line += " %s" % detail
            line = line.replace("\n", " ")
            octets = len(line.encode())
            if octets > _LINE:
                line = line[: _LINE >> 2]  # a character has four octets at most
                octets = len(line.encode())
            if self._octets + octets > _BLOCK:
                self.save()
                self.block += 1
                self._octets = 0
                self._lines = []
                self._line("%d boot %d" % (at, self._boot))
            self._line(line)
        self._filled = self._written = 0

    def _line(self, line: str) -> None:
        self._lines.append(line)
        self._octets += len(line.encode()) + 1
        self._dirty = self._dirty or self._now() + _SAVE_MS

    def tend(self, idle: bool) -> None:
        """Once a second: make lines, and save when it is time and the board `idle`."""
        self.write_lines()
        if self._dirty and idle and self._now() >= self._dirty:
            self.save()

    def save(self) -> None:
        """Write the newest block. A store that fails costs events and nothing else."""
        self._dirty = 0
        blocks = self._blocks
        if self._store is None or blocks is None:
            return
        try:
            self._store.write(_NAME % self.block, "\n".join(self._lines).encode())
            if self.block not in blocks:
                blocks.append(self.block)
            while len(blocks) > _BLOCKS:
                self._store.remove(_NAME % blocks[0])
                blocks.pop(0)
        except OSError:
            self._dirty = self._now() + _AGAIN_MS

    def clear(self) -> None:
        """Forget all events, in flash too; the numbers of blocks and boots go on. OSError."""
        self._filled = self._written = 0
        self._lines.clear()
        self._octets = 0
        self.block += 1
        self._line("%d boot %d" % (self._now(), self._boot))
        if self._store is None:
            return
        self.save()  # first: so that no cut has the numbers begin anew
        for name in self._store.names():
            if self._dirty or name != _NAME % self.block:
                self._store.remove(name)
        self._blocks = [] if self._dirty else [self.block]
        if self._dirty:  # there is room now
            self.save()

    def read(self, number: int) -> str:
        """The text of a block, empty if it is gone or torn."""
        if number == self.block and self._lines:
            return "\n".join(self._lines)
        if self._store is None or not self._blocks or number not in self._blocks:
            return ""
        try:
            return (self._store.read(_NAME % number) or b"").decode()
        except (OSError, ValueError, MemoryError):  # whatever an accident put there
            return ""

    def tell(self, number: int | None) -> "dict[str, Any]":
        """What the console's `log` answers: the text of a block (None: the newest), and the
        numbers of the newest and the oldest."""
        self.write_lines()
        oldest = self._blocks[0] if self._blocks else self.block
        text = self.read(self.block if number is None else number)
        return {"block": self.block, "oldest": oldest, "ms": self._now(), "text": text}


class AirLog:
    """Answers who asks for the event log over the air: UDP port 4449 of the home address.

    A datagram holds the number of a block in decimal digits, or nothing: the newest. Only
    correspondents with a binding are answered, one datagram each 100 ms at most; whoever asks sees
    to it that what is lost is asked for again. `node`: node.Node, which takes this for a socket.
    """

    port = 4449

    def __init__(self, log: "EventLog", node: "Node", now: "Callable[[], int]") -> None:
        self._log = log
        self._node = node
        self._now = now
        self._answered = 0

    def flush(self) -> None:
        """The way may be free: nothing waits here."""

    def deliver(self, source: bytes, header: "Octets") -> None:
        """A datagram came from 16 octets of address; `header`: UDP header and data."""
        bindings = self._node.bindings
        assert bindings is not None
        if self._now() - self._answered < _ANSWER_MS:
            return
        if bindings.find(source) is None or not bindings.reaches(source):
            return
        asked = bytes(header[packets.UDP_HEADER_OCTETS : header[4] << 8 | header[5]])
        if len(asked) > _DIGITS_MAX:
            return
        try:
            number = int(asked) if asked else None
        except ValueError:
            return
        self._answered = self._now()
        told = self._log.tell(number)
        told["asked"] = number
        data = json.dumps(told).encode()
        if len(data) <= DATAGRAM_OCTETS_MAX:
            port = header[0] << 8 | header[1]
            datagram = packets.udp(bindings.home_address, source, self.port, port, data)
            self._node.send_data(bindings.carry(source, packets.UDP, datagram))
