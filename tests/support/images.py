"""Firmware files as builds of MicroPython lay them out, with little in them."""

import functools
import hashlib
import operator
import struct
from pathlib import Path

RP2040, RP2350 = 0xE48BFF56, 0xE48BFF59
_FAMILY_PRESENT = 0x2000


def names(machine: str, micropython: str) -> bytes:
    """What makes a firmware MicroPython's: its version and the machine, as pyexec.c has them."""
    version = f"3.4.0; MicroPython v{micropython}-preview.7.g0123abc on 2026-11-24\0"
    return f'{version}; {machine}\0Type "help()" for more information.\r\n\0'.encode()


def boot2() -> bytes:
    """The 256 octets that an RP2040's ROM looks at: nothing, and its CRC-32/MPEG-2."""
    return bytes(252) + (0x7065399A).to_bytes(4, "little")


def uf2(path: Path, content: bytes, family: int = RP2040, start: int = 0x10000000) -> Path:
    """Write a UF2 file of `content`, behind what the ROM wants to see first."""
    pieces = [boot2()] if start == 0x10000000 else []
    pieces += [content[at : at + 256].ljust(256, b"\0") for at in range(0, len(content), 256)]
    path.write_bytes(blocks({start + 256 * n: piece for n, piece in enumerate(pieces)}, family))
    return path


def blocks(pieces: dict[int, bytes], family: int = RP2040) -> bytes:
    """The UF2 blocks of what belongs where."""
    made = []
    for number, (address, piece) in enumerate(pieces.items()):
        head = struct.pack(
            "<8I",
            *(0x0A324655, 0x9E5D5157, _FAMILY_PRESENT, address, len(piece)),
            *(number, len(pieces), family),
        )
        made.append(head + piece.ljust(476, b"\0") + struct.pack("<I", 0x0AB16F30))
    return b"".join(made)


def esp_image(segments: list[bytes], chip_id: int, size: int, digest: bool = True) -> bytes:
    """A bootloader's or an application's image, as ESP-IDF has them."""
    made = bytearray(struct.pack("<4BI4sH", 0xE9, len(segments), 2, size << 4, 0x40080000,
                                 bytes(4), chip_id))  # fmt: skip
    made += bytes(9) + bytes([digest])
    for number, segment in enumerate(segments):
        made += struct.pack("<2I", 0x40080000 + 0x10000 * number, len(segment)) + segment
    made += bytes(15 - len(made) % 16)
    made.append(functools.reduce(operator.xor, b"".join(segments), 0xEF))
    return bytes(made) + (hashlib.sha256(made).digest() if digest else b"")


def partitions(*entries: tuple[int, int, int, int, str]) -> bytes:
    """A partition table of (type, subtype, offset, octets, label), with its MD5."""
    table = b"".join(
        struct.pack("<2sBB2I16sI", b"\xaa\x50", *each[:4], each[4].encode(), 0) for each in entries
    )
    return table + b"\xeb\xeb" + 14 * b"\xff" + hashlib.md5(table).digest()


def esp(
    path: Path,
    content: bytes,
    chip_id: int = 0,
    megabytes: int = 4,
    digest: bool = True,
    files: bytes = b"",
) -> Path:
    """Write a whole ESP32 image: bootloader, partition table, application; and files, if any."""
    offset = 0x1000 if chip_id == 0 else 0
    size = {1: 0, 2: 1, 4: 2, 8: 3}[megabytes]
    table = partitions(
        (1, 2, 0x9000, 0x6000, "nvs"),
        (1, 1, 0xF000, 0x1000, "phy_init"),
        (0, 0, 0x10000, 0x20000, "factory"),
        (1, 0x81, 0x30000, 0x10000, "vfs"),
    )
    words = content.ljust(-len(content) % 4 + len(content), b"\0")
    bootloader = esp_image([b"boot" * 40, b"more" * 100], chip_id, size, digest)
    application = esp_image(
        [(0xABCD5432).to_bytes(4, "little") + bytes(252), words], chip_id, size, digest
    )
    image = bytearray(b"\xff" * (0x10000 - offset))
    image[: len(bootloader)] = bootloader
    image[0x8000 - offset : 0x8000 - offset + len(table)] = table
    image += application
    if files:
        image += b"\xff" * (0x30000 - offset - len(image)) + files
    path.write_bytes(image)
    return path
