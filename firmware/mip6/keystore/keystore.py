"""The key store: which keys the board holds and how far each is used, safe against power cuts.

Three records in the store, so that each step is one atomic write:
  `keys`             the key set, and which of two slots holds its counters
  `seq/0`, `seq/1`   counters of a set (ledger.Ledger), one slot in use
A new set is put in place thus: its counters go to the slot not in use, then `keys` is replaced
(this write is the step: before it the board holds the old set with the old counters, after it the
new with the new), then the old slot is removed. What changes about the same keys (where their
correspondents are reached) is a write of `keys` alone: the slot stays. A key without its own
counter is never used: there is no way to start at 0 but to provision a key that the board did not
hold.

A counter belongs to the key, not to its label: if a Kcn of the set in place comes again in a new
set, it goes on where it was; one that was left behind, or whose counter is lost, is refused. The
record `used` (keychange/marks.py) knows such keys by fingerprint when nothing else is left.
"""

from ..compat import const
from ..errors import Exhausted, Misuse, StorageError
from ..limits import SEQUENCE_NUMBERS
from .budget import BUDGET, Budget
from .ledger import Ledger, warning
from .records import (
    DAMAGED,
    EMPTY,
    KEYS,
    NO_COUNTER,
    READY,
    SCRUB,
    SLOTS,
    STORAGE_ERROR,
    UNFINISHED,
    USED,
    Damaged,
)

TYPE_CHECKING = const(False)

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from ..protocols import Generations, Retained, Rows, Store
    from .keyset import Credentials


