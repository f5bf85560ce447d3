"""The counter of one correspondent under one generation, as tests and benches look at it.

Runs under CPython and MicroPython.
"""

from mip6.errors import Misuse
from mip6.limits import SEQUENCE_NUMBERS


class Counter:
    """The live counter of one peer under one generation: a view of the ledger."""

    def __init__(self, ledger, index):
        self._ledger = ledger
        self._index = index
        self.generation = ledger.generations[index]

    def _live(self):
        if self._ledger.generations[self._index] != self.generation:
            raise Misuse("the counter of a generation that has been left")
        return self._ledger

    @property
    def peek(self):
        """The number that take() would return; 65536 when exhausted."""
        return self._live().nexts[self._index]

    @property
    def uses_left(self):
        """How many numbers are left, 0 to 65536."""
        return SEQUENCE_NUMBERS - self.peek

    def take(self):
        """Return the next number, its reservation safe in flash; Exhausted, StorageError."""
        return self._live().take(self._index)

    def advance(self, last_accepted):
        """Continue after `last_accepted`, forwards only; True if that moved. See Ledger."""
        return self._live().advance(self._index, last_accepted)

    def top_up(self):
        """While idle: reserve ahead if few are left; StorageError."""
        self._live().top_up(self._index)

    def release(self):
        """Write the exact next numbers of the whole set before a planned reset; StorageError."""
        self._live().release()


def counter_of(keystore, index):
    """The live Counter of peer `index` of a loaded key store, under its current generation."""
    if keystore.ledger is None:
        raise Misuse("no usable keys: " + keystore.status)
    return Counter(keystore.ledger, index)
