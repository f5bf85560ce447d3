"""Firmware files: what they are for, before a board is touched.

UF2 (https://github.com/microsoft/uf2): blocks of 512 octets, each with magic numbers, an address,
and the family of chips that it is for. ESP32: see `esp_images`.
"""

import re
import struct
from dataclasses import dataclass
from pathlib import Path

from roamkey.board import esp_images
from roamkey.errors import BadInputError
from roamkey.privatefiles import read_regular

UF2_BLOCK = 512
_OCTETS_MAX = 1 << 26  # a UF2 file is twice as long as the 32 MiB that chips address
RP2040 = 0xE48BFF56  # UF2's family of the Pico and Pico W

_HEAD = struct.Struct("<8I")  # magic, magic, flags, address, size, number, count, family
_TAIL = struct.Struct("<I")
_MAGIC = (0x0A324655, 0x9E5D5157)
_MAGIC_END = 0x0AB16F30
_NOT_MAIN_FLASH = 0x00000001
_FAMILY_PRESENT = 0x00002000
_PAYLOAD = 256  # what RP2 ROMs take; the format allows up to 476
_SECTOR = 4096
_ABSOLUTE = 0xE48BFF57  # a block that the SDK puts first, for an erratum of RP2350

#: UF2 families of Raspberry Pi's chips, and what their bootloaders call themselves (INFO_UF2.TXT).
RP2_FAMILIES = {
    RP2040: ("RP2040", "RPI-RP2"),
    0xE48BFF59: ("RP2350", "RP2350"),
    0xE48BFF5A: ("RP2350 (RISC-V)", "RP2350"),
}
_RP2_FLASH, _RP2_FLASH_END = 0x10000000, 0x12000000

_VERSION = re.compile(rb"MicroPython v(\d+\.\d+\.\d+)[-.\w+]* on \d")
# pyexec.c prints the machine between version and this text; compilers keep the strings in order.
_MACHINE = re.compile(rb'; ([ -~]{3,80}?)(?:\r\n|\0+)Type "help')
_MACHINE_ELSEWHERE = re.compile(rb"; ([ -~]{3,60} with [ -~]{3,30})(?:\r|\0)")


@dataclass(frozen=True)
class Firmware:
    """A file to flash. `kind` "uf2" or "esp"; `chip` as people call it.

    `content`: the file. `size`: octets of flash that it takes, counted from where it starts.
    `offset`: where in flash it belongs. `board_id`: what a UF2 bootloader for it calls itself, ""
    for an ESP32. `machine`, `micropython`: what the board will say of itself, None where the file
    doesn't tell. `flash_size`: octets of flash that it expects (ESP32), 0 where it doesn't say.
    `files`: what it brings that takes the place of the board's files, "" for firmware alone.
    """

    path: Path
    kind: str
    chip: str
    content: bytes
    offset: int
    size: int
    board_id: str = ""
    machine: str | None = None
    micropython: str | None = None
    flash_size: int = 0
    files: str = ""


def read_firmware(path: Path) -> Firmware:
    """Read and check a firmware file; raises BadInputError (one line) for any other file."""
    content = read_regular(path, _OCTETS_MAX)
    if uf2_family(content) is not None:
        return _uf2(path, content)
    if content[:1] == bytes([esp_images.MAGIC]):
        return _esp(path, content)
    raise BadInputError(f"{path}: neither a UF2 file nor an ESP32 image")


def uf2_family(block: bytes) -> int | None:
    """The family of chips that a UF2 block names (0: none); None for what doesn't begin as one."""
    if len(block) < _HEAD.size or struct.unpack_from("<2I", block) != _MAGIC:
        return None
    *_, family = _HEAD.unpack_from(block)
    return int(family)


