"""The bindings as the registry has them, for people and machines to look at."""

from collections.abc import Iterable
from datetime import datetime, timezone
from typing import Any

from rich.console import Console
from rich.table import Table

from mip6 import addresses
from roamkey.registry import Registry

_USES = 65536  # of a key: its sequence numbers, 0 to 65535, never start again


def current(registry: Registry, now: int) -> list[dict[str, Any]]:
    """The bindings that hold at `now` (ms since 1970), with the fields that `--json` prints."""
    return [
        {
            "home_address": addresses.text(row.home_address),
            "care_of_address": addresses.text(row.care_of_address),
            "correspondent": addresses.text(row.correspondent),
            "board": row.board_id,
            "sequence": row.last_sequence,
            "generation": row.generation,
            "uses_left": _USES - 1 - row.last_sequence,
            "lifetime_left_s": (row.expires_ms - now) // 1000,
            "last_seen": _stamp(row.registered_ms),
        }
        for row in registry.current_bindings(now)
    ]


def table(found: Iterable[dict[str, Any]], now: int) -> Table:
    """The same as a table; `now` as for `current`."""
    shown = Table(box=None, pad_edge=False)
    for heading in ("home address", "care-of address", "correspondent"):
        shown.add_column(heading, no_wrap=True)
    for heading in ("sequence", "key", "uses left", "lifetime left", "last seen"):
        shown.add_column(heading, justify="right", no_wrap=True)
    for one in found:
        seen = datetime.fromisoformat(one["last_seen"].replace("Z", "+00:00")).timestamp()
        shown.add_row(
            one["home_address"],
            one["care_of_address"],
            one["correspondent"],
            str(one["sequence"]),
            str(one["generation"]),
            str(one["uses_left"]),
            f"{one['lifetime_left_s']} s",
            f"{max(0, now // 1000 - int(seen))} s ago",
        )
    return shown


def print_whole(shown: Table) -> None:
    """Print a table without cutting anything: half an address is none."""
    console = Console()
    needed = console.measure(shown, options=console.options.update(max_width=1000)).maximum
    console.width = max(console.width, needed)
    console.print(shown)


def print_wrapped(shown: Table) -> None:
    """Print a table that may break its texts; to a file or pipe in lines of 120 columns."""
    console = Console()
    if not console.is_terminal:
        console.width = 120
    console.print(shown)


def _stamp(ms: int) -> str:
    return f"{datetime.fromtimestamp(ms / 1000, timezone.utc):%Y-%m-%dT%H:%M:%SZ}"
