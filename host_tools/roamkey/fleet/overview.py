"""All nodes of a registry, the quiet ones first: when each was last heard of, how long its keys
last. No I/O; instants are milliseconds since 1970."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timezone
from itertools import groupby
from typing import Any

from mip6 import addresses
from roamkey.registry.records import NodeUse

#: What a node is: bound now; heard of, and not bound any more; never heard of; and one that the
#: registry knows no key for, so that it can't know of its bindings.
STATES = BOUND, QUIET, NEVER, KEYLESS = ("bound", "quiet", "never seen", "keyless")

Row = dict[str, Any]

_UNITS = (("y", 365 * 86_400), ("d", 86_400), ("h", 3600), ("min", 60), ("s", 1))
_CENTURY_S = 100 * 365 * 86_400
_HEADINGS = ("name", "home address", "board", "last seen", "where", "keys end in")


def rows(found: Iterable[NodeUse], now: int) -> list[Row]:
    """The nodes with the fields that `--json` prints: those never heard of, the quietest, and so
    on; those without a key last. `found` in the order of home addresses."""
    told = [
        _row(list(peers), now) for _, peers in groupby(found, key=lambda one: one.home_address)
    ]
    return sorted(told, key=_order)


def is_quiet(row: Row, seconds: float) -> bool:
    """Whether nothing was heard of a node for so long, or ever."""
    silent = row["quiet_for_s"]
    return row["state"] == NEVER or (silent is not None and silent >= seconds)


def ends_soon(row: Row, uses: int | None, seconds: float | None) -> bool:
    """Whether a node's keys have fewer uses left, or end within so many seconds."""
    left, ends_s = row["uses_left"], row["ends_in_s"]
    few = uses is not None and left is not None and left < uses
    return few or (seconds is not None and ends_s is not None and ends_s < seconds)


def lines(told: Sequence[Row]) -> list[str]:
    """The same as a table, a heading first."""
    cells = [_HEADINGS, *(_cells(row) for row in told)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    shown = [at for at, heading in enumerate(_HEADINGS) if widths[at] > len(heading) or at]
    return ["  ".join(row[at].ljust(widths[at]) for at in shown).rstrip() for row in cells]


def summary(told: Sequence[Row]) -> str:
    """How many of each state there are."""
    counts = {state: sum(row["state"] == state for row in told) for state in STATES}
    parts = [f"{count} {state}" for state, count in counts.items() if count]
    return ": ".join(filter(None, (f"{len(told)} node{'s'[len(told) == 1 :]}", ", ".join(parts))))


def span(seconds: int) -> str:
    """A time as people say it, to two units: "2 d 3 h"."""
    if seconds >= _CENTURY_S:
        return "> 100 y"
    parts: list[str] = []
    for unit, size in _UNITS:
        count, seconds = divmod(seconds, size)
        if count or parts:
            parts.append(f"{count} {unit}" if count else "")
    return " ".join(filter(None, parts[:2])) or "0 s"


def _row(peers: list[NodeUse], now: int) -> Row:
    node = peers[0]
    keyed = [one for one in peers if one.peer is not None]
    last_ms = _latest(one.last_ms for one in keyed)
    ends = [one.ends_s for one in keyed if one.ends_s is not None]
    state = QUIET if last_ms is not None else NEVER if keyed else KEYLESS
    if any(_is_bound(one, now) for one in keyed):
        state = BOUND
    return {
        "home_address": addresses.text(node.home_address),
        "name": node.name,
        "board": node.board_id,
        "state": state,
        "refused": bool(node.refused),
        "last_seen": _stamp(last_ms),
        "last_update": _stamp(_latest(one.update_ms for one in keyed)),
        "last_data": _stamp(_latest(one.data_ms for one in keyed)),
        "quiet_for_s": None if last_ms is None else max(0, now - last_ms) // 1000,
        "uses_left": min((int(one.uses_left or 0) for one in keyed), default=None),
        "ends_in_s": min(ends, default=None),
        "peers": [
            {
                "address": addresses.text(one.peer or b""),
                "role": one.role,
                "care_of_address": _where(one, now),
                "generation": one.generation,
                "live_keys": one.live_keys,
                "uses_left": one.uses_left,
                "ends_in_s": one.ends_s,
                "last_seen": _stamp(one.last_ms),
            }
            for one in keyed
        ],
    }


def _cells(row: Row) -> tuple[str, ...]:
    where = {peer["care_of_address"]: None for peer in row["peers"] if peer["care_of_address"]}
    return (
        row["name"] or "",
        row["home_address"],
        _printable(row["board"] or ""),
        _seen(row) + (", refused" if row["refused"] else ""),
        ", ".join(where),
        _keys(row),
    )


def _seen(row: Row) -> str:
    if row["state"] == KEYLESS:
        return "not known: no key"
    if row["quiet_for_s"] is None:
        return NEVER
    silent = span(row["quiet_for_s"])
    return f"{silent} ago" if row["state"] == BOUND else f"quiet for {silent}"


def _keys(row: Row) -> str:
    left = row["uses_left"]
    if left is None:
        return ""
    uses = f"{left} use{'s'[left == 1 :]} left"
    return uses if row["ends_in_s"] is None else f"{span(row['ends_in_s'])}, {uses}"


def _order(row: Row) -> tuple[int, int, str]:
    silent = row["quiet_for_s"]
    rank = {NEVER: 0, KEYLESS: 2}.get(row["state"], 1)
    return rank, -(silent or 0), row["home_address"]


def _where(one: NodeUse, now: int) -> str | None:
    if one.care_of_address is None or not _is_bound(one, now):
        return None
    return str(addresses.text(one.care_of_address))


def _is_bound(one: NodeUse, now: int) -> bool:
    return one.expires_ms is not None and one.expires_ms > now


def _latest(instants: Iterable[int | None]) -> int | None:
    return max((one for one in instants if one is not None), default=None)


def _stamp(ms: int | None) -> str | None:
    if ms is None:
        return None
    return f"{datetime.fromtimestamp(ms / 1000, timezone.utc):%Y-%m-%dT%H:%M:%SZ}"


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else "?" for c in text)
