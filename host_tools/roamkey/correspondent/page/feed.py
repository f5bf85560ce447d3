"""Events from the file to whoever looks at the page.

The file is the queue: every message ends with the number of its last event, and a browser that was
away says that number (Last-Event-ID) and is sent what it missed. So a browser that is too slow
needs no patience: its connection is closed, which is counted, and it comes back by itself.

The file is looked at ten times a second as long as anybody looks at the page, and less often
where there is much to tell: a browser is sent some 250 kB a second at most. Each message is made
once, for all. It counts all events, and has the latest of them and their nodes as they are now;
where a flood of updates would make it large it says so, and browsers ask for the whole at their
leisure.

What the page shows is only as good as the daemons' last word. So their answers are dated, and a
beat tells that nothing changed: a browser that hears none knows that it sees the past.
"""

import asyncio
import json
import sqlite3
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

from roamkey.correspondent.core import reasons
from roamkey.correspondent.events import kinds
from roamkey.correspondent.page.reading import PageReader, Troubles

_LOOK_EVERY_S = 0.1
_WATCH_EVERY_S = 2.0
_ASK_S = 0.5
_BEAT_EVERY_S = 4.0
_READ_MAX = 5_000  # events at a time
_EVENTS_MAX = 100  # shown of them
_NODES_MAX = 500  # told of in a message
_OCTETS_PER_S = 250_000  # to a browser
_MISSED_MAX = 20_000  # more than that, and the page is loaded anew
_QUEUE_MAX = 64  # messages that wait for one browser
_TOTALS_EVERY_S = 1.0
_FEW = 2_000  # nodes that are quickly added up
BROWSERS_MAX = 64

STATE_NODES_MAX = 2_000
TIMELINE_MAX = 300


