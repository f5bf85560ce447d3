"""`roamkey networks`: the Wi-Fi networks that a board joins."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from roamkey.board.serial_client import SerialClient
from roamkey.cli.board_options import BoardOption, PortOption, port_of
from roamkey.cli.lazy import App
from roamkey.cli.options import JsonOption
from roamkey.enroll import keyfile
from roamkey.errors import BoardError

app = App("The Wi-Fi networks of a board.")

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
            help="The password: a file of mode 0600, - for stdin. Without: an open network.",
            metavar="FILE",
        ),
    ] = None,
    priority: Annotated[
        int, typer.Option(help="0 to 255, the best 0.", min=0, max=255, metavar="N")
    ] = 0,
    port: PortOption = None,
    board: BoardOption = None,
    as_json: JsonOption = False,
) -> None:
    """Enter a network, in place of one of the same name."""
    entry: dict[str, Any] = {"ssid": name, "priority": priority}
    if password_file is not None:
        entry["password"] = keyfile.read_wifi_password(password_file)
    _ask(port_of(port, board), {"set": entry}, as_json)


@app.command("remove")
def remove_network(
    name: Ssid, port: PortOption = None, board: BoardOption = None, as_json: JsonOption = False
) -> None:
    """Forget a network and its password."""
    _ask(port_of(port, board), {"remove": name}, as_json)


def _ask(port: str, params: dict[str, Any] | None, as_json: bool) -> None:
    with SerialClient(port) as client:
        client.identify()
        found = client.ask("networks", params).get("networks")
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        raise BoardError(f"{port}: the board's networks make no sense")
    if as_json:
        typer.echo(json.dumps(found))
        return
    for one in found:
        name = "".join(c if c.isprintable() else "?" for c in str(one.get("ssid")))
        kind = "open" if one.get("open") else "with a password"
        typer.echo(f"{one.get('priority'):>3}  {name}  ({kind})")
    if not found:
        typer.echo("no networks")
