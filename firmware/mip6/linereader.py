"""Octets of the serial line to lines (the rest of the framing: lines.py)."""

from .compat import const

LINE_OCTETS_MAX = const(2048)  # what a board takes in one line, without the line's end
INTERRUPT = const(0x03)  # Ctrl-C

_USUAL = const(256)  # octets

_CR = const(0x0D)
_LF = const(0x0A)


class Oversized(ValueError):
    """A line or a message that is longer than a board takes."""


class LineReader:
    """Octets in, lines out. The buffer fits the lines that hosts send; a longer one has it grow.

    `interrupted`: whether an INTERRUPT came. It counts only at the start of a line (inside a line
    it drops the line, as in a shell), so that noise seldom stops a board.
    """

    def __init__(self, limit=LINE_OCTETS_MAX):
        self._line = bytearray(min(limit, _USUAL))
        self._length = 0
        self._limit = limit
        self.interrupted = False

    def feed(self, octet):
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

    def _resize(self, octets):
        """Another buffer, with as much of the line as it holds; the old one is wiped."""
        old = self._line
        self._line = bytearray(octets)
        kept = min(octets, self._length)
        self._line[:kept] = memoryview(old)[:kept]
        for i in range(len(old)):
            old[i] = 0

    def _drop(self):
        length, self._length = self._length, 0
        if len(self._line) > _USUAL:
            self._resize(_USUAL)
        for i in range(min(length, len(self._line))):  # it may have held a key
            self._line[i] = 0
