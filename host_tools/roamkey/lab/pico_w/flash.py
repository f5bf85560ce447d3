"""The part of the flash that holds the file system: an image file, written through, and its wear.

Each erase and program reaches the image before the emulated board goes on, so that killing the
process is a power cut: the image stays as it was at that instant.
"""

import os
from pathlib import Path
from typing import Any, TextIO

from rp2040py.peripherals.ssi import CMD_BLOCK_ERASE, CMD_PAGE_PROGRAM, CMD_SECTOR_ERASE

from roamkey import privatefiles
from roamkey.errors import BadInputError
from roamkey.lab.pico_w.wear import SECTOR

FLASH_OCTETS = 2 << 20
FILE_SYSTEM_OCTETS = 848 << 10  # MICROPY_HW_FLASH_STORAGE_BYTES of RPI_PICO_W
FILE_SYSTEM_START = FLASH_OCTETS - FILE_SYSTEM_OCTETS
_BLOCK = 65536
_PAGE = 256
_SIZES = {CMD_SECTOR_ERASE: SECTOR, CMD_BLOCK_ERASE: _BLOCK, CMD_PAGE_PROGRAM: _PAGE}


class WrittenThrough:
    """Loads an image into a device's flash and follows each change with the image and the log."""

    def __init__(self, device: Any, image: Path, log: Path) -> None:
        """A missing image is made, erased. Raises BadInputError for one of another size."""
        self._flash = device.mcu.flash
        self._ssi = device.mcu.ssi
        privatefiles.create(image, b"\xff" * FILE_SYSTEM_OCTETS)  # it will hold keys
        content = image.read_bytes()
        if len(content) != FILE_SYSTEM_OCTETS:
            raise BadInputError(f"{image}: not a file system image of {FILE_SYSTEM_OCTETS} octets")
        self._flash[FILE_SYSTEM_START:FLASH_OCTETS] = content
        self._image = os.open(image, os.O_WRONLY | os.O_CLOEXEC)
        self._log: TextIO = log.open("a", buffering=1)
        self._apply = self._ssi._apply_command
        self._ssi._apply_command = self._follow

    def _follow(self) -> None:
        command = bytes(self._ssi._tx_buffer)
        enabled = self._ssi._write_enabled
        self._apply()
        if not enabled or len(command) < 4 or command[0] not in _SIZES:
            return
        size = _SIZES[command[0]]
        address = int.from_bytes(command[1:4], "big") & ~(size - 1)
        at = address - FILE_SYSTEM_START
        if not 0 <= at < FILE_SYSTEM_OCTETS:
            return
        os.pwrite(self._image, bytes(self._flash[address : address + size]), at)
        if command[0] == CMD_PAGE_PROGRAM:
            self._log.write(f"program {at} {len(command) - 4}\n")
        else:
            self._log.write(f"erase {at} {size}\n")
