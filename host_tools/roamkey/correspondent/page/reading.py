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
        data = "max(data_ms)" if self._has_names else "NULL"
        rows = self._rows(
            f"SELECT correspondent, max(seen_ms) AS seen_ms, {data} AS data_ms FROM nodes "
            "GROUP BY correspondent"
        )
        return {
            row["correspondent"]: max(
                filter(None, map(row.get, ("seen_ms", "data_ms"))), default=None
            )
            for row in rows
        }

    def fingerprint(self) -> int:
        """Another number where nodes came or went, are called otherwise, or got keys."""
        fields = "home_address, correspondent, board, later_keys"
        fields += ", name" if self._has_names else ""
        number = 0
        for row in self._c.execute(f"SELECT {fields} FROM nodes"):
            number = zlib.crc32(repr(row).encode(), number)
        return number

    def heard(self, limit: int) -> dict[tuple[str, str], int]:
        """When data last flowed with nodes, the latest of them: (correspondent, home address) ->
        ms since 1970."""
        if not self._has_names:
            return {}
        rows = self._rows(
            "SELECT correspondent, home_address, data_ms FROM nodes WHERE data_ms IS NOT NULL "
            "ORDER BY data_ms DESC LIMIT ?",
            limit,
        )
        return {(row["correspondent"], row["home_address"]): row["data_ms"] for row in rows}

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
