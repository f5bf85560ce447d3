"""`roamkey reach`: where a board's correspondents are now."""

import json
from typing import Annotated

import typer

from roamkey.cli.board_options import BoardOption, PortOption, port_of
from roamkey.cli.options import (
    JsonOption,
    Native,
    NoReachOption,
    ReachOption,
    RegistryOption,
    reach_texts,
)
from roamkey.cli.output import row
from roamkey.enroll import reach as reaching
from roamkey.enroll import site as sites
from roamkey.errors import RefusedError


def reach(
    port: PortOption = None,
    board: BoardOption = None,
    reach: ReachOption = None,
    no_reach: NoReachOption = False,
    native: Annotated[
        Native | None,
        typer.Option(
            "--native", help="Whether the board speaks native IPv6 too. Default: as it is."
        ),
    ] = None,
    registry: RegistryOption = None,
    as_json: JsonOption = False,
) -> None:
    """Tell a board where its correspondents are reached now; keys and numbers stay.

    Without --reach it is as the site says.
    """
    texts = reach_texts(reach, no_reach)
    site = None if texts is not None else sites.site_of(registry)

    def choose(correspondents: tuple[bytes, ...]) -> reaching.Reach:
        if no_reach:
            return dict.fromkeys(correspondents, ())
        found = sites.reach_of(site, correspondents, texts, "--reach")
        if not found and native is None:
            raise RefusedError(
                "the site doesn't say where this board's correspondents are: --reach says so"
            )
        return found

    where = port_of(port, board)
    told = reaching.change(where, choose, None if native is None else native is Native.on)
    if as_json:
        typer.echo(json.dumps(told.plain()))
        return
    row("board", told.board)
    for address, places, role in told.correspondents:
        row(role, address)
        row("reach", ", ".join(places) or "its address alone")
    row("native IPv6", "on" if told.native else "off: inside UDP alone")
