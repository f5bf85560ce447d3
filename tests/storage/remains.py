"""What old keys leave in flash: `micropython remains.py GEOMETRY STEP` prints JSON."""

import gc
import json
import sys

import vfs
from flash import GEOMETRY, Flash, Noise
from story import PLACES, key_set
from truth import mount

from mip6.errors import StorageError
from mip6.keychange import change
from mip6.keystore.records import EMPTY
from mip6.status import keystore_text

ROOT = "/board"
BLOCKS = 32


def secrets(credentials):
    """Every Kcn of a set."""
    return [kcn for peer in credentials.peers for _, kcn in peer.generations]


def found(flash, kcns):
    """How many of these keys stand in flash, whole or their first or last half."""
    image = bytes(flash.image)
    return sum(1 for kcn in kcns if image.find(kcn[:10]) >= 0 or image.find(kcn[10:]) >= 0)


def used_board(geometry):
    """A board that held three small sets and three large ones; all the keys it ever had."""
    flash = Flash(BLOCKS)
    vfs.VfsLfs2.mkfs(flash, **GEOMETRY[geometry])
    keystore = mount(flash, geometry, ROOT)
    kcns = []
    for number in range(6):
        credentials = key_set(Noise(100 + number), (0, 1), peers=1 + 7 * (number & 1))
        keystore.provision(credentials)
        kcns += secrets(credentials)
        for _ in range(150):
            keystore.take(0)
            keystore.release()
        change.reach(keystore, {0: PLACES}, None)  # the keys are written once more
    return flash, keystore, kcns


def after_erase(geometry):
    flash, keystore, kcns = used_board(geometry)
    before = found(flash, kcns)
    keystore.erase()
    assert keystore.status == EMPTY and not keystore.scrub_due
    left = found(flash, kcns)
    vfs.umount(ROOT)
    return {"keys": len(kcns), "in_flash_before": before, "left": left}


def after_scrub(geometry):
    """Re-keyed boards: the retired keys go, those in use stay."""
    flash, keystore, kcns = used_board(geometry)
    current = secrets(keystore.credentials)
    keystore.scrub()
    retired = [kcn for kcn in kcns if kcn not in current]
    left = found(flash, retired)
    assert found(flash, current) == len(current)
    assert keystore.take(0)
    vfs.umount(ROOT)
    return {"retired": len(retired), "left": left}


def after_slices(geometry):
    """A scrub while the board works: numbers go on, and who needs a block gets it."""
    flash, keystore, kcns = used_board(geometry)
    current = secrets(keystore.credentials)
    store = keystore._store
    steps = served = 0
    for _ in keystore.scrubbing():
        steps += 1
        if not steps % 5:
            assert keystore.take(0)
            served += 1
    assert not keystore.scrub_due
    retired = [kcn for kcn in kcns if kcn not in current]
    left = found(flash, retired)
    assert found(flash, current) == len(current)
    keystore.provision(key_set(Noise(200), (0, 1), peers=8))
    full = sum(1 for _ in keystore.scrubbing())
    current = secrets(keystore.credentials)
    keystore.provision(key_set(Noise(201), (0, 1), peers=8))
    slices = keystore.scrubbing()
    for _ in range(full - 2):  # flash is almost full of the filler
        next(slices)
    store.write("large", bytes(3 * 4096))
    try:
        for _ in slices:
            pass
        raise AssertionError("a scrub that was robbed of its filler says it is done")
    except StorageError:
        assert keystore.scrub_due and "filler" not in store.names()
    slices = keystore.scrubbing()
    for _ in range(full - 40):
        next(slices)
    slices.close()
    assert keystore.scrub_due and "filler" not in store.names()
    keystore.scrub()
    left += found(flash, current)
    assert keystore.take(0) and store.read("large") == bytes(3 * 4096)
    vfs.umount(ROOT)
    return {"slices": steps, "numbers": served, "left": left}


def after_cut_erase(geometry, step):
    """Power cut at one in `step` operations of an erase: the next boot knows, and ends it."""
    flash, keystore, kcns = used_board(geometry)
    images = []
    seen = [0]

    def hook(flash, block, offset, data):
        seen[0] += 1
        if seen[0] % step == 2 % step and seen[0] > 1:  # before the first nothing has begun
            images.append(bytes(flash.image))

    flash.hook = hook
    keystore.erase()
    vfs.umount(ROOT)
    left = 0
    for image in images:
        after = Flash(BLOCKS, image)
        keystore = mount(after, geometry, ROOT)
        assert keystore.scrub_due, keystore_text(keystore)
        keystore.erase()
        left += found(after, kcns)
        vfs.umount(ROOT)
        gc.collect()
    return {"runs": len(images), "left": left}


def main(geometry, step):
    gc.threshold(1 << 20)
    result = {
        "erase": after_erase(geometry),
        "scrub": after_scrub(geometry),
        "slices": after_slices(geometry),
        "cut_erase": after_cut_erase(geometry, int(step)),
    }
    print(json.dumps(result))


main(*sys.argv[1:])
