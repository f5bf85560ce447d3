"""What a cut may not break: a witness that knows what was given out and what was committed."""

import vfs
from flash import GEOMETRY, Flash, torn

from mip6.errors import Misuse
from mip6.keystore.keystore import Keystore
from mip6.keystore.records import DAMAGED, EMPTY, READY, UNFINISHED
from mip6.limits import SEQUENCE_NUMBERS
from mip6.ports.files import FileStore
from mip6.status import keystore_text


def mount(flash, geometry, path):
    """Mount a flash and return the key store on it, loaded."""
    vfs.mount(vfs.VfsLfs2(flash, **GEOMETRY[geometry]), path)
    keystore = Keystore(FileStore(path + "/roamkey"))
    keystore.load()
    return keystore


class Truth:
    """The witness of one board. `sets` are the set ids that a boot may find now; `none`: or none;
    `damaged`: or one that can't be read.

    `given` maps a Kcn to the highest number taken from it (65536 once it was left behind).
    """

    def __init__(self, sets=(), none=True, given=None, damaged=False):
        self.sets = list(sets)
        self.none = none
        self.damaged = damaged
        self.given = dict(given or {})

    def copy(self):
        return Truth(self.sets, self.none, self.given, self.damaged)

    def took(self, kcn, number):
        """A number was given out; raises AssertionError if it was before."""
        assert number > self.given.get(kcn, -1), "number used twice"
        self.given[kcn] = number


class Tally:
    """What the cuts showed, summed up."""

    def __init__(self):
        self.tried = self.reused = self.lost_sets = self.most_lost = self.crashed = 0
        self.statuses = {}

    def as_dict(self):
        return {
            "tried": self.tried,
            "reused": self.reused,
            "lost_sets": self.lost_sets,
            "most_lost": self.most_lost,
            "crashed": self.crashed,
            "statuses": self.statuses,
        }


class Cutter:
    """A flash hook: at each operation it boots from every image that a cut there may leave.

    One in `thin` of these boots is itself cut at each of its operations (0: none). `again` is the
    key set under way to the board, or None: provisioning it once more must succeed after any cut.
    `spent`: a set of keys that gave out numbers, or None: it may be refused, or go on.
    `jump`: the counter is being moved forward, so that numbers left out aren't numbers lost.
    """

    def __init__(self, geometry, truth, tally, noise, thin=0):
        self.geometry = geometry
        self.truth = truth
        self.tally = tally
        self.noise = noise
        self.thin = thin
        self.again = self.spent = None
        self.jump = False
        self.level = 1

    def __call__(self, flash, block, offset, data):
        images = torn(flash, block, offset, data, self.noise)
        images.append(flash.image)  # nothing of the operation was done
        for image in images:
            self._boot(flash.blocks, image)

    def _boot(self, blocks, image):
        self.tally.tried += 1
        truth = self.truth.copy()
        flash = Flash(blocks, image)
        if self.thin and self.tally.tried % self.thin == 0:
            inner = Cutter(self.geometry, truth, self.tally, self.noise)
            inner.level = self.level + 1
            inner.again = self.again
            inner.spent = self.spent
            inner.jump = self.jump
            flash.hook = inner
        path = "/cut%d" % self.level
        try:
            keystore = mount(flash, self.geometry, path)
        except OSError as error:
            self.tally.crashed += 1
            print("does not mount:", error)
            return
        try:
            self._judge(keystore, truth, flash)
        finally:
            vfs.umount(path)

    def _judge(self, keystore, truth, flash):
        status = keystore.status
        self.tally.statuses[status] = self.tally.statuses.get(status, 0) + 1
        if status == READY and keystore.credentials.set_id in truth.sets:
            self._use(keystore, truth)
        elif not (truth.none and status in (EMPTY, UNFINISHED)) and not (
            truth.damaged and status == DAMAGED
        ):
            self.tally.lost_sets += 1
            print("set lost:", status, keystore_text(keystore))
        if self.again:  # running the command again finishes the job
            keystore.provision(self.again)
            truth.sets, truth.none, truth.damaged = [self.again.set_id], False, False
            self._use(keystore, truth)
        if self.spent:
            truth.sets.append(self.spent.set_id)
            try:
                keystore.provision(self.spent)
            except Misuse:
                return
            self._use(keystore, truth)

    def _use(self, keystore, truth):
        """Take two numbers from each peer and compare with what was given before the cut."""
        for index in range(len(keystore.credentials.peers)):
            for _ in range(2):
                kcn = keystore.current(index)[1]
                expected = truth.given.get(kcn, -1) + 1
                _, number = keystore.take(index)
                if keystore.current(index)[1] != kcn:  # the generation ended just now
                    kcn = keystore.current(index)[1]
                    expected = truth.given.get(kcn, -1) + 1
                if number < expected or expected > SEQUENCE_NUMBERS:
                    self.tally.reused += 1
                    print("number used twice:", number, "after", expected - 1)
                if self.level == 1 and not self.jump:
                    self.tally.most_lost = max(self.tally.most_lost, number - expected)
                truth.given[kcn] = max(number, expected)
