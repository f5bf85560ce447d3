"""What people and machines see of a correspondent: bindings, drops, and how its daemon does."""

from collections.abc import Iterable
from datetime import datetime, timedelta, timezone
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from mip6 import addresses
from roamkey.correspondent.core import endpoints, entries, reasons
from roamkey.correspondent.events import kinds
from roamkey.registry import Registry
from roamkey.registry.records import CORRESPONDENT

_USES = 65536  # of a key: its sequence numbers, 0 to 65535, never start again


def current(registry: Registry, now: int, role: str = CORRESPONDENT) -> list[dict[str, Any]]:
    """The bindings with those of a role that hold at `now` (ms since 1970), with the fields that
    `--json` prints."""
    whose = {"registry": registry.name, "registry_user": registry.user}
    return [
        {
            "home_address": addresses.text(row.home_address),
            "name": row.name,
            "care_of_address": addresses.text(row.care_of_address),
            "way": endpoints.way(row.endpoint),
            "endpoint": endpoints.text(row.endpoint) or None,
            _name(role): addresses.text(row.correspondent),
            "board": row.board_id,
            "authorized_by": entries.STATIC_KEY,
            "sequence": row.last_sequence,
            "generation": row.generation,
            "uses_left": _USES - 1 - row.last_sequence,
            "lifetime_left_s": (row.expires_ms - now) // 1000,
            "last_seen": _stamp(row.registered_ms),
            **whose,
        }
        for row in registry.current_bindings(now)
        if row.role == role
    ]


def _name(role: str) -> str:
    """What the address of one of this role is called."""
    return role.replace(" ", "_")


def of_strangers(facts: dict[str, Any], now: int) -> list[dict[str, Any]]:
    """Likewise those by return routability, which a daemon alone knows of; `facts`: its status."""
    return [
        {
            "home_address": one["home_address"],
            "name": None,
            "care_of_address": one["care_of_address"],
            "way": endpoints.NATIVE,
            "endpoint": None,
            "correspondent": facts["address"],
            "board": None,
            "authorized_by": entries.RETURN_ROUTABILITY,
            "sequence": one["sequence"],
            "generation": None,
            "uses_left": None,
            "lifetime_left_s": (one["expires_ms"] - now) // 1000,
            "last_seen": _stamp(one["registered_ms"]),
            "registry": None,
            "registry_user": None,
        }
        for one in facts.get("return_routability", {}).get("bindings", ())
        if one["expires_ms"] > now
    ]


def whose(registry: Registry) -> str:
    """Which registry something was read from, and whose it is."""
    return f"{registry.name}, of {registry.user}" if registry.user else registry.name


def bindings_table(found: list[dict[str, Any]], now: int, role: str = CORRESPONDENT) -> Table:
    """The same as a table; `now` and `role` as for `current`."""
    shown = Table(box=None, pad_edge=False)
    named = any(one["name"] for one in found)
    if named:
        shown.add_column("name", no_wrap=True)
    for heading in ("home address", "care-of address", "way", role):
        shown.add_column(heading, no_wrap=True)
    for heading in ("sequence", "authorized by", "uses left", "lifetime left", "last seen"):
        shown.add_column(heading, justify="right", no_wrap=True)
    for one in found:
        seen = datetime.fromisoformat(one["last_seen"].replace("Z", "+00:00")).timestamp()
        shown.add_row(
            *([one["name"] or ""] if named else []),
            one["home_address"],
            one["care_of_address"],
            " ".join(filter(None, (one["way"], one["endpoint"]))),
            one[_name(role)],
            str(one["sequence"]),
            kinds.key(one["generation"]),
            "" if one["uses_left"] is None else str(one["uses_left"]),
            f"{one['lifetime_left_s']} s",
            f"{max(0, now // 1000 - int(seen))} s ago",
        )
    return shown


