"""The life of a board's key store, told once, with a cut at each operation of its flash.

First provisioning, a long session, short sessions ended by cuts, a deep sleeper, re-keying, the
end of a generation, a larger set, relocation of worn blocks, erasing, provisioning again, keys
that an accident damaged. At the end keys that were used once are offered again after each cut.
"""

import vfs
from counter import counter_of
from flash import GEOMETRY, Flash, Noise
from truth import Cutter, Tally, Truth, mount

from mip6.errors import Misuse
from mip6.keychange import change
from mip6.keystore.keyset import Credentials, Peer
from mip6.keystore.records import KEYS
from mip6.limits import SEQUENCE_NUMBERS
from mip6.status import keystore_text

ROOT = "/board"
PLACES = [("correspondent.example", 4191), ("192.0.2.1", 443), ("2001:db8::9", 4191)]


def address(number):
    """2001:db8::number"""
    return b"\x20\x01\x0d\xb8" + bytes(10) + bytes([number >> 8, number & 255])


def key_set(noise, generations, peers=2):
    """A set of keys for `peers` correspondents, with these generations each."""
    made = []
    for index in range(peers):
        keys = [(number, noise.octets(20)) for number in generations]
        made.append(Peer(address(2 + index), noise.octets(8), noise.octets(8), 600, keys))
    return Credentials(noise.octets(8), address(1), made)


