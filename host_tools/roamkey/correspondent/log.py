"""A line for each event, for people or as JSON; never a secret, never a flood of drops."""

import json
import os
import socket
import sys
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime, timezone
from pathlib import Path
from typing import TextIO

from roamkey.correspondent.core import entries
from roamkey.correspondent.core.entries import Verdict
from roamkey.errors import SystemRefusedError
from roamkey.registry.records import Binding

FORMATS = ("human", "json", "none")
_DROPS_EVERY_MS = 10_000


class Log:
    """Writes events. `form`: one of `FORMATS`. A reader that went away ends the log, not the
    daemon."""

    def __init__(self, form: str, path: Path | None = None) -> None:
        """Append to the file at `path`, or write to stdout. Raises SystemRefusedError."""
        self._json = form == "json"
        self._path = path if form != "none" else None
        self._out: TextIO | None = None if form == "none" else sys.stdout
        self.reopen()
        self._drops: Counter[str] = Counter()
        self._drops_at: int | None = None
        self._stamped = -1  # the packets of a burst share their time
        self._stamp = ""

    def reopen(self) -> None:
        """Go on in a new file of the same name, after the old one was moved away (logrotate).

        Raises SystemRefusedError; then the log goes on as before.
        """
        if self._path is None:
            return
        try:
            opened = self._path.open("a", encoding="utf-8")
        except OSError as error:
            raise SystemRefusedError(f"log {self._path}: {error.strerror}") from None
        if self._out not in (None, sys.stdout):
            self.close()
        self._out = opened

    def close(self) -> None:
        """Close the file, if there is one."""
        if self._out is not None and self._out is not sys.stdout:
            with suppress(OSError):
                self._out.close()
            self._out = None

    def event(self, now: int, name: str, text: str, **fields: object) -> None:
        """Write an event: `text` for people, `fields` for machines. `now`: ms since 1970."""
        if self._out is None:
            return
        if now != self._stamped:
            self._stamped, self._stamp = now, self._stamp_of(now)
        if self._json:
            line = json.dumps({"time": self._stamp, "event": name, **fields})
        else:
            line = f"{self._stamp} {name} {text}"
        try:
            self._out.write(line + "\n")
        except OSError:
            self._end()

    def _stamp_of(self, now: int) -> str:
        time = datetime.fromtimestamp(now / 1000, timezone.utc)
        if self._json:
            return time.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        return f"{time.astimezone():%H:%M:%S}"

    def flush(self) -> None:
        """Let the reader see what was written."""
        try:
            if self._out is not None:
                self._out.flush()
        except OSError:
            self._end()

    def _end(self) -> None:
        if self._out is not None and self._out is sys.stdout:
            # so that the interpreter's own last flush goes somewhere
            os.dup2(os.open(os.devnull, os.O_WRONLY), self._out.fileno())
        self._out = None

    def verdict(self, now: int, verdict: Verdict) -> None:
        """A line for a binding made, removed or refused. Drops are only counted here, and so are
        refusals that the limiter withheld."""
        if verdict.outcome == entries.DROPPED:
            self._drops[verdict.reason] += 1
        elif verdict.outcome == entries.REFUSED and verdict.reply is None:
            self._drops[f"unanswered: {verdict.reason}"] += 1
        elif verdict.outcome != entries.DATA and self._out is not None:
            home, care_of = _text(verdict.home_address), _text(verdict.care_of_address)
            text = f"{home} at {care_of}, sequence {verdict.sequence}, key {verdict.generation}"
            fields = {
                "home_address": home,
                "care_of_address": care_of,
                "sequence": verdict.sequence,
                "generation": verdict.generation,
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

    def expired(self, now: int, home_address: bytes, binding: Binding) -> None:
        """A line for a binding whose time is over."""
        home, care_of = _text(home_address), _text(binding.care_of_address)
        fields = {"home_address": home, "care_of_address": care_of}
        self.event(now, "expired", f"{home} at {care_of}", **fields)

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
    return socket.inet_ntop(socket.AF_INET6, address)
