"""Sequence numbers that are never given twice, whatever happens to power.

A static key is as safe as the counter beside it: two Binding Updates with one number under one
key let a recorded one be played back. So each number is *reserved* in flash before it is given
out, and a start continues where the last reservation ended; what it held and did not use is lost.

How much to reserve is the one choice. Flash time and wear ask for much; key life (65,536 numbers)
asks for little. The reservation is half of what the session has used so far, at least 1, at most
16. So:
- a cut never costs more than half of what the session used (or 1), and never more than 16;
- a board that sleeps after each message reserves exactly the one it sends and loses none;
- a start that sends nothing writes nothing, so a boot loop burns neither numbers nor flash;
- a long session writes once in 15 numbers, and does so while idle (`top_up`).

All counters of a key set share one small record, so that one write serves every correspondent, and
moving to the next key generation is one write too. The record carries the set's public id and a
serial number that grows with each write. Bits in docs/SPEC.md, reasons in docs/DESIGN.md.

Where a board has memory that outlives a reset (`retained`: RTC memory on ESP32), the exact next
numbers are noted there before each is given out, bound to the set and the serial number of the
record in flash. The note is believed only while both agree with the flash.

No clock, flash or random number here: the store comes in as an argument.
"""

import struct

from ..compat import const
from ..errors import Exhausted, Misuse, StorageError
from ..limits import GENERATION_MAX, SEQUENCE_NUMBERS, SET_ID_OCTETS
from .records import Damaged, pack, unpack

TYPE_CHECKING = const(False)

if TYPE_CHECKING:
    from ..protocols import Retained, Rows, Store

_MOST = const(16)  # numbers reserved at most, and lost at most
_LONG = const(8)  # uses after which a session counts as long, so that reserving early pays
_LOW = const(1)  # top_up() acts when no more than this many reserved numbers are left

_WARN_FIRST = const(90)  # per cent of a key used
_WARN_SECOND = const(97)

_RETIRED = const(-1)  # a generation that no counter has

_COUNTERS = const(0x43)  # "C", record kind in flash
_RETAINED = const(0x52)  # "R", record kind in retained memory
_VERSION = const(1)


def reservation(uses: int) -> int:
    """Numbers to reserve in a session that has used `uses` so far."""
    return min(_MOST, max(1, uses >> 1))


def warning(next_number: int) -> int | None:
    """Per cent of a key used that are worth a warning: 90, 97 or 100; None below 90."""
    found = None
    for bound in (_WARN_FIRST, _WARN_SECOND, 100):
        if next_number * 100 >= bound * SEQUENCE_NUMBERS:
            found = bound
    return found


def _encode(kind: int, set_id: bytes, serial: int, rows: "Rows") -> bytes:
    """One record; `rows` are (15-bit value, 17-bit value) pairs, one for each correspondent."""
    body = set_id + struct.pack(">I", serial)
    for high, low in rows:
        body += struct.pack(">I", high << 17 | low)
    return pack(kind, _VERSION, body)


