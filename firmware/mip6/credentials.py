"""The key store: which keys the board holds and how far each is used, safe against power cuts.

Three records in the store, so that each step is one atomic write:
  `keys`             the key set, and which of two slots holds its counters
  `seq/0`, `seq/1`   counters of a set (sequence.Ledger), one slot in use
A new set is put in place thus: its counters go to the slot not in use, then `keys` is replaced
(this write is the step: before it the board holds the old set with the old counters, after it the
new with the new), then the old slot is removed. A key without its own counter is never used: there
is no way to start at 0 but to provision a key that the board did not hold.

A counter belongs to the key, not to its label: if a Kcn of the set in place comes again in a new
set, it goes on where it was; one that was left behind, or whose counter is lost, is refused.
"""

from . import keylife
from .errors import Exhausted, Misuse, StorageError
from .keyset import Credentials, Peer, decode
from .records import Damaged
from .sequence import LIMIT, Counter, Ledger

KEYS = "keys"
SLOTS = ("seq/0", "seq/1")
SCRUB = "scrub"

# What load() finds, and the line for a person.
READY = "ready"
EMPTY = "empty"
UNFINISHED = "unfinished"
DAMAGED = "damaged"
NO_COUNTER = "no_counter"
STORAGE_ERROR = "storage_error"
TEXTS = {
    READY: "keys and counters are in order",
    EMPTY: "no keys: provision the board",
    UNFINISHED: "power failed during the first provisioning: provision the board again",
    DAMAGED: "the stored keys are damaged: provision the board with new keys",
    NO_COUNTER: "the counter of the stored keys is lost: provision the board with new keys",
    STORAGE_ERROR: "flash can't be read",
}