class Feed:
    """One for the process. `look()` runs beside the server."""

    def __init__(self, reader: PageReader, watch: Callable[[], dict[str, Any]]) -> None:
        """`watch` asks the daemons; it may block, and is called in another thread."""
        self._reader = reader
        self._troubles = Troubles(reader)
        self._ask = watch
        self._last = reader.last_id()
        self._look_at = 0.0
        self._beat_at = 0.0
        self._version = -1
        self._browsers: set[asyncio.Queue[bytes | None]] = set()
        self._watched: dict[str, Any] = {}
        self._totals: dict[str, int] = {}
        self._totals_at = 0.0
        self._answered: dict[str, int] = {}  # correspondent -> when its daemon last answered
        self._heard: dict[tuple[str, str], int] = {}  # when data last flowed with nodes, as told
        self._known = 0  # fingerprint of the nodes: they come and go without an event
        self._ended = False
        self._watching: asyncio.Task[None] | None = None
        self.too_slow = 0  # browsers that were

    # --- what is asked for

    def state(self, find: str = "") -> dict[str, Any]:
        """All that the page shows at first, and the number of the event up to which it holds."""
        self._reader.begin()
        try:
            last = self._reader.last_id()
            now = _now()
            self._troubles.catch_up(last)
            nodes = self._reader.in_need(STATE_NODES_MAX, find, now)
            return {
                "last": last,
                "now": now,
                "nodes": self._rows(nodes, now),
                "events": self._reader.latest(TIMELINE_MAX),
                "totals": self._reader.totals(),
                "nodes_max": STATE_NODES_MAX,
                "known": self._reader.fingerprint(),
                "as_of": self.as_of(),
                **self._watched,
            }
        finally:
            self._reader.end()

    def timeline(self, home_address: str) -> list[dict[str, Any]]:
        """The latest events of a node, the earliest first."""
        return self._reader.latest(TIMELINE_MAX, home_addresses=[home_address])

    async def watch_soon(self) -> None:
        """Ask the daemons; but what they said before does where they are slow to answer."""
        if self._watching is None or self._watching.done():
            self._watching = asyncio.create_task(self.watch())
        await asyncio.wait([self._watching], timeout=_ASK_S)

    async def watch(self) -> None:
        """Ask the daemons now."""
        asked = _now()
        found = await asyncio.to_thread(self._ask)
        for one in found["daemons"]:
            if "error" not in one:
                self._answered[one["address"]] = asked
        self._tell_heard()
        known = self._reader.fingerprint()
        if found != self._watched or known != self._known:
            self._watched, self._known = found, known
            totals = self._reader.totals()
            self._send(
                _message({**found, "totals": totals, "known": known, **self._when()}, "watch")
            )

    def _tell_heard(self) -> None:
        """Data flow without an event."""
        heard = self._reader.heard(STATE_NODES_MAX)
        new = [(*node, ms) for node, ms in heard.items() if self._heard.get(node) != ms]
        self._heard = heard
        if new:
            self._send(_message({"heard": new}, "heard"))

    def as_of(self) -> dict[str, int | None]:
        """Until when the page knows of each correspondent's nodes, in ms since 1970: its daemon
        answered then, or told of a node before the page began; None: never."""
        found = self._reader.correspondents()
        return {
            one: max(filter(None, (seen, self._answered.get(one))), default=None)
            for one, seen in found.items()
        }

    def _when(self) -> dict[str, Any]:
        return {"now": _now(), "as_of": self.as_of()}

    # --- what goes out

    @asynccontextmanager
    async def follow(self, after: int) -> AsyncIterator["asyncio.Queue[bytes | None] | None"]:
        """A queue of messages, from the event after this one on; None at its end. None in place
        of a queue where too many look already."""
        if len(self._browsers) >= BROWSERS_MAX or self._ended:
            yield None
            return
        queue: asyncio.Queue[bytes | None] = asyncio.Queue(_QUEUE_MAX)
        self._look()
        for message in self._missed(after):
            queue.put_nowait(message)
        self._browsers.add(queue)
        try:
            yield queue
        finally:
            self._browsers.discard(queue)

    async def run(self) -> None:
        """Look, as long as the server runs."""
        watch_at = 0.0
        while not self._ended:
            if self._browsers:
                if time.monotonic() >= self._look_at:
                    self._look()
                if time.monotonic() >= watch_at:
                    watch_at = time.monotonic() + _WATCH_EVERY_S
                    await self.watch_soon()
                if time.monotonic() >= self._beat_at:
                    self._beat_at = time.monotonic() + _BEAT_EVERY_S
                    self._send(_message(self._when(), "beat"))
            await asyncio.sleep(_LOOK_EVERY_S)

    def end(self) -> None:
        """Send everybody home."""
        self._ended = True
        for queue in list(self._browsers):
            self._drop(queue)

    def _look(self) -> None:
        with suppress(sqlite3.Error):  # busy, for once
            version = self._reader.version()
            if version == self._version:
                return
            events = self._reader.after(self._last, _READ_MAX)
            if len(events) < _READ_MAX:
                self._version = version
            if events:
                self._last = events[-1]["id"]
                message = self._told(events)
                self._look_at = time.monotonic() + len(message) / _OCTETS_PER_S
                self._send(message)

    def _missed(self, after: int) -> list[bytes]:
        start = _message({}, name="hello", retry_ms=1000)
        known = after == self._last or self._reader.first_id() - 1 <= after <= self._last
        if not known or self._last - after > _MISSED_MAX:
            return [start, _message({}, name="reload")]
        messages = [start]
        while after < self._last:
            events = self._reader.after(after, min(_READ_MAX, self._last - after))
            if not events:
                break
            after = events[-1]["id"]
            messages.append(self._told(events))
        return messages

    def _told(self, events: list[dict[str, Any]]) -> bytes:
        homes = list(dict.fromkeys(e["home_address"] for e in events if "home_address" in e))
        nodes = self._reader.nodes(_NODES_MAX + 1, home_addresses=homes[: _NODES_MAX + 1])
        now_ms = _now()
        self._troubles.catch_up(events[-1]["id"])
        what: dict[str, Any] = {
            "now": now_ms,
            "events": events[-_EVENTS_MAX:],
            "counts": Counter(e["kind"] for e in events),
            "nodes": self._rows(nodes[:_NODES_MAX], now_ms),
        }
        if len(homes) > _NODES_MAX:
            what["partly"] = True
        now = time.monotonic()
        if self._totals.get("nodes", 0) < _FEW or now - self._totals_at >= _TOTALS_EVERY_S:
            self._totals, self._totals_at = self._reader.totals(), now
            what["totals"] = self._totals
        return _message(what, ident=events[-1]["id"])

    def _send(self, message: bytes) -> None:
        for queue in list(self._browsers):
            try:
                queue.put_nowait(message)
            except asyncio.QueueFull:
                self.too_slow += 1
                self._drop(queue)

    def _drop(self, queue: "asyncio.Queue[bytes | None]") -> None:
        self._browsers.discard(queue)
        while not queue.empty():
            queue.get_nowait()
        queue.put_nowait(None)

    def _rows(self, nodes: list[dict[str, Any]], now_ms: int) -> list[dict[str, Any]]:
        return [told(node, self._troubles.of(node["home_address"], now_ms)) for node in nodes]


def told(node: dict[str, Any], trouble: dict[str, Any] | None = None) -> dict[str, Any]:
    """A node as the page has it."""
    told = dict(node)
    if trouble is not None:
        told["trouble"] = {**trouble, "advice": reasons.advice(trouble["kind"], trouble["reason"])}
    if "care_of_address" in told:
        told["network"] = kinds.network(told["care_of_address"])
    told["uses_left"] = 65535 - told["sequence"] if "sequence" in told else 65536
    return told


def _message(
    what: dict[str, Any], name: str = "", ident: int | None = None, retry_ms: int | None = None
) -> bytes:
    lines = []
    if retry_ms is not None:
        lines.append(f"retry: {retry_ms}")
    if ident is not None:
        lines.append(f"id: {ident}")
    if name:
        lines.append(f"event: {name}")
    lines.append(f"data: {json.dumps(what, separators=(',', ':'))}")
    return ("\n".join(lines) + "\n\n").encode()


def _now() -> int:
    return time.time_ns() // 1_000_000
