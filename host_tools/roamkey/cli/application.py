"""`roamkey app`: the program that runs beside a board's agent, /app.py."""

import json

import typer

from roamkey.board.serial_client import SerialClient
from roamkey.cli.board_options import BoardOption, PortOption, port_of
from roamkey.cli.lazy import App
from roamkey.cli.options import JsonOption
from roamkey.cli.output import row
from roamkey.errors import BoardError

app = App("The program beside a board's agent, /app.py.")


@app.command()
def status(
    port: PortOption = None, board: BoardOption = None, as_json: JsonOption = False
) -> None:
    """Say how it fares."""
    _ask(port_of(port, board), None, as_json)


@app.command()
def start(port: PortOption = None, board: BoardOption = None, as_json: JsonOption = False) -> None:
    """Start it, whatever kept it from that."""
    _ask(port_of(port, board), "start", as_json)


@app.command()
def stop(port: PortOption = None, board: BoardOption = None, as_json: JsonOption = False) -> None:
    """End it, and have no start of the board begin it."""
    _ask(port_of(port, board), "stop", as_json)


def _ask(port: str, wanted: str | None, as_json: bool) -> None:
    with SerialClient(port) as client:
        client.identify()
        found = client.ask("app", None if wanted is None else {"set": wanted}).get("application")
    if not isinstance(found, str):
        raise BoardError(f"{port}: the board's answer makes no sense")
    if as_json:
        typer.echo(json.dumps({"application": found}))
    else:
        row("application", found)