def _uf2(path: Path, content: bytes) -> Firmware:
    if len(content) % UF2_BLOCK:
        raise BadInputError(f"{path}: cut off: UF2 files have blocks of {UF2_BLOCK} octets")
    try:
        family, pieces = _pieces(content)
    except ValueError as error:
        raise BadInputError(f"{path}: {error}") from None
    if family not in RP2_FAMILIES:
        raise BadInputError(f"{path}: for another chip (UF2 family {family:08x})")
    chip, board_id = RP2_FAMILIES[family]
    last = max(pieces)
    if min(pieces) != _RP2_FLASH or last >= _RP2_FLASH_END:
        raise BadInputError(f"{path}: no firmware: it doesn't begin and end where flash does")
    if family == RP2040 and not _starts(pieces[_RP2_FLASH]):
        raise BadInputError(
            f"{path}: the chip wouldn't start it: the checksum of its first block is wrong"
        )
    memory = b"".join(pieces[address] for address in sorted(pieces))
    machine, version = _names(memory)
    size = last - _RP2_FLASH + _PAYLOAD
    files = _files(pieces)
    return Firmware(path, "uf2", chip, content, 0, size, board_id, machine, version, files=files)


def _pieces(content: bytes) -> tuple[int, dict[int, bytes]]:
    """The family of chips, and what goes where in flash. Raises ValueError."""
    family: int | None = None
    expected = 0
    pieces: dict[int, bytes] = {}
    for at in range(0, len(content), UF2_BLOCK):
        *magic, flags, address, size, number, count, of = _HEAD.unpack_from(content, at)
        end = _TAIL.unpack_from(content, at + UF2_BLOCK - _TAIL.size)[0]
        if tuple(magic) != _MAGIC or end != _MAGIC_END or number >= count:
            raise ValueError(f"damaged at octet {at}: no UF2 block")
        if flags & _NOT_MAIN_FLASH:
            continue
        if not flags & _FAMILY_PRESENT:
            raise ValueError("doesn't say which chip it is for")
        if of == _ABSOLUTE:
            continue
        if of != (of if family is None else family):
            raise ValueError("for more than one kind of chip")
        if size != _PAYLOAD or address % _PAYLOAD:
            raise ValueError(
                f"block {number} holds {size} octets for {address:#x}: the chip takes "
                f"{_PAYLOAD} at a time, and drops the others"
            )
        if number != len(pieces) or count != (count if family is None else expected):
            raise ValueError(f"incomplete: blocks are missing before octet {at}")
        if address in pieces:
            raise ValueError(f"damaged: two blocks for {address:#x}")
        family, expected = of, count
        pieces[address] = content[at + _HEAD.size : at + _HEAD.size + size]
    if family is None or len(pieces) != expected:
        raise ValueError("incomplete: blocks are missing at its end")
    return family, pieces


def _starts(first: bytes) -> bool:
    """Whether an RP2040's ROM goes on with these 256 octets: they end with their CRC-32/MPEG-2."""
    crc = 0xFFFFFFFF
    for octet in first[:-4]:
        crc ^= octet << 24
        for _ in range(8):
            crc = (crc << 1 ^ (0x04C11DB7 if crc >> 31 else 0)) & 0xFFFFFFFF
    return crc == int.from_bytes(first[-4:], "little")


def _files(pieces: dict[int, bytes]) -> str:
    """What of the board's files these pieces overwrite, in words; "" for firmware alone.

    MicroPython's file system lies at the end of flash, behind a gap.
    """
    addresses = sorted(pieces)
    for address, following in zip(addresses, [*addresses[1:], 0], strict=True):
        if address % _SECTOR == 0 and pieces[address][8:16] == b"littlefs":
            return "a file system"
        if following - address > _SECTOR:
            return f"more for {following:#x}, behind the firmware"
    return ""


def _esp(path: Path, content: bytes) -> Firmware:
    try:
        found = esp_images.examine(content)
    except ValueError as error:
        raise BadInputError(f"{path}: {error}") from None
    machine, version = _names(content)
    return Firmware(
        path,
        "esp",
        found.chip,
        content,
        found.offset,
        len(content),
        machine=machine,
        micropython=version,
        flash_size=found.flash_size,
        files=f"the partition {found.files[0]}" if found.files else "",
    )


def _names(memory: bytes) -> tuple[str | None, str | None]:
    """The machine and the version that MicroPython in these octets will give itself."""
    machine = _MACHINE.search(memory) or _MACHINE_ELSEWHERE.search(memory)
    version = _VERSION.search(memory)
    return machine and machine[1].decode(), version and version[1].decode()
