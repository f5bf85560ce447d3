"""Events on their way from the daemon's loop into the file.

The loop only appends to a queue; a thread takes what has gathered, ten times a second, and writes
it. Nothing that happens to the file can hold up a packet: where the queue is full events are
counted instead, and the count becomes an event itself once there is room.

Drops and refusals, which anybody can cause, are gathered for a second and few of them keep their
node; of bindings by return routability, likewise anybody's, few of a second are told. So a flood
makes some dozen events a second, and doesn't push everything else out of the file.
"""

import sqlite3
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from roamkey.correspondent.core import endpoints, entries
from roamkey.correspondent.core.entries import RETURN_ROUTABILITY, Verdict
from roamkey.correspondent.events import kinds
from roamkey.correspondent.events.file import Writer
from roamkey.correspondent.events.gaps import Gaps
from roamkey.correspondent.events.tables import FIELDS
from roamkey.errors import RoamkeyError
from roamkey.registry import Registry
from roamkey.registry.records import Binding

_QUEUE_MAX = 1 << 16
_GATHER_S = 0.1
_FORGET_EVERY_S = 30.0
_FORGET_SOON_S = 1.0
_CLOSE_S = 5.0
_COUNTS_MAX = 1024  # home addresses that drops are counted for, a second
_NAMED_MAX = 16  # drops that keep their node, a second
_ROWS_MAX = 1_000_000
_DAY_MS = 86_400_000
_S = 1000

KEEP_DAYS = 7

_Row = tuple[Any, ...]
_WHY = FIELDS.index("reason")


