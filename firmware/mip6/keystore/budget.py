"""How many numbers of a key may go for what nobody signed: so few that it lasts a year.

Moves, missing answers, refresh requests and Binding Errors need no key, so anybody may cause them
without end. Each costs a token of the correspondent's bucket, which holds 16,384 and gets one back
in sixteen minutes: in a year no more than 49,234 numbers of 65,536 go that way, and a move is
immediate as long as there is a token. What an acknowledgement vouches for (the renewal of a
binding before its end) costs none; with the default lifetime that is another 9,000 a year.

The bucket's level outlives a restart without a write for each number: the record says the level
at a number, and what was numbered since then is taken off. A start after a loss of power finds
one token at least, for boards that are switched on to send once: who cuts their power holds them
in his hand. No clock here: `now` is in milliseconds since the start.
"""

import struct

from ..compat import const
from ..limits import SEQUENCE_NUMBERS, SET_ID_OCTETS
from .records import Damaged, pack, unpack

TYPE_CHECKING = const(False)
if TYPE_CHECKING:
    from ..protocols import Store
    from .ledger import Ledger

BUDGET = "seq/budget"
TOKENS_MAX = const(16384)
INTERVAL_MS = const(960000)

_KIND = const(0x42)  # "B"
_VERSION = const(1)
_STALE = const(4096)  # tokens by which the record may be wrong, on the safe side
_ROW = ">HIH"  # generation, number, level at that number
_ROW_OCTETS = const(8)


class Budget:
    """The buckets of a ledger's correspondents. `renewed`: after a loss of power."""

    def __init__(self, store: "Store", ledger: "Ledger", renewed: bool) -> None:
        self._store = store
        self._ledger = ledger
        self._at: int | None = None  # up to when tokens were given back
        self._kept = False  # whether there is a record of this set
        self._saved = self._load()
        self.tokens = [max(level, renewed) for level in self._told()]

    def _load(self) -> "list[tuple[int, int, int]]":
        """(generation, number, level) of each correspondent, full where there is no record."""
        ledger = self._ledger
        full = [
            (generation, ledger.nexts[index], TOKENS_MAX)
            for index, generation in enumerate(ledger.generations)
        ]
        try:
            record = self._store.read(BUDGET)
            body = unpack(_KIND, _VERSION, record) if record else b""
        except (Damaged, OSError):
            return full
        rows = body[SET_ID_OCTETS:]
        if body[:SET_ID_OCTETS] != ledger.set_id or len(rows) != _ROW_OCTETS * len(full):
            return full
        self._kept = True
        found = []
        for index, row in enumerate(full):
            at = _ROW_OCTETS * index
            saved = struct.unpack(_ROW, rows[at : at + _ROW_OCTETS])
            found.append(saved if saved[0] == row[0] else row)
        return found

    def _told(self) -> "list[int]":
        """The levels that a start would find."""
        nexts = self._ledger.nexts
        return [
            max(0, level - max(0, nexts[index] - number))
            for index, (_, number, level) in enumerate(self._saved)
        ]

    def wait(self, index: int, now: int) -> int:
        """Milliseconds until a token of correspondent `index` is there; 0: there is one."""
        if self._at is None:
            self._at = now
        more = (now - self._at) // INTERVAL_MS
        if more > 0:
            self._give_back(more)
        return 0 if self.tokens[index] else self._at + INTERVAL_MS - now

    def _give_back(self, more: int) -> None:
        self._at += more * INTERVAL_MS  # type: ignore[operator]  # set before
        self.tokens = [min(TOKENS_MAX, level + more) for level in self.tokens]

    def spend(self, index: int, tokens: int = 1) -> None:
        """A number was taken for what nobody signed (-1: it wasn't, after all)."""
        if not self._kept:  # else each start would find a full bucket
            self._kept = True
            self.save(0)
        self.tokens[index] = max(0, min(TOKENS_MAX, self.tokens[index] - tokens))

    def refill(self, index: int) -> None:
        """Another generation has begun: another year."""
        self.tokens[index] = TOKENS_MAX

    def save(self, stale: int = _STALE) -> None:
        """While idle: bring the record up to date where it is off by `stale` tokens.

        A failure costs tokens at the next start, and nothing else.
        """
        told = self._told()
        if max(abs(told[index] - level) for index, level in enumerate(self.tokens)) < stale:
            return
        ledger = self._ledger
        rows = [
            (generation, min(ledger.nexts[index], SEQUENCE_NUMBERS), self.tokens[index])
            for index, generation in enumerate(ledger.generations)
        ]
        body = ledger.set_id
        for row in rows:
            body += struct.pack(_ROW, *row)
        try:
            self._store.write(BUDGET, pack(_KIND, _VERSION, body))
        except OSError:
            return
        self._saved = rows
