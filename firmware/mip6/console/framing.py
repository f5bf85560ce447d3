"""What crosses the serial line: text in lines, covered by a CRC, cut into pieces where long.

A line is ASCII text ended by LF; a CR before it is ignored. A *covered* line is `text TAB crc`,
where crc is the CRC-32 (IEEE 802.3) of the text in eight lower-case hexadecimal digits. A text
that is no longer than a piece travels as one line. A longer one is cut into *pieces*, covered
lines of their own: `+NN text` with more to follow, `.NN text` the last; NN counts from 00 in
hexadecimal. The receiver acknowledges each `+NN text` by `+NN`, covered; the sender waits for
that, so that no more than one piece stands in the input ring (260 octets on ESP32, which drops
what exceeds it). A piece sent again because its acknowledgement was lost is acknowledged again
and not taken twice.

Both ends import this file. It does no I/O. docs/SPEC.md, "The console", says the same bit by bit.
"""

import binascii

from ..compat import const
from ..terminal import Oversized

MESSAGE_OCTETS_MAX = const(16384)  # what a board takes in pieces
LINE_OCTETS_SENT = const(200)  # the longest line a host sends, with both LFs: a ring holds it
PIECE_OCTETS = const(185)  # of text in it: less "+NN ", TAB, CRC and the LFs round it


class BadLine(ValueError):
    """A line that isn't what was sent, or that doesn't belong here; `str()` says it in a line."""


def cover(text: bytes) -> bytes:
    """The line (bytes, without its end) that carries `text` (bytes) under its CRC."""
    return b"%s\t%08x" % (text, binascii.crc32(text))


def uncover(line: bytes) -> tuple[bytes, bool]:
    """The text of a line (bytes) and whether a CRC covered it; raises BadLine."""
    at = line.rfind(b"\t")
    if at < 0:
        return line, False
    text = line[:at]
    if line[at + 1 :] != b"%08x" % binascii.crc32(text):
        raise BadLine("the line's CRC is wrong")
    return text, True


def cut(text: bytes) -> list[bytes]:
    """The lines (bytes, without their ends) that carry `text`, a complete message, covered."""
    if len(text) <= PIECE_OCTETS:
        return [cover(text)]
    if len(text) > MESSAGE_OCTETS_MAX:
        raise Oversized("the message has more than %d octets" % MESSAGE_OCTETS_MAX)
    starts = range(0, len(text), PIECE_OCTETS)
    last = starts[-1]
    return [
        cover(
            b"%s%02x %s"
            % (b"." if start == last else b"+", number, text[start : start + PIECE_OCTETS])
        )
        for number, start in enumerate(starts)
    ]


def acknowledgement(number: int) -> bytes:
    """The text that acknowledges the piece `number`; it goes covered."""
    return b"+%02x" % number


class Joiner:
    """Puts the pieces of a message together again, in order."""

    def __init__(self) -> None:
        self._text = bytearray()
        self._next = 0

    @property
    def begun(self) -> bool:
        """Whether more pieces are due."""
        return self._next > 0

    def add(self, text: bytes) -> tuple[int, bytes | None]:
        """Take the text of a piece; return its number and the message, or None before
        the last piece. Raises BadLine and Oversized; the pieces before are lost only if it has to
        start again (`Oversized`, or a piece that is missing).
        """
        last = text[:1] == b"."
        try:
            number = int(bytes(text[1:3]), 16)
        except ValueError:
            number = -1
        if text[3:4] != b" " or number < 0 or b"%02x" % number != text[1:3]:
            raise BadLine("a piece without a number")
        if number == 0:
            self._start()
        elif number == self._next - 1 and not last:
            return number, None  # its acknowledgement was lost
        elif number != self._next:
            expected = self._next
            self._start()
            raise BadLine("piece %d where piece %d was due: start again" % (number, expected))
        if len(self._text) + len(text) - 4 > MESSAGE_OCTETS_MAX:
            self._start()
            raise Oversized("more than %d octets in a message" % MESSAGE_OCTETS_MAX)
        self._text.extend(text[4:])
        self._next += 1
        if not last:
            return number, None
        message = bytes(self._text)
        self._start()
        return number, message

    def _start(self) -> None:
        for i in range(len(self._text)):  # it may have held a key
            self._text[i] = 0
        self._text = bytearray()
        self._next = 0
