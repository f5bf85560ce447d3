"""What `used_blocks` counts, against MicroPython's own littlefs."""

import subprocess
from pathlib import Path

from roamkey.lab.interpreter import micropython
from roamkey.lab.virtual_board.flash import RP2, FlashImage

_STATVFS = """
import sys, vfs
class Flash:
    def __init__(self):
        self.file = open(sys.argv[1], "r+b")
    def readblocks(self, number, into, offset=0):
        self.file.seek(number * 4096 + offset)
        self.file.readinto(into)
    def ioctl(self, what, argument):
        return {4: 212, 5: 4096}.get(what, 0)
print(vfs.VfsLfs2(Flash(), progsize=256).statvfs("/")[3])
"""


def test_used_blocks_are_what_micropython_counts_but_for_folders(tmp_path: Path) -> None:
    image = FlashImage(tmp_path / "image.bin", RP2)
    image.format()
    empty = image.used_blocks()
    files = {"/a/b/long": bytes(9000), "/a/one": bytes(2000), "/tiny": b"a"}
    image.write_files(files)
    folders = 2
    used = image.used_blocks() - empty
    assert used == 2 * folders + 3 + 1 + 0  # pairs, two files in whole blocks, one in its folder's
    program = tmp_path / "statvfs.py"
    program.write_text(_STATVFS)
    done = subprocess.run(
        [micropython(), str(program), str(image.path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert RP2.block_count - int(done.stdout) == image.used_blocks() + 2 * folders