class Recorder:
    """The daemon's end: cheap calls, from one thread. `close()` it."""

    def __init__(
        self, path: Path, correspondent: bytes, keep_days: float = KEEP_DAYS, queue_max: int = 0
    ) -> None:
        """Record into the file at `path`; raises BadInputError, SystemRefusedError."""
        self._file = Writer(path, correspondent)
        self._correspondent = correspondent
        self._keep_ms = int(keep_days * _DAY_MS)
        self._queue: deque[_Row | Callable[[], None]] = deque()
        self._queue_max = queue_max or _QUEUE_MAX
        self._counts: Counter[tuple[str, str, bytes]] = Counter()
        self._gaps = Gaps()
        self._strangers = 0  # events of nodes without a key, this second
        self._since = -1  # the registry's revision up to which nodes are known
        self._wake = threading.Event()
        self._ending = threading.Event()
        # Each is counted up by one thread alone: the first by the loop's, the others by ours.
        self._overflowed = self._failed = self._said = 0
        self.recorded = 0
        self.last_error: str | None = None
        self._thread = threading.Thread(target=self._run, name="events", daemon=True)
        self._thread.start()

    @property
    def lost(self) -> int:
        """Events that could not be recorded."""
        return self._overflowed + self._failed

    def facts(self) -> dict[str, Any]:
        """What there is to tell about it."""
        return {
            "file": str(self._file.path),
            "recorded": self.recorded,
            "lost": self.lost,
            "last_error": self.last_error,
        }

    # --- what the daemon tells

    def verdict(self, now: int, verdict: Verdict) -> None:
        """What became of a packet."""
        outcome = verdict.outcome
        if outcome in (entries.ACCEPTED, entries.REMOVED):
            if verdict.generation is not None or self._may_tell_stranger():
                self._updated(now, verdict)
        elif outcome == entries.DATA:
            self.data(verdict.home_address, now)
        elif outcome not in (entries.KEEPALIVE, entries.TESTED, entries.WAITING):
            home = verdict.home_address if len(self._counts) < _COUNTS_MAX else b""
            self._counts[outcome, verdict.reason, home] += 1

    def dropped(self, counts: Mapping[tuple[str, str], int]) -> None:
        """Packets that nobody judged, by (outcome, reason)."""
        for (outcome, reason), count in counts.items():
            self._counts[outcome, reason, b""] += count

    def expired(self, now: int, home_address: bytes, binding: Binding) -> None:
        """A binding's time is over."""
        why = None if binding.key_id else RETURN_ROUTABILITY
        if why is None or self._may_tell_stranger():
            row = (now, kinds.EXPIRED, home_address, binding.care_of_address, *(None,) * 5, why)
            self._put((*row, None), *_way(binding.endpoint))

    def data(self, home_address: bytes, now: int) -> None:
        """Data flowed with a bound node."""
        gap = self._gaps.data(home_address, now)
        if gap is not None:
            self._put((now, kinds.GAP, home_address, *(None,) * 7, gap))

    def heard(self, rows: Sequence[tuple[bytes, int]]) -> None:
        """When data last flowed with nodes: home addresses, and milliseconds since 1970."""
        self._put(lambda: self._file.heard(rows))

    def told(self, now: int, kind: str, text: str) -> None:
        """The daemon started or stopped."""
        self._put((now, kind, *(None,) * 7, text, None))

    def nodes_changed(self, registry: Registry, revision: int) -> None:
        """Provisioning changed something: read what nodes there are, when there is time."""
        if revision != self._since:
            since, self._since = self._since, revision
            self._put(lambda: self._know(registry, since))

    def forget_nodes(self) -> None:
        """Another registry: all nodes are to be read anew."""
        self._since = -1

    def flush(self) -> None:
        """Have what was told written soon."""
        if self._queue:
            self._wake.set()

    def tick(self, now: int) -> None:
        """Once a second: the drops and refusals since the last time."""
        counts, self._counts = self._counts, Counter()
        self._strangers = 0
        named = dict(counts.most_common(_NAMED_MAX))
        rest: Counter[tuple[str, str, bytes]] = Counter()
        for (outcome, reason, home), count in counts.items():
            if (outcome, reason, home) not in named:
                rest[outcome, reason, b""] += count
        for outcome, reason, home in (*named, *rest):
            count = named.get((outcome, reason, home), 0) + rest[outcome, reason, home]
            self._put((now, outcome, home or None, *(None,) * 5, count, reason, None))
        self.flush()

    def close(self) -> None:
        """Write what waits, within five seconds, and end."""
        self._ending.set()
        self._wake.set()
        self._thread.join(_CLOSE_S)

    def _may_tell_stranger(self) -> bool:
        self._strangers += 1
        return self._strangers <= _NAMED_MAX

    def _updated(self, now: int, verdict: Verdict) -> None:
        kind, care_of = kinds.REMOVED, verdict.care_of_address
        before = verdict.previous or None
        if verdict.outcome == entries.REMOVED:
            self._gaps.removed(verdict.home_address)
        else:
            kind = kinds.BOUND
            if before:
                kind = kinds.REFRESHED if before == care_of else kinds.MOVED
            before = before if kind == kinds.MOVED else None
            if verdict.generation is not None:
                self._gaps.registered(verdict.home_address, now, kind == kinds.MOVED)
        numbers = verdict.sequence, verdict.generation, verdict.lifetime
        why = RETURN_ROUTABILITY if verdict.generation is None else None
        row = (now, kind, verdict.home_address, care_of, before, *numbers, None, why, None)
        self._put(row, *_way(verdict.endpoint))

    def _put(
        self, what: _Row | Callable[[], None], way: str | None = None, endpoint: str | None = None
    ) -> None:
        if len(self._queue) < self._queue_max:
            self._queue.append(what if callable(what) else (*what, way, endpoint))
        else:
            self._overflowed += 1

    # --- in the thread

    def _run(self) -> None:
        forget_at = 0.0
        while not self._ending.is_set() or self._queue:
            if self._wake.wait(max(0.0, forget_at - time.monotonic())):
                self._wake.clear()
                self._ending.wait(_GATHER_S)
            try:
                self._go_on_in_place()
                self._write([self._queue.popleft() for _ in range(len(self._queue))])
                if time.monotonic() >= forget_at:
                    now = time.time_ns() // 1_000_000
                    more = self._file.forget(now - self._keep_ms, _ROWS_MAX)
                    pause = _FORGET_SOON_S if more else _FORGET_EVERY_S
                    forget_at = time.monotonic() + pause
            except sqlite3.Error as error:
                self.last_error = str(error)
                forget_at = max(forget_at, time.monotonic() + _FORGET_SOON_S)
        self._file.close()

    def _go_on_in_place(self) -> None:
        """Where somebody moved the file away, as to begin anew, there is a new one."""
        try:
            self._file.check()
            return
        except RoamkeyError as error:
            self.last_error = str(error)
        self._file.close()
        try:
            self._file = Writer(self._file.path, self._correspondent)
            self._since = -1  # nodes are to be told again
        except RoamkeyError as error:  # what comes is lost, and counted
            self.last_error = str(error)

    def _write(self, taken: list[_Row | Callable[[], None]]) -> None:
        """Write what was taken, in order. Raises sqlite3.Error; all that could be is written."""
        failure: sqlite3.Error | None = None
        events: list[_Row] = []
        for one in (*taken, self._say_lost):
            if not callable(one):
                events.append(one)
                continue
            try:
                self._add(events)
                one()
            except sqlite3.Error as error:
                failure = error
            events = []
        if failure is not None:
            raise failure

    def _say_lost(self) -> None:
        unsaid = self.lost - self._said
        if unsaid:
            now = time.time_ns() // 1_000_000
            self._file.add([(now, kinds.LOST, *(None,) * 6, unsaid, *(None,) * 4)], [])
            self._said += unsaid

    def _add(self, events: list[_Row]) -> None:
        if not events:
            return
        nodes: dict[bytes, _Row] = {}
        for event in events:
            if event[1] in _STATES and event[_WHY] is None:  # of strangers no state is kept
                _move(nodes, event)
        try:
            self._file.add(events, list(nodes.values()))
            self.recorded += len(events)
        except sqlite3.Error:
            self._failed += len(events)
            raise

    def _know(self, registry: Registry, since: int) -> None:
        """Nodes changed after revision `since` as the registry has them; no secret is read."""
        try:
            found = registry.nodes_of_correspondent(self._correspondent, since)
        except RoamkeyError as error:  # closed by a reload, or failing: said elsewhere too
            self.last_error = str(error)
            self._since = -1  # to be asked again
            return
        now = time.time_ns() // 1_000_000
        rows, gone = [], []
        for one in found:
            home, board, live, generation, sequence, care_of, endpoint, seen, expires, name = one
            if not live:
                gone.append(home)
                continue
            state = "never" if seen is None and sequence is None else "unbound"
            if expires is not None and expires > now:
                state = "bound"
            known = home, board, live - 1, state, care_of
            by = (None, None) if care_of is None else _way(endpoint)
            rows.append((*known, sequence, generation, seen, expires, *by, name))
        self._file.know(rows, gone if since >= 0 else None)


def _move(nodes: dict[bytes, _Row], event: _Row) -> None:
    """What holds for a node after an event: a row of `NODE_FIELDS`."""
    at, kind, home, care_of, _, sequence, generation, lifetime, _, _, _, way, endpoint = event
    if kind == kinds.REMOVED:
        care_of = way = endpoint = None
    row = nodes.get(home)
    updates, moves = row[7:9] if row else (0, 0)
    if kind == kinds.EXPIRED:
        numbers = row[3:7] if row else (None,) * 4
    else:
        numbers = (sequence, generation, at, at + _S * lifetime)
        updates += 1
        moves += kind == kinds.MOVED
    nodes[home] = (home, _STATES[kind], care_of, *numbers, updates, moves, way, endpoint)


def _way(endpoint: bytes) -> tuple[str, str | None]:
    return endpoints.way(endpoint), endpoints.text(endpoint) or None


#: kind of event -> the state in which it leaves the node
_STATES = {
    kinds.BOUND: "bound",
    kinds.REFRESHED: "bound",
    kinds.MOVED: "bound",
    kinds.REMOVED: "removed",
    kinds.EXPIRED: "expired",
}
