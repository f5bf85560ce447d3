"""Packets out of hexadecimal text: plain lines, or dumps of tshark, tcpdump, xxd, hexdump."""

import re
from collections.abc import Iterator
from typing import TextIO

from roamkey.errors import BadInputError

# A dump's line: its offset, ended by a colon or by two spaces, then the octets. A plain line that
# begins like this isn't mistaken for one, since a dump's first offset is 0.
_DUMP = re.compile(r"\s*(?:0x)?([0-9a-fA-F]{4,8})(?::\s+|\s{2,})(\S.*)")
_CANONICAL_TEXT = re.compile(r"\s+\|.*$")  # hexdump -C sets the characters between bars
_OTHER_TEXT = re.compile(r"\s{2,}.*$")  # the others set them behind a gap
_BETWEEN = re.compile(r"[\s:]+")


_LINE_MAX = 1 << 19  # characters; four to an octet of the longest packet, and some to spare
_OCTETS_MAX = 0xFFFF + 80


def packets_in(text: TextIO) -> Iterator[bytes]:
    """The packets of `text`: one a line, or one a dump whose offsets begin again at 0.

    Spaces, colons and a leading 0x don't matter; empty lines are skipped. Holds one packet at a
    time. Raises BadInputError, behind the packets that stand before what isn't one.
    """
    held = b""  # a dump that may go on
    none = True
    for number, line in enumerate(_lines(text), 1):
        match = _DUMP.fullmatch(line)
        offset = int(match[1], 16) if match else None
        if match and held and offset == len(held):
            if len(held) > _OCTETS_MAX:
                raise BadInputError(f"line {number}: a packet of more than {_OCTETS_MAX} octets")
            held += _dumped(match[2], number)
            continue
        if held:
            yield held
            held, none = b"", False
        if match and offset == 0:
            held = _dumped(match[2], number)
        elif line.strip():
            yield _octets(line, number)
            none = False
    if held:
        yield held
    elif none:
        raise BadInputError("no packet given")


def _lines(text: TextIO) -> Iterator[str]:
    number = 0
    while line := text.readline(_LINE_MAX + 1):
        number += 1
        if len(line) > _LINE_MAX:
            raise BadInputError(f"line {number}: longer than any packet")
        yield line.rstrip("\r\n")


def _dumped(rest: str, number: int) -> bytes:
    bare = _CANONICAL_TEXT.sub("", rest)
    return _octets(bare if bare != rest else _OTHER_TEXT.sub("", rest), number)


def _octets(text: str, number: int) -> bytes:
    words = (word.removeprefix("0x").removeprefix("0X") for word in _BETWEEN.split(text.strip()))
    digits = "".join(words)
    if not re.fullmatch(r"[0-9a-fA-F]+", digits, re.ASCII):
        raise BadInputError(f"line {number}: not hexadecimal")
    if len(digits) % 2:
        raise BadInputError(f"line {number}: an odd number of hexadecimal digits ({len(digits)})")
    return bytes.fromhex(digits)
