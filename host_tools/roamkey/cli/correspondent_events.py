"""`roamkey correspondent events`: what happened, as the daemons of this host recorded it."""

import json
import time
from contextlib import closing
from datetime import datetime
from ipaddress import AddressValueError, IPv6Address
from typing import Annotated, Any

import typer

from roamkey.cli import durations, known
from roamkey.cli.options import EventsOption, RegistryOption
from roamkey.correspondent.events import kinds
from roamkey.correspondent.events.file import Reader, place
from roamkey.errors import BadInputError

_LOOK_EVERY_S = 0.1
_AT_ONCE = 1000
_ROWS_MAX = 1_000_000  # a daemon keeps no more


def events(
    node: Annotated[
        str | None,
        typer.Option(
            metavar="NODE", help="A home address, a node's name, or a board's id. Default: all."
        ),
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(metavar="WHEN", help="Not before: a time, or how long ago, as 10m."),
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=_ROWS_MAX, help="The latest so many.")] = 1000,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on as they happen, until Ctrl-C.")
    ] = False,
    as_json: Annotated[
        bool,
        typer.Option("--json", help="Print JSON: a list; with --follow, an object a line."),
    ] = False,
    registry: RegistryOption = None,
    file: EventsOption = None,
) -> None:
    """Show what happened: bindings made, moved, removed and expired, refusals, drops, data gaps.

    Of the daemons on this host; kept for a week unless they were told otherwise.
    """
    since_ms = durations.instant(since) if since else 0
    with closing(Reader(file or place(registry))) as reader:
        last = reader.last_id()
        homes = homes_of(reader, node, registry) if node else None
        found = reader.latest(limit, since_ms, homes)
        if as_json and not follow:
            typer.echo(json.dumps([_plain(one) for one in found], indent=2))
            return
        if not found and not follow:
            typer.echo("no events")
        _print(found, as_json)
        while follow:
            time.sleep(_LOOK_EVERY_S)
            for one in reader.after(last, _AT_ONCE):
                last = one["id"]
                if homes is None or one.get("home_address") in homes:
                    _print([one], as_json)


def homes_of(reader: Reader, node: str, registry: str | None) -> list[str]:
    """The home addresses of a node by its address, name or board's id; raises BadInputError. By a
    name that it was just given the registry alone knows it."""
    try:
        return [str(IPv6Address(node.partition("%")[0]))]
    except AddressValueError:
        found = reader.homes(node) if node.isprintable() else []
    new = None if found else known.home_of(node, registry)
    if new is not None:
        return [new]
    if not found:
        raise BadInputError(f"no node {node}: neither an address nor a known name or board")
    return found


def _plain(event: dict[str, Any]) -> dict[str, Any]:
    return {"time": kinds.stamp(event["at_ms"]), **event}


def _print(found: list[dict[str, Any]], as_json: bool) -> None:
    for one in found:
        if as_json:
            print(json.dumps(_plain(one)), flush=True)
            continue
        at = datetime.fromtimestamp(one["at_ms"] / 1000).astimezone()
        who = one.get("home_address", one["correspondent"])
        if "name" in one:
            who += f" ({one['name']})"
        print(f"{at:%Y-%m-%d %H:%M:%S.%f}"[:-3], one["kind"], who, kinds.text(one), flush=True)
