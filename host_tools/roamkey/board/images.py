"""Firmware files: what they are for, before a board is touched.

UF2 (https://github.com/microsoft/uf2): blocks of 512 octets, each with magic numbers, an address,
and the family of chips that it is for. ESP32: the image header of ESP-IDF (esp_app_format.h).
"""

import re
import struct
from dataclasses import dataclass
from pathlib import Path

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
_PAYLOAD_MAX = 476
_ABSOLUTE = 0xE48BFF57  # a block that the SDK puts first, for an erratum of RP2350

#: UF2 families of Raspberry Pi's chips, and what their bootloaders call themselves (INFO_UF2.TXT).
RP2_FAMILIES = {
    RP2040: ("RP2040", "RPI-RP2"),
    0xE48BFF59: ("RP2350", "RP2350"),
    0xE48BFF5A: ("RP2350 (RISC-V)", "RP2350"),
}
_RP2_FLASH = 0x10000000

_ESP_MAGIC = 0xE9
_ESP_HEAD = struct.Struct("<4B I 4s H")  # esp_image_header_t as far as chip_id
#: esp_chip_id_t, and where the ROM expects the bootloader.
ESP_CHIPS = {
    0: ("ESP32", 0x1000),
    2: ("ESP32-S2", 0x1000),
    5: ("ESP32-C3", 0),
    9: ("ESP32-S3", 0),
    12: ("ESP32-C2", 0),
    13: ("ESP32-C6", 0),
    16: ("ESP32-H2", 0),
    18: ("ESP32-P4", 0x2000),
    23: ("ESP32-C5", 0x2000),
}

# The partition table, which only whole images have: where it is in flash, and how it begins.
_PARTITIONS = 0x8000
_PARTITIONS_MAGIC = b"\xaa\x50"

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


def read_firmware(path: Path) -> Firmware:
    """Read and check a firmware file; raises BadInputError (one line) for any other file."""
    content = read_regular(path, _OCTETS_MAX)
    if uf2_family(content) is not None:
        return _uf2(path, content)
    if content[:1] == bytes([_ESP_MAGIC]):
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
    family: int | None = None
    pieces: dict[int, bytes] = {}
    for at in range(0, len(content), UF2_BLOCK):
        *magic, flags, address, size, number, count, of = _HEAD.unpack_from(content, at)
        end = _TAIL.unpack_from(content, at + UF2_BLOCK - _TAIL.size)[0]
        if tuple(magic) != _MAGIC or end != _MAGIC_END or size > _PAYLOAD_MAX or number >= count:
            raise BadInputError(f"{path}: damaged at octet {at}: no UF2 block")
        if flags & _NOT_MAIN_FLASH:
            continue
        if not flags & _FAMILY_PRESENT:
            raise BadInputError(f"{path}: doesn't say which chip it is for")
        if of == _ABSOLUTE:
            continue
        if of != family and family is not None:
            raise BadInputError(f"{path}: for more than one kind of chip")
        family = of
        pieces[address] = content[at + _HEAD.size : at + _HEAD.size + size]
        last, expected = number, count
    if family is None or len(pieces) != expected or last != expected - 1:
        raise BadInputError(f"{path}: incomplete: blocks are missing")
    if family not in RP2_FAMILIES:
        raise BadInputError(f"{path}: for another chip (UF2 family {family:08x})")
    chip, board_id = RP2_FAMILIES[family]
    if min(pieces) != _RP2_FLASH:
        raise BadInputError(f"{path}: no firmware: it doesn't begin where flash does")
    memory = b"".join(pieces[address] for address in sorted(pieces))
    machine, version = _names(memory)
    size = max(pieces) - _RP2_FLASH + len(pieces[max(pieces)])
    return Firmware(path, "uf2", chip, content, 0, size, board_id, machine, version)


def _esp(path: Path, content: bytes) -> Firmware:
    if len(content) < _ESP_HEAD.size:
        raise BadInputError(f"{path}: cut off: shorter than an ESP32 image's header")
    _, segments, _, size_and_speed, _, _, chip_id = _ESP_HEAD.unpack_from(content)
    if chip_id not in ESP_CHIPS or not 1 <= segments <= 16:
        raise BadInputError(f"{path}: no image for an ESP32 that is known here")
    chip, offset = ESP_CHIPS[chip_id]
    if content[_PARTITIONS - offset :][:2] != _PARTITIONS_MAGIC:
        raise BadInputError(
            f"{path}: an application alone, without bootloader: take MicroPython's firmware.bin"
        )
    machine, version = _names(content)
    flash_size = 1 << 20 << (size_and_speed >> 4)  # 0: 1 MB, 1: 2 MB, 2: 4 MB, ...
    return Firmware(
        path,
        "esp",
        chip,
        content,
        offset,
        len(content),
        machine=machine,
        micropython=version,
        flash_size=flash_size,
    )


def _names(memory: bytes) -> tuple[str | None, str | None]:
    """The machine and the version that MicroPython in these octets will give itself."""
    machine = _MACHINE.search(memory) or _MACHINE_ELSEWHERE.search(memory)
    version = _VERSION.search(memory)
    return machine and machine[1].decode(), version and version[1].decode()