class Keystore:
    """Keys and counters over a `store`: read(name) -> bytes or None, write, remove, names.

    `retained` is memory that outlives a reset (ports/retained.py), or None; `renewed`: the board
    starts after a loss of power, or from sleep. `status` is a code of
    records.py, `detail` says more, `credentials` is the set in place (only while `status` is
    READY), `ledger` its counters and `budget` what may be spent of them; `known` is a readable
    set, even one that can't be used.
    """

    def __init__(
        self, store: "Store", retained: "Retained | None" = None, renewed: bool = False
    ) -> None:
        self._store = store
        self._renewed = renewed
        self._retained = retained
        self.ledger: Ledger = None  # type: ignore[assignment]  # it is there while READY
        self._changes = 0  # of keys: a scrub that one came into has to begin again
        self._forget(EMPTY)

    def __repr__(self) -> str:
        return "Keystore(%s)" % self.status

    def _forget(self, status: str) -> None:
        if self.ledger:
            self.ledger.retire()  # a Counter that somebody still holds must not go on counting
        self.status = status
        self.detail = ""
        self.credentials: "Credentials | None" = None
        self.known: "Credentials | None" = None
        self.ledger = None  # type: ignore[assignment]  # as above
        self.budget: Budget = None  # type: ignore[assignment]  # likewise
        self._slot = 1
        self.scrub_due = False

    def load(self) -> str:
        """Read what the store holds, write nothing; returns and sets `status`."""
        self._forget(EMPTY)
        try:
            self._load()
        except OSError as error:
            self._forget(STORAGE_ERROR)
            self.detail = str(error)
        return self.status

    def _load(self) -> None:
        from ..keychange.check import decode

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
        self.known = credentials
        try:
            ledger = Ledger.load(self._store, SLOTS[self._slot], self._retained)
            self._check_belongs(ledger, credentials)
        except Damaged as error:
            self.status, self.detail = NO_COUNTER, str(error)
            return
        self.ledger, self.credentials, self.status = ledger, credentials, READY
        self.budget = Budget(self._store, ledger, self._renewed)

    @staticmethod
    def _check_belongs(ledger: "Ledger", credentials: "Credentials") -> None:
        """Raise Damaged unless these are the counters of these keys."""
        if ledger.set_id != credentials.set_id or len(ledger.nexts) != len(credentials.peers):
            raise Damaged("counters of another key set")
        for index, peer in enumerate(credentials.peers):
            if peer.generations and peer.kcn(ledger.generations[index]) is None:
                raise Damaged("counter of a generation that is not there")

    def _need_ready(self) -> None:
        if self.status != READY:
            raise Misuse("no usable keys: " + self.status)

    # How keys change (keychange/change.py): the steps that are atomic, and the named load points.

    def stored(self, name: str) -> bytes | None:
        """A record as it is, or None. Raises OSError."""
        return self._store.read(name)

    def replace(
        self,
        credentials: "Credentials",
        rows: "Rows",
        encode: "Callable[[Credentials, int], bytes]",
        used: tuple[bytes, bytes],
    ) -> None:
        """Put a set that was checked in place of whatever is there, atomically with its counters.

        `rows`: (generation, next number) of each peer; `encode(credentials, slot)`: the record;
        `used`: the record of that name before and afterwards. Raises StorageError: the old set or
        the new one is in place, read back from flash.
        """
        slot = 1 - self._slot
        ledger = Ledger(self._store, SLOTS[slot], credentials.set_id, rows, self._retained)
        self._changes += 1
        try:
            if self.status != EMPTY:
                self._store.write(SCRUB, b"old keys")
            self._store.write(USED, used[0])
            ledger.create(self.ledger.serial if self.ledger else 0)
            self._store.write(KEYS, encode(credentials, slot))
        except (OSError, StorageError) as error:
            self.load()
            raise StorageError("key set not written: %s" % error) from None
        old = SLOTS[self._slot]
        # There are credentials while READY.
        if self.load() != READY or self.credentials.set_id != credentials.set_id:  # type: ignore[union-attr]
            raise StorageError(
                "flash did not keep the key set: %s %s" % (self.status, self.detail)
            )
        try:
            self._store.remove(old)  # nothing refers to it any more
            self._store.write(USED, used[1])
        except OSError:
            pass  # clutter, and marks that count while a record of the set is left

    def rewrite(
        self, credentials: "Credentials", encode: "Callable[[Credentials, int], bytes]"
    ) -> None:
        """Put the same keys in place again, with something else about them, in one write. Their
        counters go on. Raises StorageError as replace()."""
        record = encode(credentials, self._slot)
        try:
            self._store.write(KEYS, record)
            if self._store.read(KEYS) != record:
                raise OSError("flash did not keep it")
        except OSError as error:
            self.load()
            raise StorageError("key set not written: %s" % error) from None
        self.known = self.credentials = credentials

    def counted(self, set_id: bytes) -> bool:
        """Whether a counter record says that keys of this set, which can't be read, were used."""
        for name in SLOTS:
            try:
                ledger = Ledger.load(self._store, name)
            except (Damaged, OSError):
                continue
            if ledger.set_id == set_id:
                for index, limit in enumerate(ledger.limits):  # 65536 of generation 0: no key
                    if limit and (limit < SEQUENCE_NUMBERS or ledger.generations[index]):
                        return True
        return False

    def clear(self, used: bytes = b"") -> None:
        """Forget all keys but for `used`, that record (none: as it is); a scrub is due then.

        Raises StorageError; run it again then.
        """
        self._changes += 1
        try:
            self._store.write(SCRUB, b"old keys")
            if used:
                self._store.write(USED, used)
                used = b""
        except OSError:
            pass  # a full flash must not keep the keys from being removed
        try:
            for name in (KEYS, SLOTS[0], SLOTS[1], BUDGET):
                self._store.remove(name)
        except OSError as error:
            self.load()
            raise StorageError("keys not erased: %s" % error) from None
        self._forget(EMPTY)
        self.scrub_due = True
        try:
            if used:  # there is room now
                self._store.write(USED, used)
            if self._retained is not None:
                self._retained.write(b"")
        except OSError:
            pass  # the note is bound to counters that are gone

    def scrubbing(self) -> "Generator[None, None, None]":
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

    def scrub(self, tick: "Callable[[], object] | None" = None) -> None:
        """Overwrite what old keys left in unused flash, as far as the store can reach.

        Takes seconds: one erase of every free block. `tick()` is called in between (a watchdog).
        """
        for _ in self.scrubbing():
            if tick:
                tick()

    def provision(self, credentials: "Credentials") -> bool:
        """Put `credentials` in place of whatever is there: see change.provision()."""
        from ..keychange import change

        return change.provision(self, credentials)

    def rekey(self, set_id: bytes, generations: "dict[int, Generations]") -> bool:
        """Give correspondents new lists of keys: see change.rekey()."""
        from ..keychange import change

        return change.rekey(self, set_id, generations)

    def erase(self, tick: "Callable[[], object] | None" = None) -> None:
        """Forget all keys, then scrub. Raises StorageError; run it again then."""
        from ..keychange import change

        change.erase(self)
        self.scrub(tick)

    # How keys are used

    def current(self, index: int) -> tuple[int, bytes | None]:
        """(generation, Kcn) in use with peer `index`."""
        self._need_ready()
        assert self.credentials is not None
        generation = self.ledger.generations[index]
        return generation, self.credentials.peers[index].kcn(generation)

    def move_on(self, index: int) -> int:
        """Leave the current generation of peer `index` for good; returns the new one's number.

        Raises Exhausted where none is left, StorageError.
        """
        self._need_ready()
        assert self.credentials is not None
        current = self.ledger.generations[index]
        following = self.credentials.peers[index].after(current)
        if following is None:
            raise Exhausted("key exhausted and no further generation provisioned")
        self.ledger.move_on(index, following)
        self.budget.refill(index)
        return following

    def take(self, index: int) -> tuple[int, int]:
        """(generation, number): the next number, from the next generation where one runs out."""
        if self.status != READY:  # a handover waits for this: no call that it can do without
            self._need_ready()
        try:  # no name more: the frame would be allocated
            return self.ledger.generations[index], self.ledger.take(index)
        except Exhausted:
            self.move_on(index)
        return self.ledger.generations[index], self.ledger.take(index)

    def peek(self, index: int) -> int:
        """The number that take() would give peer `index` next in this generation, or 65536."""
        self._need_ready()
        return self.ledger.nexts[index]

    def advance(self, index: int, last_accepted: int) -> bool:
        """Continue peer `index` after `last_accepted`, forwards only: see Ledger.advance()."""
        self._need_ready()
        return self.ledger.advance(index, last_accepted)

    def warning(self, index: int) -> int | None:
        """Per cent of the last key of peer `index` used: 90, 97, 100, or None before."""
        next_number, later = self.left(index)
        return None if later else warning(next_number)

    def left(self, index: int) -> tuple[int, int]:
        """The next number of peer `index`, and how many generations follow this one."""
        self._need_ready()
        assert self.credentials is not None
        current = self.ledger.generations[index]
        later = [number for number, _ in self.credentials.peers[index].generations]
        return self.ledger.nexts[index], len([number for number in later if number > current])

    def top_up(self) -> None:
        """While idle: reserve ahead for every peer that is short; StorageError."""
        if self.status == READY:
            assert self.credentials is not None
            for index in range(len(self.credentials.peers)):
                self.ledger.top_up(index)
            self.budget.save()

    def release(self) -> None:
        """Before a planned reset or a sleep without retained memory: lose no number."""
        if self.status == READY:
            self.budget.save(256)
            self.ledger.release()

    def suspend(self) -> None:
        """Before a sleep: as release(), but leave flash alone where memory outlives the sleep."""
        if self.status == READY:
            self.ledger.suspend()
