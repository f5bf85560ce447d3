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

from .errors import Exhausted, Misuse
from .records import Damaged
from .sequence import Ledger, warning

KEYS = "keys"
SLOTS = ("seq/0", "seq/1")
SCRUB = "scrub"

# What load() finds; status.py has a line for a person on each.
READY = "ready"
EMPTY = "empty"
UNFINISHED = "unfinished"
DAMAGED = "damaged"
NO_COUNTER = "no_counter"
STORAGE_ERROR = "storage_error"


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
        from .status import KEYSTORE

        return KEYSTORE[self.status] + (" (%s)" % self.detail if self.detail else "")

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
        from .keycheck import decode

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
        """Put `credentials` in place of whatever is there: see keychange.provision()."""
        from .keychange import provision

        return provision(self, credentials)

    def rekey(self, set_id, generations):
        """Give correspondents new lists of keys: see keychange.rekey()."""
        from .keychange import rekey

        return rekey(self, set_id, generations)

    def erase(self, tick=None):
        """Forget all keys, then scrub: see keychange.erase()."""
        from .keychange import erase

        erase(self, tick)

    def scrub(self, tick=None):
        """Overwrite what old keys left in unused flash, as far as the store can reach.

        Takes seconds: one erase of every free block. `tick()` is called in between (a watchdog).
        """
        for _ in self.scrubbing():
            if tick:
                tick()

    def scrubbing(self):
        """scrub() in slices, for who has other work: see keychange.scrubbing()."""
        from .keychange import scrubbing

        return scrubbing(self)

    def counter(self, index):
        """The live counter.Counter of peer `index`, under its current generation."""
        from .counter import Counter

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
        if self.status != READY:  # a handover waits for this: no call that it can do without
            self._need_ready()
        try:
            number = self._ledger.take(index)
        except Exhausted:
            self.move_on(index)
            number = self._ledger.take(index)
        return self._ledger.generations[index], number

    def peek(self, index):
        """The number that take() would give peer `index` next in this generation, or 65536."""
        self._need_ready()
        return self._ledger.nexts[index]

    def advance(self, index, last_accepted):
        """Continue peer `index` after `last_accepted`, forwards only: see Ledger.advance()."""
        self._need_ready()
        return self._ledger.advance(index, last_accepted)

    def outlook(self, index, uses, elapsed):
        """What is left for peer `index`, at `uses` in `elapsed` ms: see keylife.outlook()."""
        from . import keylife

        next_number, later = self._left(index)
        return keylife.outlook(next_number, later, uses, elapsed)

    def warning(self, index):
        """Per cent of the last key of peer `index` used: 80, 95, 100, or None before."""
        next_number, later = self._left(index)
        return None if later else warning(next_number)

    def _left(self, index):
        """The next number of peer `index`, and how many generations follow this one."""
        self._need_ready()
        current = self._ledger.generations[index]
        later = [number for number, _ in self.credentials.peers[index].generations]
        return self._ledger.nexts[index], len([number for number in later if number > current])

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
