"""A line for each event, for people or as JSON; never a secret, never a flood of drops."""

import errno
import json
import os
import sys
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from mip6 import addresses
from roamkey.correspondent.core import endpoints, entries
from roamkey.correspondent.core.entries import Verdict
from roamkey.correspondent.events import kinds
from roamkey.errors import SystemRefusedError
from roamkey.registry.records import Binding

FORMATS = ("human", "json", "none")
_LOGGED = (entries.ACCEPTED, entries.REMOVED, entries.REFUSED)
_DROPS_EVERY_MS = 10_000
_WAITING_MAX = 4 << 20  # octets that wait for the reader; what comes then is lost, and counted
_WRITE_OCTETS = 1 << 16
_NEWLINE = 0x0A
_CLOSE_S = 5.0  # for a reader that is slow to take the last lines
_AGAIN_S = 1.0  # after a write that failed: a full disk has room again some day


class Log:
    """Writes events. `form`: one of `FORMATS`.

    Lines are made here and written by a thread, so nobody waits for the reader: of what it doesn't
    take in time a number is kept, and told in a line once it reads again. One that went away ends
    the log, not the daemon.
    """

    def __init__(self, form: str, path: Path | None = None) -> None:
        """Append to the file at `path`, or write to stdout. Raises SystemRefusedError."""
        self._json = form == "json"
        self._path = path if form != "none" else None
        self._drops: Counter[str] = Counter()
        self._drops_at: int | None = None
        self._stamped = -1  # the packets of a burst share their time
        self._stamp = ""
        self._lines: list[str] = []  # of this burst
        #: what nodes are called, by home address
        self.name_of: Callable[[bytes], str | None] = lambda _: None
        self._out: _Writer | None = None
        if form != "none":
            self._out = _Writer(self._open(), self._lost_line)
        sys.stdout.flush()  # what others printed comes first

    def reopen(self) -> None:
        """Go on in a new file of the same name, after the old one was moved away (logrotate).

        Raises SystemRefusedError; then the log goes on as before.
        """
        if self._path is not None and self._out is not None:
            self.flush()
            self._out.go_on_in(self._open())

    def close(self) -> None:
        """Write what waits, as long as the reader takes it, and close the file."""
        if self._out is not None:
            self.flush()
            self._out.close()
            self._out = None

    def facts(self) -> dict[str, Any]:
        """What there is to tell about it."""
        out = self._out
        return {"lost": out.lost if out else 0, "last_error": out.last_error if out else None}

    def event(self, now: int, name: str, text: str, /, **fields: object) -> None:
        """Write an event: `text` for people, `fields` for machines. `now`: ms since 1970."""
        if self._out is None:
            return
        if now != self._stamped:
            self._stamped, self._stamp = now, self._stamp_of(now)
        if self._json:
            line = json.dumps({"time": self._stamp, "event": name, **fields})
        else:
            line = f"{self._stamp} {name} {text}"
        self._lines.append(line)

    def flush(self) -> None:
        """Let the reader see what was written, soon."""
        lines, self._lines = self._lines, []
        if lines and self._out is not None:
            self._out.put(lines)

    def _open(self) -> int:
        """A descriptor of our own. A new file is its owner's alone, whatever the umask: it says
        where people's boards are. A pipe without a reader isn't waited for."""
        if self._path is None:
            return os.dup(sys.stdout.fileno())
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOCTTY
        try:
            opened = os.open(self._path, flags | os.O_NONBLOCK, 0o600)
            os.set_blocking(opened, True)
        except OSError as error:
            raise SystemRefusedError(f"log {self._path}: {error.strerror}") from None
        return opened

    def _lost_line(self, count: int) -> str:
        """What is told, by the thread, of lines that nobody took."""
        stamp = self._stamp_of(int(datetime.now(timezone.utc).timestamp() * 1000))
        if self._json:
            return json.dumps({"time": stamp, "event": "lost", "lines": count})
        return f"{stamp} lost {count} lines of this log: they were not taken in time"

    def _stamp_of(self, now: int) -> str:
        at = datetime.fromtimestamp(now / 1000, timezone.utc)
        if self._json:
            return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        return f"{at.astimezone():%H:%M:%S}"

    def verdict(self, now: int, verdict: Verdict) -> None:
        """A line for a binding made, removed or refused. Drops are only counted here, and so are
        refusals that the limiter withheld."""
        if verdict.outcome == entries.DROPPED:
            self._drops[verdict.reason] += 1
        elif verdict.outcome == entries.REFUSED and verdict.reply is None:
            self._drops[f"unanswered: {verdict.reason}"] += 1
        elif verdict.outcome in _LOGGED and self._out is not None:
            home, care_of = _text(verdict.home_address), _text(verdict.care_of_address)
            way, endpoint = endpoints.way(verdict.endpoint), endpoints.text(verdict.endpoint)
            by = f" by {way} from {endpoint}" if endpoint else ""
            key = kinds.key(verdict.generation)
            number = f"sequence {verdict.sequence}, {key}"
            name = self._name(verdict.home_address)
            text = f"{home}{name and f' ({name})'} at {care_of}{by}, {number}"
            fields = {
                "home_address": home,
                **({"name": name} if name else {}),
                "care_of_address": care_of,
                "way": way,
                "endpoint": endpoint or None,
                "sequence": verdict.sequence,
                "generation": verdict.generation,
                "authorized_by": verdict.authorized_by,
                "status": verdict.status,
                "lifetime_s": verdict.lifetime,
                "answered": verdict.reply is not None,
            }
            if verdict.outcome == entries.ACCEPTED:
                text += f", for {verdict.lifetime} s"
            elif verdict.outcome == entries.REFUSED:
                text += f": {verdict.reason} (status {verdict.status})"
                fields["reason"] = verdict.reason
            self.event(now, verdict.outcome, text, **fields)

    def _name(self, home_address: bytes) -> str:
        return self.name_of(home_address) or ""

    def dropped(self, counts: Mapping[tuple[str, str], int]) -> None:
        """Packets that nobody judged, by (outcome, reason)."""
        for (_, reason), count in counts.items():
            self._drops[reason] += count

    def expired(self, now: int, home_address: bytes, binding: Binding) -> None:
        """A line for a binding whose time is over."""
        home, care_of = _text(home_address), _text(binding.care_of_address)
        name = self._name(home_address)
        fields = {"home_address": home, **({"name": name} if name else {})}
        text = f"{home}{name and f' ({name})'} at {care_of}"
        self.event(now, "expired", text, **fields, care_of_address=care_of)

    def drops(self, now: int, always: bool = False) -> None:
        """A line for the drops since the last one, at most one in ten seconds."""
        at = self._drops_at
        lately = at is not None and 0 <= now - at < _DROPS_EVERY_MS
        if not self._drops or (lately and not always):
            return
        self._drops_at = now
        self.event(now, "dropped", by_reason(self._drops), reasons=dict(self._drops))
        self._drops.clear()


