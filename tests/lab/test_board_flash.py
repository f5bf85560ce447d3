"""The flash image: what the host writes MicroPython mounts, and the other way round."""

import struct

import pytest

from roamkey.errors import BadInputError, SystemRefusedError
from roamkey.lab.board import ESP32, RP2, VirtualBoard
from roamkey.lab.virtual_board.flash import FlashImage

# Around the limits of littlefs: inline files, one block, many.
SIZES = [0, 1, 100, 127, 128, 129, 511, 512, 513, 1023, 1024, 1025, 4095, 4096, 4097, 40000]


def content(size: int) -> bytes:
    return bytes((size + 7 * index) % 256 for index in range(size))


@pytest.mark.parametrize("geometry", [RP2, ESP32], ids=["rp2", "esp32"])
def test_both_sides_read_what_the_other_wrote(geometry, tmp_path, open_console):
    program = (
        "import os, sys\n"
        "print([(n, os.stat('/in/' + n)[6]) for n in sorted(os.listdir('/in'))])\n"
        "os.mkdir('/out')\n"
        "for n in os.listdir('/in'):\n"
        "    with open('/in/' + n, 'rb') as i, open('/out/' + n, 'wb') as o: o.write(i.read())\n"
        "print(os.statvfs('/')[0], os.statvfs('/')[2], 'done')\n"
    )
    files = {f"/in/{size:05}": content(size) for size in SIZES}
    with VirtualBoard(tmp_path / "board.img", geometry=geometry) as board:
        board.install({"/main.py": program.encode(), **files})
        assert board.image.stat().st_size == geometry.size
        board.start(power=False)
        console = open_console(board)
        board.power_on()
        assert console.readline().decode() == f"{[(f'{size:05}', size) for size in SIZES]}\n"
        assert console.readline() == b"%d %d done\n" % (4096, geometry.block_count)
        board.power_cut()
        for size in SIZES:
            assert board.read_file(f"/out/{size:05}") == content(size)
        # And back once more, over what MicroPython wrote.
        board.install({"/out/00100": b"new", "/main.py": b"print(open('/out/00100').read())"})
        console.reset_input_buffer()
        board.power_on()
        assert console.readline() == b"new\n"


@pytest.mark.parametrize("geometry", [RP2, ESP32], ids=["rp2", "esp32"])
def test_the_superblock_is_that_of_micropython(geometry, tmp_path):
    """Host-made and board-made file systems agree in version, sizes and limits."""

    def superblock(image: bytes) -> tuple[int, ...]:
        # littlefs SPEC.md: "littlefs", then the inline-struct tag and six 32-bit numbers.
        start = image.index(b"littlefs") + 8 + 4
        return struct.unpack_from("<6I", image, start)

    ours, theirs = FlashImage(tmp_path / "ours", geometry), tmp_path / "theirs"
    ours.format()
    theirs.write_bytes(b"\xff" * geometry.size)
    with VirtualBoard(theirs, geometry=geometry) as board:
        board.start()
    assert superblock(ours.path.read_bytes()) == superblock(theirs.read_bytes())
    assert superblock(theirs.read_bytes())[:3] == (0x20001, 4096, geometry.block_count)


def test_list_and_remove(tmp_path):
    flash = FlashImage(tmp_path / "flash")
    flash.format()
    flash.write_files({"/b/c": b"123", "/a": b""})
    assert flash.list_files() == {"/a": 0, "/b/c": 3}
    flash.remove_file("/a")
    assert flash.list_files() == {"/b/c": 3}


def test_image_is_private(tmp_path):
    flash = FlashImage(tmp_path / "flash")
    flash.format()
    assert flash.path.stat().st_mode & 0o777 == 0o600


def test_what_is_no_flash_is_refused(tmp_path):
    flash = FlashImage(tmp_path / "flash")
    with pytest.raises(SystemRefusedError, match="No such file"):
        flash.list_files()
    flash.path.write_bytes(b"\0" * 4096)
    with pytest.raises(BadInputError, match="4096 octets"):
        flash.list_files()
    flash.path.write_bytes(b"\0" * RP2.size)
    with pytest.raises(BadInputError, match="littlefs"):
        flash.list_files()
    flash.format()
    with pytest.raises(BadInputError, match="littlefs"):
        flash.read_file("/missing")
    with pytest.raises(BadInputError, match="littlefs"):
        flash.write_files({"/big": b"x" * RP2.size})
