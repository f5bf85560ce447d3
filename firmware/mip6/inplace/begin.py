"""On a Pico W: has the agent's bytecode run where it lies in flash, right at the start.

Two fifths of the agent's RAM would be copies of what its flash holds at known addresses. So each
file's blocks are looked up in the file system (littlefs.py), and functions are pointed there
whose octets are the same (bytecode.py). Whatever isn't as expected stays as it was, in RAM.
The files may not be removed or written while the agent runs; `roamkey install` never does.
"""

import os
import sys

from ..compat import const
from .bytecode import Mover
from .littlefs import BLOCK, Volume, is_volume, place_in

TYPE_CHECKING = const(False)

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..protocols import Memory, Octets

    View = Callable[[int, int], Octets]

_FLASH = const(0x10000000)  # of RP2040 and RP2350: where flash is read (XIP)
_FLASH_END = const(0x11000000)
_RAM = const(0x20000000)
_RAM_END = const(0x20082000)
_WORD = const(4)
_OURS = "inplace"  # what runs now


def _in_ram(address: int) -> bool:
    return _RAM <= address < _RAM_END


def _volume_at(memory: "View") -> int | None:
    """The address of the file system in flash."""
    for address in range(_FLASH, _FLASH_END, BLOCK):
        if is_volume(memory(address, 16)):
            return address
    return None


def begin(*running: object) -> int:
    """Move what can be moved; returns the octets of RAM that this frees, but for rounding.

    To be called before any coroutine begins. `running`: functions that are. A load point.
    """
    from machine import mem8, mem32
    from uctypes import bytearray_at as memory

    start = _volume_at(memory)
    if start is None:
        return 0
    files = list(Volume(lambda at, octets: memory(start + at, octets)).files())
    mover = Mover(memory, mem32, _WORD, _in_ram)
    for name in list(sys.modules):
        module = sys.modules[name]
        path = getattr(module, "__file__", None) or ""
        package, _, rest = name.partition(".")
        if package == "mip6" and rest != _OURS and path.endswith(".mpy"):
            size = os.stat(path)[6]
            for pieces in files:
                if sum(count for _, count in pieces) == size:
                    place = place_in(pieces, start)
                    if mover.move(module, _reader(mem8, place), place, running):
                        break
    return mover.octets


def _reader(mem8: "Memory", place: "Callable[[int, int], int | None]") -> "Callable[[int], int]":
    return lambda at: mem8[place(at, 1)]  # type: ignore[index]  # one octet has a place
