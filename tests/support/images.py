"""Firmware files as builds of MicroPython lay them out, with little in them."""

import struct
from pathlib import Path

RP2040, RP2350 = 0xE48BFF56, 0xE48BFF59
_FAMILY_PRESENT = 0x2000


def names(machine: str, micropython: str) -> bytes:
    """What makes a firmware MicroPython's: its version and the machine, as pyexec.c has them."""
    version = f"3.4.0; MicroPython v{micropython}-preview.7.g0123abc on 2026-11-24\0"
    return f'{version}; {machine}\0Type "help()" for more information.\r\n\0'.encode()


def uf2(path: Path, content: bytes, family: int = RP2040) -> Path:
    """Write a UF2 file of `content`, which starts where flash does."""
    pieces = [content[at : at + 256].ljust(256, b"\0") for at in range(0, len(content), 256)]
    blocks = []
    for number, piece in enumerate(pieces):
        head = struct.pack(
            "<8I",
            *(0x0A324655, 0x9E5D5157, _FAMILY_PRESENT, 0x10000000 + 256 * number, 256),
            *(number, len(pieces), family),
        )
        blocks.append(head + piece.ljust(476, b"\0") + struct.pack("<I", 0x0AB16F30))
    path.write_bytes(b"".join(blocks))
    return path


def esp(path: Path, content: bytes, chip_id: int = 0, megabytes: int = 4) -> Path:
    """Write a whole ESP32 image: bootloader, partition table, application."""
    offset = 0x1000 if chip_id == 0 else 0
    size = {1: 0, 2: 1, 4: 2, 8: 3}[megabytes]
    image = bytearray(b"\xff" * (0x10000 - offset))
    struct.pack_into("<4BI4sH", image, 0, 0xE9, 3, 2, size << 4, 0x40080000, bytes(4), chip_id)
    image[14:24] = bytes(10)
    image[0x8000 - offset : 0x8002 - offset] = b"\xaa\x50"
    path.write_bytes(bytes(image) + content.ljust(-len(content) % 4 + len(content), b"\0"))
    return path
