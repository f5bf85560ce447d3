"""`roamkey nodes`: all nodes of a registry, the quiet ones first."""

import json
import time
from typing import Annotated

import typer

from roamkey.cli import durations
from roamkey.cli.options import JsonOption, RegistryOption, node_address
from roamkey.fleet import overview
from roamkey.registry import Registry


def nodes(
    node: Annotated[
        str | None,
        typer.Argument(metavar="[NODE]", help="This one alone: its home address, or its name."),
    ] = None,
    quiet_for: Annotated[
        float | None,
        typer.Option(
            metavar=durations.TIME,
            parser=durations.span(),
            help="Those that nothing was heard of for so long, as 1h or 2d, or ever.",
        ),
    ] = None,
    key_below: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="Those whose keys have fewer uses left."),
    ] = None,
    key_ends_within: Annotated[
        float | None,
        typer.Option(
            metavar=durations.TIME,
            parser=durations.span(most=100 * 366 * 86_400),
            help="Those whose keys end within this time, as 30d, at the rate of the last day.",
        ),
    ] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="The first so many of them.")
    ] = None,
    registry: RegistryOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show all nodes, the quiet ones first: when each was last seen, and when its keys end.

    Seen: an update was accepted, or data came from where the node is (noted within half a minute;
    updates are signed, data aren't). With several conditions, those are shown that meet any.
    """
    now = time.time_ns() // 1_000_000
    with Registry.open(registry, create=False, to_encrypt=True) as opened:
        home = None if node is None else node_address(opened, node, "NODE")
        found = opened.nodes_in_use()
        where = {"registry": opened.name, "registry_user": opened.user}
    told = overview.rows((one for one in found if home is None or one.home_address == home), now)
    whole = len(told)
    if quiet_for is not None or key_below is not None or key_ends_within is not None:
        told = [
            row
            for row in told
            if (quiet_for is not None and overview.is_quiet(row, quiet_for))
            or overview.ends_soon(row, key_below, key_ends_within)
        ]
    told = told[:limit]
    if as_json:
        typer.echo(json.dumps([{**row, **where} for row in told], indent=2))
        return
    if told:
        typer.echo("\n".join(overview.lines(told)))
    of = f" (of {whole})" if len(told) != whole else ""
    user = f", of {where['registry_user']}" if where["registry_user"] else ""
    typer.echo(f"{overview.summary(told)}{of}; registry {where['registry']}{user}")