class Story:
    """Runs a board through its life. `scale` 1.0 is the whole of it, over 3,000 uses."""

    def __init__(self, geometry, scale, seed=2026, thin=0, blocks=24):
        self.geometry = geometry
        self.scale = scale
        self.noise = Noise(seed)
        self.tally = Tally()
        self.truth = Truth()
        self.uses = 0
        self.steps = []
        self.flash = Flash(blocks)
        vfs.VfsLfs2.mkfs(self.flash, **GEOMETRY[geometry])
        self.keystore = mount(self.flash, geometry, ROOT)
        with open(ROOT + "/main.py", "w") as file:  # a file system is never ours alone
            file.write("import mip6\n" * 400)
        self.cutter = Cutter(geometry, self.truth, self.tally, self.noise, thin)
        self.flash.hook = self.cutter

    def times(self, count):
        return max(1, int(count * self.scale))

    def step(self, name):
        """Note how many cuts the step that ends here had."""
        self.steps.append((name, self.tally.tried - sum(tried for _, tried in self.steps)))

    def reset(self):
        """Power off and on: what memory knew is gone."""
        vfs.umount(ROOT)
        self.keystore = mount(self.flash, self.geometry, ROOT)
        assert self.keystore.status == "ready", keystore_text(self.keystore)

    def use(self, index=0):
        generation, number = self.keystore.take(index)
        self.truth.took(self.keystore.current(index)[1], number)
        self.uses += 1

    def provision(self, credentials):
        self.truth.sets.append(credentials.set_id)
        self.cutter.again = credentials
        self.keystore.provision(credentials)
        self.cutter.again = None
        self.truth.sets, self.truth.none = [credentials.set_id], False
        self.truth.damaged = False

    def tell(self):
        first = key_set(self.noise, (0, 1))
        self.provision(first)
        self.step("first provisioning")
        self.long_session(self.times(1500))
        self.step("long session")
        self.short_sessions(self.times(120))
        self.step("sessions ended by a cut")
        self.deep_sleep(self.times(700))
        self.step("deep sleep")
        self.rekey(first)
        self.step("re-keying")
        self.reached_elsewhere()
        self.step("reached elsewhere")
        self.end_of_generation()
        self.step("generation change")
        self.provision(key_set(self.noise, (0, 1, 2), peers=7))
        self.long_session(self.times(60))
        self.step("a larger set")
        self.relocate()
        self.step("relocation of worn blocks")
        self.truth.none = True
        self.cutter.spent = self.relabelled()
        self.keystore.erase()
        self.truth.sets = []
        self.refused()
        self.step("erase")
        self.provision(key_set(self.noise, (0,)))
        self.cutter.spent = None
        self.long_session(self.times(40))
        self.step("provisioned again")
        for _ in range(2):
            self.cutter.spent = self.relabelled()
            self.damage()
            self.refused()
            self.provision(key_set(self.noise, (0, 1)))
            self.refused()
            self.cutter.spent = None
            self.long_session(8)
        self.step("provisioned over damaged keys")
        vfs.umount(ROOT)

    def relabelled(self):
        """The keys in use, as another set."""
        held = self.keystore.credentials
        peers = []
        for index, peer in enumerate(held.peers):
            kcn = self.keystore.current(index)[1]
            nonces = peer.home_nonce, peer.care_of_nonce
            peers.append(Peer(peer.correspondent, *nonces, 600, [(100, kcn)]))
        return Credentials(self.noise.octets(8), held.home_address, peers)

    def refused(self):
        """Keys that were used once don't come back where nobody knows how far."""
        try:
            self.keystore.provision(self.cutter.spent)
        except Misuse:
            return
        raise AssertionError("a key that was used starts at 0")

    def damage(self):
        """An accident: the key set can't be read any more."""
        hook, self.flash.hook = self.flash.hook, None
        with open(ROOT + "/roamkey/" + KEYS, "wb") as file:
            file.write(self.noise.octets(80))
        vfs.umount(ROOT)
        self.keystore = mount(self.flash, self.geometry, ROOT)
        assert self.keystore.status == "damaged", keystore_text(self.keystore)
        self.truth.sets, self.truth.none, self.truth.damaged = [], True, True
        self.flash.hook = hook

    def long_session(self, count):
        for number in range(count):
            self.use()
            if number % 7 == 0:
                self.use(1)
            self.keystore.top_up()

    def short_sessions(self, count):
        for _ in range(count):
            self.reset()
            for _ in range(1 + self.noise.below(14)):
                self.use(self.noise.below(2))

    def deep_sleep(self, count):
        for _ in range(count):
            expected = counter_of(self.keystore, 0).peek
            self.use()
            self.keystore.release()
            self.reset()
            assert counter_of(self.keystore, 0).peek == expected + 1, (
                "a planned reset lost numbers"
            )

    def rekey(self, first):
        """Peer 0 keeps generation 0 and its counter, with new ones behind; peer 1 starts anew."""
        running = counter_of(self.keystore, 0).peek
        kept = first.peers[0].generations[0]
        lists = {
            0: [kept, (2, self.noise.octets(20)), (3, self.noise.octets(20))],
            1: [(5, self.noise.octets(20)), (6, self.noise.octets(20))],
        }
        set_id = self.noise.octets(8)
        peers = []
        for index, old in enumerate(self.keystore.credentials.peers):
            nonces = old.home_nonce, old.care_of_nonce
            peers.append(Peer(old.correspondent, *nonces, old.lifetime, lists[index]))
        self.truth.sets.append(set_id)
        self.cutter.again = Credentials(set_id, first.home_address, peers)
        self.keystore.rekey(set_id, lists)
        self.cutter.again = None
        self.truth.sets = [set_id]
        assert counter_of(self.keystore, 0).peek == running
        assert counter_of(self.keystore, 1).peek == 0
        self.long_session(self.times(100))

    def reached_elsewhere(self):
        """The correspondents move: the same keys go on, not a number is left out."""
        for places, native in ((PLACES, False), (PLACES[:1], None), ([], True)):
            before = [counter_of(self.keystore, index).peek for index in (0, 1)]
            assert change.reach(self.keystore, {1: places}, native)
            assert self.keystore.credentials.peers[1].reach == places
            assert before == [counter_of(self.keystore, index).peek for index in (0, 1)]
            self.long_session(self.times(20))
            self.reset()
            assert self.keystore.credentials.peers[1].reach == places
            assert self.keystore.credentials.native == (native is True)

    def end_of_generation(self):
        """The correspondent names a number near the end; then the last ones, then the next key."""
        kcn = self.keystore.current(0)[1]
        self.cutter.jump = True
        counter_of(self.keystore, 0).advance(SEQUENCE_NUMBERS - 40)
        self.cutter.jump = False
        self.truth.given[kcn] = SEQUENCE_NUMBERS - 40
        while self.keystore.current(0)[1] == kcn:
            self.use()
        self.long_session(self.times(100))

    def relocate(self):
        """Wear the counters' blocks until littlefs moves them: every 100 erases or so."""
        usual = set()  # the two blocks of the pair
        hook = self.flash.hook
        for _ in range(20000):
            self.flash.hook = None
            before = list(self.flash.erases)  # until the last round, which is undone below
            image = bytes(self.flash.image)
            given = dict(self.truth.given)
            self.use()
            self.keystore.release()
            new = {n for n in range(self.flash.blocks) if self.flash.erases[n] > before[n]}
            if len(usual) >= 2 and new - usual:
                break
            usual |= new
        else:
            raise AssertionError("no block was relocated")
        # It was this use that moved a block: go back to before it, and cut it everywhere.
        vfs.umount(ROOT)
        self.flash.image[:] = image
        self.truth.given.clear()
        self.truth.given.update(given)
        self.keystore = mount(self.flash, self.geometry, ROOT)
        self.flash.hook = hook
        self.long_session(max(8, self.times(30)))
        moved = [n for n in range(self.flash.blocks) if self.flash.erases[n] > before[n]]
        assert set(moved) - usual, "no block was relocated while cut"
