"""What a key's life costs in flash: `micropython wear.py GEOMETRY PATTERN USES` prints JSON.

Patterns: naive, long_session, nearly_full, deep_sleep, rtc_sleep, unclean, short. Erases, programs
and octets are counted from after provisioning, on a file system of the board's own size.
"""

import gc
import json
import sys

import vfs
from counter import counter_of
from flash import BLOCK, GEOMETRY, Flash, Noise
from story import key_set

from mip6.keystore.keystore import Keystore
from mip6.ports.files import FileStore

BLOCKS = {"rp2": 212, "esp32": 512}  # 848 KiB on a Pico W, 2 MiB on an ESP32 of 4 MiB
ROOT = "/board"


class CountingStore(FileStore):
    """Counts the records written."""

    writes = 0

    def write(self, name, data):
        CountingStore.writes += 1
        FileStore.write(self, name, data)


class Rtc:
    """What retained memory needs: it keeps octets."""

    note = b""

    def read(self):
        return self.note

    def write(self, note):
        self.note = note


class Board:
    """A provisioned board, one correspondent, two key generations."""

    def __init__(self, geometry, retained=None, fill=False):
        self.geometry = geometry
        self.retained = retained
        self.flash = Flash(BLOCKS[geometry])
        vfs.VfsLfs2.mkfs(self.flash, **GEOMETRY[geometry])
        self._mount()
        self.keystore.provision(key_set(Noise(1), (0, 1), peers=1))
        if fill:
            self._fill()
        self.flash.erases = [0] * self.flash.blocks
        self.flash.programs = self.flash.octets = 0
        CountingStore.writes = 0
        self.lost = []

    def _mount(self):
        vfs.mount(vfs.VfsLfs2(self.flash, **GEOMETRY[self.geometry]), ROOT)
        self.keystore = Keystore(CountingStore(ROOT + "/roamkey"), self.retained)
        self.keystore.load()

    def _fill(self):
        """Leave four blocks free."""
        import os

        with open(ROOT + "/data", "wb") as file:
            for _ in range(os.statvfs(ROOT)[3] - 4):
                file.write(bytes(BLOCK - 64))

    def reset(self):
        """Memory forgets; note how many numbers that cost."""
        before = counter_of(self.keystore, 0)
        expected, generation = before.peek, before.generation
        vfs.umount(ROOT)
        self._mount()
        if counter_of(self.keystore, 0).generation == generation:
            self.lost.append(counter_of(self.keystore, 0).peek - expected)


def naive(board, uses):
    """One 16-octet record rewritten at each use."""
    for number in range(uses):
        with open(ROOT + "/counter", "wb") as file:
            file.write(number.to_bytes(16, "big"))


def long_session(board, uses):
    """The node stays on and is idle between any two messages."""
    for _ in range(uses):
        board.keystore.take(0)
        board.keystore.top_up()


def deep_sleep(board, uses):
    """A wake for each message; the counter is released before sleep."""
    for _ in range(uses):
        board.keystore.take(0)
        board.keystore.release()
        board.reset()


def rtc_sleep(board, uses):
    """The same with RTC memory, which outlives the sleep."""
    for _ in range(uses):
        board.keystore.take(0)
        board.keystore.suspend()
        board.reset()


def unclean(board, uses):
    """Power fails after every tenth message, without warning."""
    for number in range(1, uses + 1):
        board.keystore.take(0)
        board.keystore.top_up()
        if number % 10 == 0:
            board.reset()


def short(board, uses):
    """Sessions of 1 to 9 messages, each ended by a power failure."""
    length = done = 0
    while done < uses:
        length = length % 9 + 1
        for _ in range(length):
            board.keystore.take(0)
            board.keystore.top_up()
        done += length
        board.reset()


def main(geometry, pattern, uses):
    gc.threshold(1 << 20)  # allocation slows down where a large heap is left to fill up
    uses = int(uses)
    patterns = (naive, long_session, deep_sleep, rtc_sleep, unclean, short)
    run = {function.__name__: function for function in patterns}
    run["nearly_full"] = long_session
    retained = Rtc() if pattern == "rtc_sleep" else None
    board = Board(geometry, retained, pattern == "nearly_full")
    run[pattern](board, uses)
    flash = board.flash
    result = {
        "uses": uses,
        "erases": sum(flash.erases),
        "hottest_block": max(flash.erases),
        "programs": flash.programs,
        "octets": flash.octets,
        "writes": uses if pattern == "naive" else CountingStore.writes,
        "resets": len(board.lost),
        "lost": sum(board.lost),
        "max_lost": max(board.lost) if board.lost else 0,
    }
    result["writes_per_use"] = result["writes"] / uses
    print(json.dumps(result))


main(*sys.argv[1:])
