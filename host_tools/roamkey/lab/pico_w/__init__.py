"""An emulated Raspberry Pi Pico W: real MicroPython firmware for it, run in rp2040py.

    board      starts and stops the emulator, cuts its power, gives the path of its REPL
    emulator   the process: the chip with our repairs, its console on a pty
    pace       emulated time, never ahead of the wall clock
    usb        the console's idle endpoint, as a USB host leaves it
    flash      the file system's flash in a file, written through
    wear       erases and programs, added up
    wifi       the Wi-Fi chip's networks, each a TAP device

A UF2 comes from MicroPython's download page; rp2040py from the extra `pico-w`. What emulation
doesn't show stands in docs/LIMITS.md.
"""

from roamkey.lab.pico_w.board import EmulatedPicoW
from roamkey.lab.pico_w.wear import Wear

__all__ = ["EmulatedPicoW", "Wear"]