class Keystore:
    """Keys and counters over a `store`: read(name) -> bytes or None, write, remove, names.

    `retained` is memory that outlives a reset (ports/esp32), or None. `status` is one of the codes
    above, `text` its line, `credentials` the set in place (only while `status` is READY).
    """

    def __init__(self, store, retained=None):
        self._store = store
        self._retained = retained
        self._ledger = None
        self._changes = 0  # of keys: a scrub that one came into has to begin again
        self._forget(EMPTY)

    def __repr__(self):
        return "Keystore(%s)" % self.status

    def _forget(self, status):
        if self._ledger:
            self._ledger.retire()  # a Counter that somebody still holds must not go on counting
        self.status = status
        self.detail = ""
        self.credentials = None
        self._known = None  # a readable set, even one that can't be used
        self._ledger = None
        self._slot = 1
        self.scrub_due = False

    @property
    def text(self):
        """One line for a person on the status."""
        return TEXTS[self.status] + (" (%s)" % self.detail if self.detail else "")

    def load(self):
        """Read what the store holds, write nothing; returns and sets `status`."""
        self._forget(EMPTY)
        try:
            self._load()
        except OSError as error:
            self._forget(STORAGE_ERROR)
            self.detail = str(error)
        return self.status

    def _load(self):
        self.scrub_due = self._store.read(SCRUB) is not None
        record = self._store.read(KEYS)
        if record is None:
            return
        if not record:
            self.status = UNFINISHED
            return
        try:
            credentials, self._slot = decode(record)
        except Damaged as error:
            self.status, self.detail = DAMAGED, str(error)
            return
        self._known = credentials
        try:
            ledger = Ledger.load(self._store, SLOTS[self._slot], self._retained)
            self._check_belongs(ledger, credentials)
        except Damaged as error:
            self.status, self.detail = NO_COUNTER, str(error)
            return
        self._ledger, self.credentials, self.status = ledger, credentials, READY

    @staticmethod
    def _check_belongs(ledger, credentials):
        """Raise Damaged unless these are the counters of these keys."""
        if ledger.set_id != credentials.set_id or len(ledger.nexts) != len(credentials.peers):
            raise Damaged("counters of another key set")
        for index, peer in enumerate(credentials.peers):
            if peer.generations and peer.kcn(ledger.generations[index]) is None:
                raise Damaged("counter of a generation that is not there")

    def _need_ready(self):
        if self.status != READY:
            raise Misuse("no usable keys: " + self.text)

    def provision(self, credentials):
        """Put `credentials` in place of whatever is there, atomically with its counters.

        Returns False if this very set is in place already (a repeated command), else True. Raises
        Misuse (nothing has changed) and StorageError (the old set or the new one is in place:
        `status` and `credentials` say which, read back from flash).
        """
        if self._known is not None and self._known.set_id == credentials.set_id:
            return self._repeated(credentials)
        rows = [self._start_of(peer) for peer in credentials.peers]
        slot = 1 - self._slot
        ledger = Ledger(self._store, SLOTS[slot], credentials.set_id, rows, self._retained)
        if self.status in (DAMAGED, STORAGE_ERROR):
            self._check_new_to_slots(credentials)
        self._changes += 1
        try:
            if self.status != EMPTY:
                self._store.write(SCRUB, b"old keys")
            ledger.create(self._ledger.serial if self._ledger else 0)
            self._store.write(KEYS, credentials.encode(slot))
        except (OSError, StorageError) as error:
            self.load()
            raise StorageError("key set not written: %s" % error) from None
        old = SLOTS[self._slot]
        if self.load() != READY or self.credentials.set_id != credentials.set_id:
            raise StorageError("flash did not keep the key set: " + self.text)
        self._remove(old)
        return True

    def _repeated(self, credentials):
        """The set's id is known: the same set again is no error, another under its id is."""
        if self._known.encode(0) != credentials.encode(0):
            raise Misuse("another key set under the id of the one in place")
        if self.status != READY:
            raise Misuse(self.text)
        return False

    def _check_new_to_slots(self, credentials):
        """With the old set unreadable its id may still be in a counter record."""
        for name in SLOTS:
            try:
                if Ledger.load(self._store, name).set_id == credentials.set_id:
                    raise Misuse("this set was in place before: provision new keys")
            except (Damaged, OSError):
                pass

    def _start_of(self, peer):
        """(generation, first number) at which a new set's `peer` starts."""
        if not peer.generations:
            return 0, LIMIT  # without a key there is nothing to count
        start = None
        for number, kcn in peer.generations:
            used = self._use_of(kcn)
            if used is None:  # never used: start here unless a running key comes before
                if start is None:
                    start = (number, 0)
            elif used >= LIMIT and start is not None:
                raise Misuse("a key that was left behind comes after one to be used")
            elif used < LIMIT:
                start = (number, used)
        if start is None:
            raise Misuse("every key given for a correspondent is used up or was left behind")
        return start

    def _use_of(self, kcn):
        """Next number of a Kcn of the set in place, LIMIT if left behind, None if never used."""
        if self._known is None:
            return None
        for index, peer in enumerate(self._known.peers):
            for number, known in peer.generations:
                if known != kcn:
                    continue
                if self._ledger is None:
                    raise Misuse("the counter of a key given again is lost: give new keys")
                current = self._ledger.generations[index]
                if number == current:
                    return self._ledger.nexts[index]
                return LIMIT if number < current else None
        return None

    def rekey(self, set_id, generations):
        """Give correspondents new lists of keys; the rest of the set stays.

        `generations` maps a peer's index to its new [(generation, Kcn), …]. A key that stays keeps
        its running counter. Returns and raises as provision().
        """
        self._need_ready()
        peers = []
        for index, old in enumerate(self.credentials.peers):
            keys = generations.get(index, old.generations)
            peers.append(
                Peer(old.correspondent, old.home_nonce, old.care_of_nonce, old.lifetime, keys)
            )
        return self.provision(Credentials(set_id, self.credentials.home_address, peers))

    def erase(self, tick=None):
        """Forget all keys, then scrub. Raises StorageError; run it again then."""
        self._changes += 1
        try:
            self._store.write(SCRUB, b"old keys")
        except OSError:
            pass  # a full flash must not keep the keys from being removed
        try:
            self._store.remove(KEYS)
            for name in SLOTS:
                self._store.remove(name)
        except OSError as error:
            self.load()
            raise StorageError("keys not erased: %s" % error) from None
        if self._retained is not None:
            self._retained.write(b"")
        self._forget(EMPTY)
        self.scrub_due = True
        self.scrub(tick)

    def scrub(self, tick=None):
        """Overwrite what old keys left in unused flash, as far as the store can reach.

        Takes seconds: one erase of every free block. `tick()` is called in between (a watchdog).
        """
        for _ in self.scrubbing():
            if tick:
                tick()

    def scrubbing(self):
        """scrub() in slices, for who has other work: each step of this generator takes a page or
        an erase of flash. Closed early it has changed nothing. Raises StorageError, also where
        keys were changed between the slices: begin again then."""
        changes = self._changes
        try:
            if hasattr(self._store, "scrubbing"):
                yield from self._store.scrubbing()
            if changes == self._changes:
                self._store.remove(SCRUB)
        except OSError as error:
            raise StorageError("old keys not overwritten: %s" % error) from None
        if changes != self._changes:
            raise StorageError("old keys not overwritten: more came meanwhile")
        self.scrub_due = False

    def _remove(self, name):
        """Remove a record that nothing refers to; if that fails it is only clutter."""
        try:
            self._store.remove(name)
        except OSError:
            pass

    def counter(self, index):
        """The live sequence.Counter of peer `index`, under its current generation."""
        self._need_ready()
        return Counter(self._ledger, index)

    def current(self, index):
        """(generation, Kcn) in use with peer `index`."""
        self._need_ready()
        generation = self._ledger.generations[index]
        return generation, self.credentials.peers[index].kcn(generation)

    def move_on(self, index):
        """Leave the current generation of peer `index` for good; returns the new one's number.

        Raises Exhausted where none is left, StorageError.
        """
        self._need_ready()
        current = self._ledger.generations[index]
        following = self.credentials.peers[index].after(current)
        if following is None:
            raise Exhausted("key exhausted and no further generation provisioned")
        self._ledger.move_on(index, following)
        return following

    def take(self, index):
        """(generation, number): the next number, from the next generation where one runs out."""
        self._need_ready()
        try:
            number = self._ledger.take(index)
        except Exhausted:
            self.move_on(index)
            number = self._ledger.take(index)
        return self._ledger.generations[index], number

    def outlook(self, index, uses, elapsed):
        """What is left for peer `index`, at `uses` in `elapsed` ms: see keylife.outlook()."""
        self._need_ready()
        peer, current = self.credentials.peers[index], self._ledger.generations[index]
        later = len([number for number, _ in peer.generations if number > current])
        return keylife.outlook(self._ledger.nexts[index], later, uses, elapsed)

    def top_up(self):
        """While idle: reserve ahead for every peer that is short; StorageError."""
        if self.status == READY:
            for index in range(len(self.credentials.peers)):
                self._ledger.top_up(index)

    def release(self):
        """Before a planned reset or a sleep without retained memory: lose no number."""
        if self.status == READY:
            self._ledger.release()

    def suspend(self):
        """Before a sleep: as release(), but leave flash alone where memory outlives the sleep."""
        if self.status == READY:
            self._ledger.suspend()
