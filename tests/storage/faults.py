"""Flash that fails: `micropython faults.py GEOMETRY STEP` prints JSON as its last line.

Errors at one operation and at all from one on, cells that no longer change, a full file system, a
read-only one. STEP thins the operations out (1: every one). A number given twice or a key set lost
ends it with an AssertionError.
"""

import gc
import json
import os
import sys

import vfs
from counter import counter_of
from flash import EIO, GEOMETRY, Flash, Noise
from story import PLACES, key_set
from truth import Truth, mount

from mip6.errors import StorageError
from mip6.keychange import change
from mip6.status import keystore_text

ROOT = "/board"
BLOCKS = 16
EROFS = 30


class Board:
    """A board whose flash may fail, and the witness of what it gave out."""

    def __init__(self, geometry):
        self.geometry = geometry
        self.noise = Noise(7)
        self.flash = Flash(BLOCKS)
        vfs.VfsLfs2.mkfs(self.flash, **GEOMETRY[geometry])
        self.keystore = mount(self.flash, geometry, ROOT)
        self.truth = Truth()
        self.refused = 0

    def close(self):
        vfs.umount(ROOT)

    def reset(self):
        self.close()
        self.keystore = mount(self.flash, self.geometry, ROOT)

    def use(self, count):
        """Take numbers; a refusal is right, a number given twice is not."""
        for _ in range(count):
            try:
                self.keystore.take(0)
            except StorageError:
                self.refused += 1
                continue
            number = counter_of(self.keystore, 0).peek - 1
            self.truth.took(self.keystore.current(0)[1], number)
            self.attempt(self.keystore.top_up)

    def attempt(self, call, *arguments):
        """Whether a call went through; StorageError is the one way to fail."""
        try:
            call(*arguments)
        except StorageError:
            self.refused += 1
            return False
        return True

    def provision(self, credentials):
        """Put a set in place; if that fails the board holds the old one, this one, or none yet."""
        before = self.keystore.credentials
        done = self.attempt(self.keystore.provision, credentials)
        held = self.keystore.credentials
        ids = [each.set_id for each in (before, credentials) if each]
        if done:
            assert held.set_id == credentials.set_id
        elif before:
            assert held and held.set_id in ids, keystore_text(self.keystore)
        return done


def life(board):
    """A short life: provisioned, used, released, re-keyed, reached elsewhere, a larger set."""
    first = key_set(Noise(3), (0, 1), peers=1)
    if not board.provision(first) and not board.provision(first):
        return
    board.use(40)
    board.attempt(board.keystore.release)
    board.use(20)
    kept = first.peers[0].generations[0]
    lists = {0: [kept, (1, Noise(4).octets(20))]}
    board.attempt(board.keystore.rekey, b"rekeyed-", lists)
    board.use(20)
    board.attempt(change.reach, board.keystore, {0: PLACES}, None)
    board.use(20)
    board.provision(key_set(Noise(5), (0, 1, 2), peers=6))
    board.use(10)


def settle(board):
    """Power on again with sound flash: what was committed is there and counts on."""
    held = board.keystore.credentials
    board.flash.failing = None
    board.reset()
    if held:
        assert board.keystore.status == "ready", keystore_text(board.keystore)
        assert board.keystore.credentials.set_id == held.set_id
        refused = board.refused
        board.use(5)
        assert board.refused == refused
    board.close()


def operations(geometry):
    """How many programs and erases the short life takes."""
    board = Board(geometry)
    count = [0]

    def failing(block, data):
        count[0] += 1
        return 0

    board.flash.failing = failing
    life(board)
    board.close()
    return count[0]


def errors(geometry, step, lasting):
    """Fail one operation, or all from one on; at every operation in turn."""
    refused = runs = 0
    for at in range(0, operations(geometry), step):
        board = Board(geometry)
        seen = [0]

        def failing(block, data, seen=seen, at=at):
            seen[0] += 1
            return EIO if seen[0] == at + 1 or (lasting and seen[0] > at) else 0

        board.flash.failing = failing
        life(board)
        settle(board)
        refused += board.refused
        runs += 1
        gc.collect()
    return {"runs": runs, "refused": refused}


def worn(geometry, step):
    """Cells that no longer rise, or no longer fall: in each block in turn, at four places."""
    refused = runs = 0
    for block in range(2, BLOCKS, step):  # littlefs cannot move its superblock
        for offset in (0, 5, 1024, 4095):
            for kind in ("stuck", "weak"):
                board = Board(geometry)
                life(board)
                setattr(board.flash, kind, {block: offset})
                life_goes_on(board)
                board.close()
                refused += board.refused
                runs += 1
                gc.collect()
    return {"runs": runs, "refused": refused}


def life_goes_on(board):
    """Use the board until both blocks of each metadata pair were erased at least once."""
    for round_ in range(3):
        for _ in range(60):
            board.use(1)
            board.attempt(board.keystore.release)
        board.provision(key_set(Noise(50 + round_), (0,), peers=2 + 4 * (round_ & 1)))
    held = board.keystore.credentials.set_id
    board.reset()
    assert board.keystore.status == "ready", keystore_text(board.keystore)
    assert board.keystore.credentials.set_id == held
    board.use(5)


def fill():
    """Files of one block each until no block is free; returns their paths."""
    made = []
    while True:
        path = ROOT + "/data%d" % len(made)
        try:
            with open(path, "wb") as file:
                file.write(bytes(3000))
        except OSError:
            return made
        made.append(path)


def full(geometry):
    """A file system without a free block: the counter goes on, a larger set is refused whole."""
    board = Board(geometry)
    board.provision(key_set(Noise(3), (0, 1), peers=1))
    files = fill()
    for _ in range(2600):  # deep sleep, past littlefs's attempts to move worn blocks
        board.use(1)
        board.attempt(board.keystore.release)
    held = board.keystore.credentials.set_id
    larger = key_set(Noise(5), (0, 1, 2), peers=12)
    took = board.provision(larger)
    board.use(20)
    assert not took
    board.reset()
    assert board.keystore.status == "ready"
    assert board.keystore.credentials.set_id == held
    board.use(20)
    for path in files[:2]:  # a block for the keys, one for their fingerprints
        os.remove(path)
    assert board.provision(larger)
    board.use(20)
    board.close()
    return {"refused": board.refused}


def read_only(geometry):
    """Nothing can be written: the keys are read, no number is given."""
    board = Board(geometry)
    board.provision(key_set(Noise(3), (0, 1), peers=1))
    board.use(3)
    board.reset()
    board.flash.failing = lambda block, data: EROFS
    before = board.refused
    board.use(10)
    assert board.refused == before + 10
    board.provision(key_set(Noise(5), (0,), peers=1))
    assert not board.attempt(board.keystore.erase)
    assert board.keystore.status == "ready"
    settle(board)
    return {"refused": board.refused}


def main(geometry, step):
    gc.threshold(1 << 20)
    step = int(step)
    result = {
        "geometry": geometry,
        "one_error": errors(geometry, step, False),
        "errors_from_then_on": errors(geometry, step, True),
        "worn_cells": worn(geometry, min(step, 7)),
        "full": full(geometry),
        "read_only": read_only(geometry),
    }
    print(json.dumps(result))


main(*sys.argv[1:])
