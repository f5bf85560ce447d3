"""The emulated ESP32-C3's flash before its first start: firmware, and the files at its end."""

from pathlib import Path

import pytest
from support import images

from roamkey.board import esp_images
from roamkey.errors import BadInputError
from roamkey.lab.esp32.board import FLASH_OCTETS, flash_image


def test_files_lie_at_the_end_behind_the_firmware(tmp_path: Path) -> None:
    file = images.esp(tmp_path / "c3.bin", b"application" * 500, chip_id=5)
    firmware = file.read_bytes()
    empty = flash_image(file)
    assert empty == firmware.ljust(FLASH_OCTETS, b"\xff")
    files = b"littlefs" * 512
    assert flash_image(file, files) == empty[: -len(files)] + files
    fits = FLASH_OCTETS - len(firmware)
    assert flash_image(file, bytes(fits)) == firmware + bytes(fits)
    with pytest.raises(BadInputError):
        flash_image(file, bytes(fits + 1))


def test_what_the_application_takes_of_its_partition_is_told(tmp_path: Path) -> None:
    file = images.esp(tmp_path / "c3.bin", b"application" * 500, chip_id=5)
    octets, room = esp_images.examine(file.read_bytes()).application
    assert octets == file.stat().st_size - 0x10000
    assert room == 0x20000