def drops(facts: dict[str, Any]) -> list[dict[str, Any]]:
    """What was dropped and refused, the most frequent first, with the fields of `--json`."""
    rows = [
        {
            _name(facts["role"]): facts["address"],
            "outcome": outcome,
            "reason": reason,
            "count": count,
            "advice": reasons.advice(outcome, reason),
        }
        for outcome, counts in (
            ("dropped", facts["dropped"]),
            ("refused", facts["refused"]),
            ("data plane", _data_plane(facts)),
        )
        for reason, count in counts.items()
    ]
    return sorted(rows, key=lambda row: (-row["count"], row["outcome"], row["reason"]))


def drops_table(rows: Iterable[dict[str, Any]]) -> Table:
    """The same as a table, one advice under the other."""
    shown = Table(box=None, pad_edge=False)
    shown.add_column("count", justify="right", no_wrap=True)
    shown.add_column("outcome", no_wrap=True)
    shown.add_column("reason", min_width=14)
    shown.add_column("what to do", min_width=30)
    for row in rows:
        cells = (row["count"], row["outcome"], row["reason"], row["advice"])
        shown.add_row(*(Text(str(cell)) for cell in cells))
    return shown


def status_table(facts: dict[str, Any]) -> Table:
    """One daemon, a line a fact."""
    packets = facts["packets"]
    counted = ", ".join(f"{count} {outcome}" for outcome, count in packets.items())
    lines = {
        facts["role"]: facts["address"],
        "version": f"{facts['version']}, process {facts['pid']}",
        "up for": str(timedelta(seconds=facts["uptime_s"])),
        "nodes": f"{facts['nodes']} with a key, {facts['bindings']} bound",
        "packets": counted,
        "refusals withheld": f"{facts['withheld']} (rate limit)",
        "refresh requests": str(facts["refresh_requests"]),
        "send errors": str(facts["send_errors"]),
        "time for a burst": _burst(facts),
        "troubles": _troubles(facts),
        "metrics": f"http://{facts['metrics']}/metrics" if facts["metrics"] else "not served",
    }
    if facts["nothing_arrived"]:
        lines["packets"] = (
            "nothing ever arrived: see what the firewall lets in (protocol 135, extension "
            "headers, UDP port 4191: docs/OPERATING.md)"
        )
    for name, part in facts.items():
        if isinstance(part, dict) and name not in ("packets", "dropped", "refused", "tested"):
            lines.update(_part(name.replace("_", " "), part))
    shown = Table(box=None, pad_edge=False, show_header=False)
    shown.add_column(no_wrap=True)
    shown.add_column(overflow="fold")
    for name, text in lines.items():
        shown.add_row(Text(name), Text(text))
    return shown


def _part(name: str, facts: dict[str, Any]) -> dict[str, str]:
    """A part's lines: its own facts, then those it groups, a line a group."""
    plain = {
        key: value
        for key, value in facts.items()
        if value is not None and not isinstance(value, dict | list)
    }
    lines = {name: ", ".join(f"{key.replace('_', ' ')} {value}" for key, value in plain.items())}
    for key, value in facts.items():
        if isinstance(value, dict):
            lines[f"  {key}"] = ", ".join(f"{count} {what}" for what, count in value.items())
    return lines


def _data_plane(facts: dict[str, Any]) -> dict[str, int]:
    counts = facts.get("data_plane", {}).get("packets", {})
    return {
        reason: count
        for reason, count in counts.items()
        if count and reason not in reasons.PASSED_ON
    }


def _burst(facts: dict[str, Any]) -> str:
    if not facts["bursts"]:
        return "none yet"
    mean = 1000 * facts["burst_seconds"] / facts["bursts"]
    return f"{mean:.1f} ms on average, {facts['bursts']} bursts"


def _troubles(facts: dict[str, Any]) -> str:
    last = facts["last_trouble"]
    return f"{facts['troubles']}, the last: {last}" if last else "none"


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
