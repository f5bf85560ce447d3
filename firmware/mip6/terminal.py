"""The board's end of the serial line: waits for lines, and has the console answer them.

The console and what it needs are in memory while somebody talks, no longer: on a board their code
would take a third of the agent's RAM for good. So everyday code imports those packages at the
named load points, and here they are forgotten again. Whoever still uses one keeps it until done;
who imports it next loads it anew.
"""

import asyncio
import gc
import select
import sys

from . import clock
from .compat import MICROPYTHON, const
from .ports.waiting import Readable

TYPE_CHECKING = const(False)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from .protocols import Console, Drain, Stream
    from .supervise import Part

#: What comes and goes: packages and modules of mip6 that everyday work doesn't need.
TRANSIENT = (
    "applog", "console", "inplace", "keychange", "maintenance", "pathcheck", "status",
)  # fmt: skip

LINE_OCTETS_MAX = const(2048)  # what a board takes in one line, without the line's end
INTERRUPT = const(0x03)  # Ctrl-C

_USUAL = const(64)  # octets of a line, while nobody talks much
_CR = const(0x0D)
_LF = const(0x0A)

_BURST = const(64)  # octets taken before others have their turn
_REST_S = 0.3  # between an answer and the reboot it announces
_KEEP_MS = const(10000)  # the console, after the last line

_PROBLEM = b'{"jsonrpc":"2.0","id":null,"error":{"code":-32603,"message":"%s"}}\n'
_NO_MEMORY = _PROBLEM % b"no memory left"
_FAULT = _PROBLEM % b"internal error"


class Oversized(ValueError):
    """A line or a message that is longer than a board takes."""


class LineReader:
    """Octets in, lines out. The buffer fits the lines that hosts send; a longer one has it grow.

    `interrupted`: whether an INTERRUPT came. It counts only at the start of a line (inside a line
    it drops the line, as in a shell), so that noise seldom stops a board.
    """

    def __init__(self, limit: int = LINE_OCTETS_MAX) -> None:
        self._line = bytearray(min(limit, _USUAL))
        self._length = 0
        self._limit = limit
        self.interrupted = False

    def feed(self, octet: int) -> bytes | None:
        """Take one octet; return None, or a line (bytes, its end removed; never empty).

        Raises Oversized at the end of a line that exceeded the limit; the next one is whole.
        """
        if octet in (_LF, _CR):
            length = self._length
            line = bytes(memoryview(self._line)[: min(length, self._limit)]) if length else None
            self._drop()
            if length > self._limit:
                raise Oversized("a line longer than %d octets" % self._limit)
            return line
        if octet == INTERRUPT:
            self.interrupted = not self._length
            self._drop()
        elif self._length < self._limit:
            if self._length == len(self._line):
                self._resize(self._limit)
            self._line[self._length] = octet
            self._length += 1
        else:
            self._length = self._limit + 1
        return None

    def _resize(self, octets: int) -> None:
        """Another buffer, with as much of the line as it holds; the old one is wiped."""
        old = self._line
        self._line = bytearray(octets)
        kept = min(octets, self._length)
        self._line[:kept] = memoryview(old)[:kept]
        for i in range(len(old)):
            old[i] = 0

    def _drop(self) -> None:
        length, self._length = self._length, 0
        if len(self._line) > _USUAL:
            self._resize(_USUAL)
        for i in range(min(length, len(self._line))):  # it may have held a key
            self._line[i] = 0


def forget() -> None:
    """Forget what comes and goes, on a board (CPython has memory, and keeps what has heirs)."""
    found = False
    for name in list(sys.modules) if MICROPYTHON else ():
        package, _, rest = name.partition(".")
        if package == "mip6" and rest.split(".")[0] in TRANSIENT:
            above, _, last = name.rpartition(".")
            del sys.modules[name]
            if hasattr(sys.modules.get(above), last):
                delattr(sys.modules[above], last)
            found = True
    if found:
        gc.collect()


class Desk:
    """Where a technician sits down. `make()`: a coroutine that gives a methods.Console.
    `sealed()`: whether the board is sealed and 0x03 void. `part`: where faults are noted.
    """

    def __init__(
        self,
        make: "Callable[[], Awaitable[Console]]",
        sealed: "Callable[[], bool]",
        part: "Part",
    ) -> None:
        self._make = make
        self.sealed = sealed
        self.part = part
        self._console: "Console | None" = None
        # of lines refused, over the consoles there were
        self._counts: dict[str, int] | None = None
        self._until = 0

    async def open(self) -> "Console":
        """The console, loaded where it isn't there."""
        self._until = clock.now() + _KEEP_MS
        if self._console is None:
            gc.collect()
            self._console = await self._make()
            if self._counts is not None:
                self._console.counts = self._counts
            self._counts = self._console.counts
        return self._console

    def tidy(self) -> None:
        """Once a second: put everything away that nobody has asked for in a while."""
        if clock.now() >= self._until and (self._console is None or self._console.idle):
            self.close()

    def close(self) -> None:
        """Put everything away, a message half come, too."""
        self._console = None
        forget()


async def serve(desk: "Desk", source: "Stream", sink: "Drain") -> bool | None:
    """Answer the lines of `source` on `sink` until 0x03 or a reboot is asked for.

    `desk`: a Desk. `source`: a stream that select.poll knows and whose read(1) gives octets
    (`sys.stdin.buffer`: its read(n) blocks for exactly n, hence one at a time); `sink`: has
    write(octets). Returns True for a reboot, False for 0x03 on a board that isn't sealed, None
    when the line is closed (a service without a terminal). For MicroPython's asyncio alone.
    """
    reader = LineReader()
    readable = Readable(source)
    waiting = select.poll()
    waiting.register(source, select.POLLIN)
    octet = None
    while True:
        if octet:
            await asyncio.sleep(0)  # a long burst: the node's turn
        else:
            await readable  # type: ignore[misc]  # MicroPython awaits iterators
            octet = source.read(1)
        for _ in range(_BURST):
            if not octet:
                break
            if await take(desk, reader, octet[0], sink):
                await asyncio.sleep(_REST_S)  # the answer leaves a UART or USB first
                return True
            if reader.interrupted:
                if not desk.sealed():
                    return False
                reader.interrupted = False  # nor does it count after the seal is opened
            octet = source.read(1) if waiting.poll(0) else None
        if octet == b"":
            return None


async def take(desk: "Desk", reader: "LineReader", octet: int, sink: "Drain") -> bool:
    """Take an octet, answer the line that it ends; whether a reboot was asked for.

    What fails costs that line. Raises where it fails too often, OSError where nobody hears.
    """
    try:
        try:
            line: bytes | Oversized | None = reader.feed(octet)
        except Oversized as error:
            line = error
        return bool(line) and await _answer(desk, line, sink)  # type: ignore[arg-type]  # not None
    except OSError:
        raise
    except Exception as error:
        desk.close()  # an application may have the memory: the node works on
        if desk.part.note(error):
            raise
        sink.write(_NO_MEMORY if isinstance(error, MemoryError) else _FAULT)
    return False


async def _answer(desk: "Desk", line: "bytes | Oversized", sink: "Drain") -> bool:
    """Answer a line (or Oversized); whether a reboot was asked for."""
    console = await desk.open()
    answer = console.refuse(line) if isinstance(line, Oversized) else console.handle(line)
    if answer:
        sink.write(answer + b"\n")
    return console.rebooting
