"""`roamkey networks`: the Wi-Fi networks that a board joins."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from roamkey.board.serial_client import SerialClient
from roamkey.cli.board_options import BoardOption, PortOption, port_of
from roamkey.cli.options import JsonOption
from roamkey.cli.wifi_options import networks_of
from roamkey.enroll import wifi
from roamkey.errors import BoardError

app = typer.Typer(help="The Wi-Fi networks of a board.", no_args_is_help=True)

Ssid = Annotated[str, typer.Argument(metavar="NAME", help="The network's name (SSID).")]


@app.command("list")
def list_networks(
    port: PortOption = None, board: BoardOption = None, as_json: JsonOption = False
) -> None:
    """Show them, the best first, without their passwords."""
    _ask(port_of(port, board), None, as_json)


@app.command("set")
def set_network(
    name: Ssid,
    password_file: Annotated[
        Path | None,
        typer.Option(
            help="The password: a file of mode 0600, - for stdin. Without, a terminal is asked.",
            metavar="FILE",
        ),
    ] = None,
    open_: Annotated[bool, typer.Option("--open", help="It has no password.")] = False,
    priority: Annotated[
        int, typer.Option(help="0 to 255, the best 0.", min=0, max=255, metavar="N")
    ] = 0,
    port: PortOption = None,
    board: BoardOption = None,
    as_json: JsonOption = False,
) -> None:
    """Enter a network, in place of one of the same name."""
    if open_ and password_file is not None:
        raise typer.BadParameter("give either --password-file or --open")
    files = None if password_file is None else [password_file]
    networks = networks_of([name], files, open_, priority)
    with SerialClient(port_of(port, board)) as client:
        client.identify()
        wifi.enter(client, networks)
        _show(client, as_json)


@app.command("remove")
def remove_network(
    name: Ssid, port: PortOption = None, board: BoardOption = None, as_json: JsonOption = False
) -> None:
    """Forget a network and its password."""
    _ask(port_of(port, board), {"remove": name}, as_json)


def _ask(port: str, params: dict[str, Any] | None, as_json: bool) -> None:
    with SerialClient(port) as client:
        client.identify()
        _show(client, as_json, params)


def _show(client: SerialClient, as_json: bool, params: dict[str, Any] | None = None) -> None:
    found = client.ask("networks", params).get("networks")
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        raise BoardError(f"{client.port}: the board's networks make no sense")
    if as_json:
        typer.echo(json.dumps(found))
        return
    for one in found:
        name = "".join(c if c.isprintable() else "?" for c in str(one.get("ssid")))
        kind = "open" if one.get("open") else "with a password"
        typer.echo(f"{one.get('priority'):>3}  {name}  ({kind})")
    if not found:
        typer.echo("no networks")
