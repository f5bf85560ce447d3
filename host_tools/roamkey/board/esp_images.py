"""Images for chips of the ESP32 family: what the format lets one check before a board is erased.

ESP-IDF's layout (esp_app_format.h, esp_flash_partitions.h): the bootloader's image, the partition
table at 0x8000 of flash, and the application's image in a partition. An image has a header,
segments, a checksum that ends a line of 16 octets and, mostly, a SHA-256 of all before it.
"""

import functools
import hashlib
import operator
import struct
from dataclasses import dataclass

MAGIC = 0xE9
#: esp_chip_id_t, and where the ROM expects the bootloader.
CHIPS = {
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

_HEAD = struct.Struct("<4B I 4s H 8s B B")  # esp_image_header_t: its last says: SHA-256 appended
_SEGMENT = struct.Struct("<2I")  # where it is loaded, octets
_SEGMENTS_MAX = 16
_CHECKSUM = 0xEF
_LINE = 16
_SHA256_OCTETS = 32
_DESCRIPTION = 0xABCD5432.to_bytes(4, "little")  # esp_app_desc_t begins an application

_TABLE, _TABLE_OCTETS = 0x8000, 0xC00
_ENTRY = struct.Struct("<2s B B 2I 16s I")  # magic, type, subtype, offset, octets, label, flags
_ENTRY_MAGIC = b"\xaa\x50"
_MD5_MAGIC = b"\xeb\xeb" + 14 * b"\xff"
_APPLICATION, _DATA = 0, 1
_FACTORY, _OTA, _OTA_END = 0x00, 0x10, 0x20
_FILES = (0x81, 0x82, 0x83)  # FAT (MicroPython's for any file system), SPIFFS, littlefs


@dataclass(frozen=True)
class Whole:
    """A whole image: `chip` as people call it, `offset` where in flash it belongs, `flash_size`
    that it expects (octets). `files`: partitions of files that it writes over, by name.
    `application`: octets of the one that starts, and of the partition that it is in."""

    chip: str
    offset: int
    flash_size: int
    files: tuple[str, ...]
    application: tuple[int, int]


def examine(content: bytes) -> Whole:
    """Check a file that begins with `MAGIC`; raises ValueError that says what is wrong."""
    if len(content) < _HEAD.size:
        raise ValueError("cut off: shorter than an ESP32 image's header")
    size_and_speed, chip_id = content[3], _chip_id(content, 0)
    if chip_id not in CHIPS:
        raise ValueError(f"no image for an ESP32 that is known here (chip id {chip_id})")
    chip, offset = CHIPS[chip_id]
    if content[_HEAD.size + _SEGMENT.size :].startswith(_DESCRIPTION):
        raise ValueError(
            "an application alone, without bootloader: take MicroPython's firmware.bin"
        )
    _check(content, 0, _TABLE - offset, "bootloader")
    found = _partitions(content, offset)
    applications = sorted(
        (each for each in found if each.kind == _APPLICATION and each.subtype < _OTA_END),
        key=lambda each: each.subtype,
    )
    if not applications:
        raise ValueError("its partition table has no place for an application")
    octets = 0
    for number, each in enumerate(applications):
        at = each.at - offset
        if number and content[at : at + 1] != bytes([MAGIC]):
            continue  # room for an update
        end = _check(content, at, at + each.octets, "application")
        if not number:
            octets = end - at
        if _chip_id(content, at) != chip_id:
            raise ValueError("its application is for another chip than its bootloader")
    files = [each for each in found if each.kind == _DATA and each.subtype in _FILES]
    return Whole(
        chip,
        offset,
        1 << 20 << (size_and_speed >> 4),  # 0: 1 MB, 1: 2 MB, 2: 4 MB, ...
        tuple(each.name for each in files if content[each.at - offset :][: each.octets]),
        (octets, applications[0].octets),
    )


@dataclass(frozen=True)
class _Partition:
    kind: int
    subtype: int
    at: int
    octets: int
    name: str


def _chip_id(content: bytes, at: int) -> int:
    return int(_HEAD.unpack_from(content, at)[6])


def _check(content: bytes, start: int, limit: int, what: str) -> int:
    """Check the image at `start`, which may reach to `limit`; where it ends."""
    if start + _HEAD.size > len(content):
        raise ValueError(f"cut off: its {what} is missing")
    magic, segments, *_, appended = _HEAD.unpack_from(content, start)
    if magic != MAGIC or not 1 <= segments <= _SEGMENTS_MAX:
        raise ValueError(f"no {what} where one belongs")
    at, checksum = start + _HEAD.size, _CHECKSUM
    for _ in range(segments):
        if at + _SEGMENT.size > len(content):
            raise ValueError(f"cut off in the midst of its {what}")
        _, octets = _SEGMENT.unpack_from(content, at)
        at += _SEGMENT.size
        if at + octets > limit:
            raise ValueError(f"damaged: its {what} is longer than the room for it")
        if at + octets > len(content):
            raise ValueError(f"cut off in the midst of its {what}")
        checksum = functools.reduce(operator.xor, content[at : at + octets], checksum)
        at += octets
    at += _LINE - (at - start) % _LINE
    end = at + (_SHA256_OCTETS if appended == 1 else 0)
    if end > limit:
        raise ValueError(f"damaged: its {what} is longer than the room for it")
    if end > len(content):
        raise ValueError(f"cut off at the end of its {what}")
    if content[at - 1] != checksum:
        raise ValueError(f"damaged: the checksum of its {what} is wrong")
    if appended == 1 and content[at:end] != hashlib.sha256(content[start:at]).digest():
        raise ValueError(f"damaged: the SHA-256 of its {what} is wrong")
    return end


def _partitions(content: bytes, offset: int) -> list[_Partition]:
    table = content[_TABLE - offset :][:_TABLE_OCTETS]
    if not table:
        raise ValueError("cut off before its partition table, or a bootloader alone")
    found: list[_Partition] = []
    for at in range(0, len(table) - _ENTRY.size + 1, _ENTRY.size):
        entry = table[at : at + _ENTRY.size]
        if entry.startswith(_MD5_MAGIC):
            if entry[16:] != hashlib.md5(table[:at], usedforsecurity=False).digest():
                raise ValueError("damaged: the MD5 of its partition table is wrong")
            break
        magic, kind, subtype, start, octets, label, _ = _ENTRY.unpack(entry)
        if entry == _ENTRY.size * b"\xff":
            break
        if magic != _ENTRY_MAGIC:
            if found:
                raise ValueError("damaged: no partition where its table has one")
            break
        name = label.split(b"\0")[0].decode("ascii", "replace")
        found.append(_Partition(kind, subtype, start, octets, name))
    if not found:
        raise ValueError("it has no partition table at 0x8000: not MicroPython's firmware.bin")
    if any(each.at <= _TABLE for each in found):
        raise ValueError("damaged: a partition lies over the partition table")
    return found
