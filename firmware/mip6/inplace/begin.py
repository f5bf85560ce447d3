"""On a Pico W: has the agent's bytecode run where it lies in flash, right at the start.

Half of the agent's RAM would be copies of what its flash holds at known addresses. So each file's
blocks are looked up in the file system (littlefs.py), compared with what the file gives, and
functions are pointed there (bytecode.py). Whatever isn't as expected stays as it was, in RAM.
The files may not be removed or written while the agent runs; `roamkey install` never does.
"""

import gc
import sys

import uctypes

from ..compat import const
from .bytecode import Mover
from .littlefs import BLOCK, Volume, is_volume

TYPE_CHECKING = const(False)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from .littlefs import Piece

_FLASH = const(0x10000000)  # of RP2040 and RP2350: where flash is read (XIP)
_FLASH_END = const(0x11000000)
_RAM = const(0x20000000)
_RAM_END = const(0x20082000)
_WORD = const(4)
_OURS = "inplace"  # what runs now


def _memory(address: int, octets: int) -> "bytearray":
    return uctypes.bytearray_at(address, octets)


def _in_ram(address: int) -> bool:
    return _RAM <= address < _RAM_END


def _volume() -> "tuple[Volume, int] | None":
    """The file system in flash, and its address."""
    for address in range(_FLASH, _FLASH_END, BLOCK):
        if is_volume(_memory(address, 16)):
            return Volume(lambda at, octets: _memory(address + at, octets)), address
    return None


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


def begin(*running: object) -> int:
    """Move what can be moved; returns the octets of RAM that this frees, but for rounding.

    To be called before any coroutine begins. `running`: functions that are.
    """
    found = _volume()
    if found is None:
        return 0
    volume, start = found
    files = list(volume.files())
    mover = Mover(_memory, _WORD, _in_ram)
    for name in list(sys.modules):
        module = sys.modules[name]
        path = getattr(module, "__file__", None) or ""
        package, _, rest = name.partition(".")
        if package == "mip6" and rest != _OURS and path.endswith(".mpy"):
            with open(path, "rb") as file:
                octets = file.read()
            for pieces in files:
                if _holds(pieces, start, octets):
                    mover.move(module, octets, place_in(pieces, start), running)
                    break
            gc.collect()
    return mover.octets


def _holds(pieces: "list[Piece]", start: int, octets: bytes) -> bool:
    """Whether a file's pieces in flash hold these octets."""
    if sum(count for _, count in pieces) != len(octets):
        return False
    at = 0
    for there, count in pieces:
        if _memory(start + there, count) != octets[at : at + count]:
            return False
        at += count
    return True
