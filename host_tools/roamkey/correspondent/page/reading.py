"""What the page reads of the file of events beyond what others do."""

import zlib
from collections import OrderedDict
from typing import Any

from roamkey.correspondent.events import kinds
from roamkey.correspondent.events.file import Reader

LOW_USES = 6554  # of 65536: a tenth is left
TROUBLE_MS = 600_000  # a refusal or drop is told of for so long
_LATE_MAX = 50_000  # events that are gone through for troubles, at most
_TROUBLED_MAX = 1_000  # nodes that have one, at most

# The order in which nodes are in need of somebody, as far as SQLite sees it: page.js has it all.
_RANK = f"""CASE
  WHEN state IN ('expired', 'unbound') OR (state = 'bound' AND expires_ms < ?) THEN 0
  WHEN later_keys = 0 AND sequence >= {65535 - LOW_USES} THEN 1
  WHEN state = 'never' THEN 2 ELSE 3 END"""


class PageReader(Reader):
    """A reader that knows which nodes come first."""

    def in_need(self, limit: int, find: str, now_ms: int) -> list[dict[str, Any]]:
        """Nodes, those first that somebody should look at; with `find` as for `nodes`."""
        return self.nodes(limit, find, order=(_RANK, now_ms))

    def correspondents(self) -> dict[str, int | None]:
        """Those that nodes belong to: when the latest of their nodes was seen (ms since 1970)."""
        rows = self._rows(
            "SELECT correspondent, max(seen_ms) AS seen_ms FROM nodes GROUP BY correspondent"
        )
        return {row["correspondent"]: row.get("seen_ms") for row in rows}

    def fingerprint(self) -> int:
        """Another number where nodes came, went, or are called otherwise, or got keys."""
        sum_ = 0
        for row in self._c.execute(
            "SELECT home_address, correspondent, board, later_keys FROM nodes"
        ):
            sum_ = zlib.crc32(repr(row).encode(), sum_)
        return sum_

    def complaints(self, after: int, up_to: int) -> list[dict[str, Any]]:
        """Refusals and drops among the events after one up to another that name a node."""
        return self._rows(
            "SELECT at_ms, kind, home_address, reason, count FROM events WHERE id > ? AND id <= ? "
            "AND kind IN (?, ?) AND home_address IS NOT NULL ORDER BY id",
            *(after, up_to, kinds.REFUSED, kinds.DROPPED),
        )


class Troubles:
    """The latest refusal or drop of each node: of the last ten minutes, and of a thousand nodes at
    most, as anybody can cause drops under any address."""

    def __init__(self, reader: PageReader) -> None:
        self._reader = reader
        self._last = 0
        self._of: OrderedDict[str, dict[str, Any]] = OrderedDict()

    def catch_up(self, last: int) -> None:
        """Know of the events up to this one."""
        for event in self._reader.complaints(max(self._last, last - _LATE_MAX), last):
            home = event.pop("home_address")
            self._of.pop(home, None)
            self._of[home] = event
            if len(self._of) > _TROUBLED_MAX:
                self._of.popitem(last=False)
        self._last = max(self._last, last)

    def of(self, home_address: str, now_ms: int) -> dict[str, Any] | None:
        """A node's: `at_ms`, `kind`, `reason` and `count`; None where there is none."""
        found = self._of.get(home_address)
        return found if found and now_ms - found["at_ms"] < TROUBLE_MS else None