def _decode(kind: int, record: bytes) -> "tuple[bytes, int, Rows]":
    """Return (set_id, serial, rows) of a record; raises Damaged."""
    body = unpack(kind, _VERSION, record)
    if len(body) < SET_ID_OCTETS + 8 or len(body) & 3:
        raise Damaged("no whole number of counters")
    words = struct.unpack(">%dI" % ((len(body) - SET_ID_OCTETS) // 4), body[SET_ID_OCTETS:])
    rows = [(word >> 17, word & 0x1FFFF) for word in words[1:]]
    for _, number in rows:
        if number > SEQUENCE_NUMBERS:
            raise Damaged("counter beyond the last number")
    return bytes(body[:SET_ID_OCTETS]), words[0], rows


class Ledger:
    """The counters of one key set: generation, next number and end of reservation of each peer.

    `store` has read(name) and write(name, data) (OSError on failure); `name` is the record's.
    `retained`, where the board has any, has read() -> bytes and write(data).
    """

    def __init__(
        self,
        store: "Store",
        name: str,
        set_id: bytes,
        rows: "Rows",
        retained: "Retained | None" = None,
    ) -> None:
        self._store = store
        self._name = name
        self._retained = retained
        self.set_id = set_id
        self.serial = 0
        self.generations = [generation for generation, _ in rows]
        self.limits = [limit for _, limit in rows]
        self.nexts = list(self.limits)
        self.uses = [0] * len(rows)
        self._note_is_stale = False

    @classmethod
    def load(cls, store: "Store", name: str, retained: "Retained | None" = None) -> "Ledger":
        """Read the ledger; Damaged if absent or unusable, OSError if flash can't be read."""
        record = store.read(name)
        if record is None:
            raise Damaged("no counter record")
        set_id, serial, rows = _decode(_COUNTERS, record)
        ledger = cls(store, name, set_id, rows, retained)
        ledger.serial = serial
        ledger._resume()
        return ledger

    def _resume(self) -> None:
        """Continue at the exact numbers where retained memory has them for this very record."""
        if self._retained is None:
            return
        try:
            set_id, serial, rows = _decode(_RETAINED, self._retained.read() or b"")
        except (Damaged, OSError):
            return
        if set_id != self.set_id or serial != self.serial or len(rows) != len(self.nexts):
            return
        for index, (_, number) in enumerate(rows):
            if not 0 <= self.limits[index] - number <= _MOST:
                return
        self.nexts = [number for _, number in rows]
        self.uses = [uses for uses, _ in rows]

    def take(self, index: int) -> int:
        """Return the next number of peer `index`, reserved in flash; Exhausted, StorageError."""
        number = self.nexts[index]
        if number >= SEQUENCE_NUMBERS:
            raise Exhausted("all 65536 sequence numbers of this key are used")
        if number >= self.limits[index] or self._note_is_stale:
            self._reserve(index)
        self.nexts[index] = number + 1
        self.uses[index] += 1
        if self._retained is not None:
            self._retain()
        return number

    def top_up(self, index: int) -> None:
        """While idle: reserve ahead if few are left, so that the next handover finds some."""
        left = self.limits[index] - self.nexts[index]
        if left <= _LOW and self.uses[index] >= _LONG and self.limits[index] < SEQUENCE_NUMBERS:
            self._reserve(index)
            self._retain()

    def advance(self, index: int, last_accepted: int) -> bool:
        """Continue after `last_accepted` (0 to 65535), forwards only; True if that moved.

        The caller has verified the authenticator of the message that named it.
        """
        if not 0 <= last_accepted < SEQUENCE_NUMBERS:
            raise Misuse("a sequence number is 0 to 65535")
        if last_accepted < self.nexts[index]:
            return False
        before = self.nexts[index]
        self.nexts[index] = last_accepted + 1
        if self.nexts[index] > self.limits[index]:
            try:
                self._reserve(index)
            except StorageError:
                self.nexts[index] = before
                raise
        self._retain()
        return True

    def release(self) -> None:
        """Before a planned reset: write the exact next numbers, so that none is lost."""
        if self.nexts != self.limits:
            self._write(self.generations, list(self.nexts))
            self._retain()

    def suspend(self) -> None:
        """Before a sleep: as release(), or nothing where retained memory outlives the sleep."""
        if self._retained is None:
            self.release()

    def move_on(self, index: int, generation: int) -> None:
        """Start peer `index` on a later `generation`, at 0."""
        if not self.generations[index] < generation <= GENERATION_MAX:
            raise Misuse("a generation follows a lower one")
        generations, limits = list(self.generations), list(self.limits)
        generations[index], limits[index] = generation, 0
        self._write(generations, limits)
        self.nexts[index] = self.uses[index] = 0
        self._retain()

    def retire(self) -> None:
        """Give out nothing any more: another ledger takes over."""
        self.generations = [_RETIRED] * len(self.generations)
        self.nexts = [SEQUENCE_NUMBERS] * len(self.nexts)
        self._store = self._retained = None  # type: ignore[assignment]  # nothing asks it

    def create(self, serial: int) -> None:
        """Write the ledger for the first time, numbered after `serial`, its forerunner's."""
        self.serial = serial
        self._write(self.generations, self.limits)

    def _reserve(self, index: int) -> None:
        """Reserve for peer `index`, and in the same write for every peer in a long session."""
        limits = list(self.limits)
        for peer, uses in enumerate(self.uses):
            if peer == index or uses >= _LONG:
                ahead = min(SEQUENCE_NUMBERS, self.nexts[peer] + reservation(uses))
                limits[peer] = max(limits[peer], ahead)
        self._write(self.generations, limits)

    def _write(self, generations: list[int], limits: list[int]) -> None:
        """Put the record in flash and read it back; only then does memory change."""
        rows = [(generations[i], limits[i]) for i in range(len(limits))]
        record = _encode(_COUNTERS, self.set_id, self.serial + 1, rows)
        try:
            self._store.write(self._name, record)
            kept = self._store.read(self._name)
        except OSError as error:
            self._doubt(limits)
            raise StorageError("counter not written: " + str(error)) from None
        if kept != record:
            self._doubt(limits)
            raise StorageError("flash did not keep the counter")
        self.serial += 1
        self._note_is_stale = False
        self.generations, self.limits = generations, limits

    def _doubt(self, limits: "list[int]") -> None:
        """Flash may hold these limits or those before: reserved is only what is so in both."""
        self.limits = [min(limit, limits[index]) for index, limit in enumerate(self.limits)]

    def _retain(self) -> None:
        """Note the exact numbers; if that fails, void the old note (a new serial number) first."""
        if self._retained is None:
            return
        rows = [(min(self.uses[i], 32), self.nexts[i]) for i in range(len(self.nexts))]
        try:
            self._retained.write(_encode(_RETAINED, self.set_id, self.serial, rows))
        except OSError:
            self._retained = None
            self._note_is_stale = True
            self._write(self.generations, self.limits)