def by_reason(counts: Mapping[str, int]) -> str:
    """Counters in one line, the largest first."""
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{reason}: {count}" for reason, count in ordered)


def _text(address: bytes) -> str:
    return str(addresses.text(address))


class _Writer:
    """Lines to a descriptor, in a thread, in bounded memory. `lost`: lines that weren't taken."""

    def __init__(self, descriptor: int, lost_line: Callable[[int], str]) -> None:
        self._descriptor = descriptor
        self._lost_line = lost_line
        self._waiting: deque[bytes | int] = deque()  # octets, or where to write what follows
        self._octets = 0
        self._unsaid = 0
        self._torn = False  # a line was written in part
        self._changed = threading.Condition()
        self._ending = self._ended = False
        self.lost = 0
        self.last_error: str | None = None
        self._thread = threading.Thread(target=self._run, name="log", daemon=True)
        self._thread.start()

    def put(self, lines: list[str]) -> None:
        """Have lines written; doesn't wait."""
        octets = "".join(f"{line}\n" for line in lines).encode()
        with self._changed:
            if self._ended or self._octets + len(octets) > _WAITING_MAX:
                self._lose(len(lines))
                return
            self._waiting.append(octets)
            self._octets += len(octets)
            self._changed.notify()

    def go_on_in(self, descriptor: int) -> None:
        """Write what comes from now on to another one."""
        with self._changed:
            self._waiting.append(descriptor)
            self._changed.notify()

    def close(self) -> None:
        """Write what waits, within five seconds, and end."""
        with self._changed:
            self._ending = True
            self._changed.notify()
        self._thread.join(_CLOSE_S)

    def _lose(self, lines: int) -> None:
        self.lost += lines
        self._unsaid += lines

    def _run(self) -> None:
        while not self._ended:
            with self._changed:
                while not self._waiting and not self._ending:
                    self._changed.wait()
                taken: list[bytes] = []
                following: int | None = None
                while self._waiting and following is None:
                    first = self._waiting.popleft()
                    if isinstance(first, bytes):
                        taken.append(first)
                    else:
                        following = first
            if taken:
                self._write_all(b"".join(taken))
            elif following is None:  # that was all
                self._ended = True
            if following is not None:
                os.close(self._descriptor)
                self._descriptor, self._torn = following, False
        os.close(self._descriptor)

    def _write_all(self, octets: bytes) -> None:
        """Write them; what can't be written is lost, and counted."""
        before = len(octets)
        more = b"\n" if self._torn else b""
        with self._changed:
            unsaid, self._unsaid = self._unsaid, 0
            if unsaid:
                octets += f"{self._lost_line(unsaid)}\n".encode()
            octets = more + octets
            self._octets += len(octets) - before
        view = memoryview(octets)
        try:
            while view:
                written = os.write(self._descriptor, view[:_WRITE_OCTETS])
                view = view[written:]
                with self._changed:
                    self._octets -= written
            self._torn = False
        except OSError as error:
            self._torn = 0 < len(view) < len(octets) and octets[-len(view) - 1] != _NEWLINE
            self.last_error = error.strerror
            with self._changed:
                self._octets -= len(view)
                self._lose(bytes(view).count(b"\n") - bool(unsaid))
                self._unsaid += unsaid
                self._ended = error.errno == errno.EPIPE  # the reader went away
            if not self._ending:
                time.sleep(_AGAIN_S)
