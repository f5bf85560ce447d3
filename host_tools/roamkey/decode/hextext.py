"""Packets out of hexadecimal text: plain lines, or dumps of tshark, tcpdump, xxd, hexdump."""

import re

from roamkey.errors import BadInputError

# A dump's line: its offset, ended by a colon or by two spaces, then the octets. A plain line that
# begins like this isn't mistaken for one, since a dump's first offset is 0.
_DUMP = re.compile(r"\s*(?:0x)?([0-9a-fA-F]{4,8})(?::\s+|\s{2,})(\S.*)")
_CANONICAL_TEXT = re.compile(r"\s+\|.*$")  # hexdump -C sets the characters between bars
_OTHER_TEXT = re.compile(r"\s{2,}.*$")  # the others set them behind a gap
_BETWEEN = re.compile(r"[\s:]+")


def packets_in(text: str) -> list[bytes]:
    """The packets of `text`: one a line, or one a dump whose offsets begin again at 0.

    Spaces, colons and a leading 0x don't matter; empty lines are skipped. Raises BadInputError.
    """
    found: list[bytes] = []
    dump = False  # whether the last packet is a dump that may go on
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            dump = False
            continue
        match = _DUMP.fullmatch(line)
        offset = int(match[1], 16) if match else None
        if match and dump and offset == len(found[-1]):
            found[-1] += _dumped(match[2], number)
        elif match and offset == 0:
            found.append(_dumped(match[2], number))
            dump = True
        else:
            found.append(_octets(line, number))
            dump = False
    if not found:
        raise BadInputError("no packet given")
    return found


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
