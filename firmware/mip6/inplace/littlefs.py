"""Where the files of a littlefs lie: read from the flash itself, past MicroPython.

littlefs 2 (its SPEC.md). A directory is a chain of pairs of blocks, each block a log of commits;
all pairs are threaded on one list, from the root on. A file beyond a certain size is a list of
blocks, each but the first beginning with pointers to earlier ones (a CTZ skip list), and none of
them changes as long as the file isn't written.
"""

import binascii

from ..compat import const

TYPE_CHECKING = const(False)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from ..protocols import Octets

    Piece = tuple[int, int]

BLOCK = const(4096)  # octets

_MAGIC = b"littlefs"
_PAIRS_MAX = const(1024)
_NONE = const(0xFFFFFFFF)

# tags: a valid bit, 11 bits of kind, 10 of the entry, 10 of the length
_CREATE = const(0x401)
_DELETE = const(0x4FF)
_CTZ = const(0x202)
_OTHER_STRUCTS = (0x200, 0x201)
_TAILS = (0x600, 0x601)
_CHECKSUM = const(0x500)
_CHECKSUM_MASK = const(0x780)
_LENGTH_MASK = const(0x3FF)


def is_volume(block: "Octets") -> bool:
    """Whether this block is the first or the second one of a file system."""
    return bytes(block[8:16]) == _MAGIC


class Volume:
    """A file system. `read(at, octets)` gives what the flash has from there on, counted from the
    file system's first octet."""

    def __init__(self, read: "Callable[[int, int], Octets]") -> None:
        self._read = read

    def files(self) -> "Iterator[list[Piece]]":
        """The pieces of each file that has blocks of its own: (at, octets), in order."""
        pair: "tuple[int, int] | None" = (0, 1)
        for _ in range(_PAIRS_MAX):
            if pair is None:
                return
            newest = self._newest(pair)
            if newest is None:
                return
            entries, pair = newest
            for entry in entries:
                if entry is not None:
                    yield self._pieces(*entry)

    def _newest(
        self, pair: "tuple[int, int]"
    ) -> "tuple[list[tuple[int, int] | None], tuple[int, int] | None] | None":
        """What the newer block of a pair says: (head, octets) by entry, and the next pair."""
        found = None
        revision = 0
        for block in pair:
            octets = self._read(block * BLOCK, BLOCK)
            told = _committed(octets)
            ahead = (_little(octets, 0) - revision) & _NONE
            if told is not None and (found is None or 0 < ahead < 1 << 31):
                found, revision = told, _little(octets, 0)
        return found

    def _pieces(self, head: int, octets: int) -> "list[Piece]":
        sizes: "list[Piece]" = []
        left, number = octets, 0
        while left > 0:
            pointers = 4 * (_zeros(number) + 1) if number else 0
            sizes.append((pointers, min(left, BLOCK - pointers)))
            left -= BLOCK - pointers
            number += 1
        pieces = []
        for pointers, count in reversed(sizes):
            pieces.append((head * BLOCK + pointers, count))
            if pointers:
                head = _little(self._read(head * BLOCK, 4), 0)
        pieces.reverse()
        return pieces


def place_in(pieces: "Iterable[Piece]", start: int) -> "Callable[[int, int], int | None]":
    """Where octets of a file are, whose `pieces` lie from the address `start` on."""

    def place(at: int, octets: int) -> int | None:
        for there, count in pieces:
            if at + octets <= count:
                return start + there + at
            if at < count:
                return None
            at -= count
        return None

    return place


def _zeros(number: int) -> int:
    """How many zeros a number ends with, in binary."""
    zeros = 0
    while not number & 1:
        number >>= 1
        zeros += 1
    return zeros


def _little(octets: "Octets", at: int) -> int:
    return int.from_bytes(bytes(octets[at : at + 4]), "little")


def _committed(
    block: "Octets",
) -> "tuple[list[tuple[int, int] | None], tuple[int, int] | None] | None":
    """What the commits of a block come to; None where it holds none."""
    entries: list[tuple[int, int] | None] = []
    tail: "tuple[int, int] | None" = None
    good = None
    checksum = binascii.crc32(block[:4])
    at, before = 4, _NONE
    while at + 4 <= BLOCK:
        tag = int.from_bytes(bytes(block[at : at + 4]), "big") ^ before
        kind, entry, length = tag >> 20, tag >> 10 & _LENGTH_MASK, tag & _LENGTH_MASK
        if length == _LENGTH_MASK:  # deleted
            length = 0
        end = at + 4 + length
        if kind >> 11 or end > BLOCK:  # not valid: the log ends here
            break
        checksum = binascii.crc32(block[at : at + 4], checksum)
        data = block[at + 4 : end]
        at, before = end, tag
        if kind & _CHECKSUM_MASK == _CHECKSUM:
            if length < 4 or _little(data, 0) != checksum ^ _NONE:
                break
            good = (list(entries), tail)
            before ^= (kind & 1) << 31
            checksum = 0
            continue
        checksum = binascii.crc32(data, checksum)
        if kind == _CREATE:
            entries.insert(entry, None)
        elif kind == _DELETE:
            del entries[entry : entry + 1]
        elif kind in _TAILS:
            tail = (_little(data, 0), _little(data, 4))
            if tail[0] == _NONE:
                tail = None
        elif kind == _CTZ or kind in _OTHER_STRUCTS:
            while entry >= len(entries):  # a log that was compacted creates nothing
                entries.append(None)
            entries[entry] = (_little(data, 0), _little(data, 4)) if kind == _CTZ else None
    return good
