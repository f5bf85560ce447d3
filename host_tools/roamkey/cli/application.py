"""`roamkey app`: the program that runs beside a board's agent, /app.py."""

import json
import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from roamkey import notice, privatefiles
from roamkey.board import program
from roamkey.board.serial_client import SerialClient
from roamkey.build.lines import resolve
from roamkey.cli.board_options import BoardOption, PortOption, port_of
from roamkey.cli.lazy import lazy_app
from roamkey.cli.options import JsonOption
from roamkey.cli.output import plain, row
from roamkey.errors import RefusedError

app = lazy_app(
    {
        "put": (
            "roamkey.cli.application:put",
            "Have the board run a program from now on; it starts again for that.",
        ),
        "run": (
            "roamkey.cli.application_log:run",
            "Try a program without keeping it, and show what it prints, until Ctrl-C.",
        ),
        "log": (
            "roamkey.cli.application_log:log",
            "Show what the program printed, and its last traceback.",
        ),
        "status": ("roamkey.cli.application:status", "Say how it fares."),
        "start": ("roamkey.cli.application:start", "Start it, whatever kept it from that."),
        "stop": (
            "roamkey.cli.application:stop",
            "End it, and have no start of the board begin it.",
        ),
        "get": ("roamkey.cli.application:get", "Read the program back from the board."),
        "remove": (
            "roamkey.cli.application:remove",
            "Remove the program; the board starts again without one.",
        ),
    },
    help="The program beside a board's agent, /app.py.",
)


@app.callback()
def _app() -> None:
    """The program beside a board's agent, /app.py."""


FileArgument = Annotated[
    Path, typer.Argument(help="The program: `async def main(node)` (docs/APPLICATIONS.md).")
]


def put(
    file: FileArgument,
    port: PortOption = None,
    board: BoardOption = None,
    as_json: JsonOption = False,
) -> None:
    """Have the board run a program from now on; it starts again for that.

    MicroPython's compiler looks at it first, on this machine. After a power cut at any moment the
    board has the old program or the new one. Where it runs already nothing happens.
    """
    source = program.read(file)
    where = port_of(port, board)
    with notice.waiting(f"putting {file} on the board at {where}"):
        done = program.put(where, source)
    if as_json:
        typer.echo(json.dumps(asdict(done)))
        return
    row("board", f"{done.board} on {done.port}")
    does = "started again with it" if done.restarted else "it runs already: nothing done"
    row("/app.py", f"{done.octets} octets; {does}")
    tell(done.application, done.traceback)


def get(
    file: Annotated[
        Path | None, typer.Argument(help="Write it here. Default: standard output.")
    ] = None,
    port: PortOption = None,
    board: BoardOption = None,
) -> None:
    """Read the program back from the board, octet for octet. Nothing is interrupted."""
    where = port_of(port, board)
    with SerialClient(where) as client:
        client.identify()
        found = program.get(client)
    if found is None:
        raise RefusedError(f"{where}: no /app.py on the board")
    if file is not None:
        privatefiles.write(file, found, 0o644)
        row("/app.py", f"{len(found)} octets: {file}")
        return
    sys.stdout.flush()
    view = memoryview(found)
    while view:
        view = view[os.write(sys.stdout.fileno(), view) :]


def remove(
    port: PortOption = None, board: BoardOption = None, as_json: JsonOption = False
) -> None:
    """Remove the program; the board starts again without one. Keys and settings stay."""
    where = port_of(port, board)
    with notice.waiting(f"removing the program of the board at {where}"):
        there, where = program.remove(where)
    if as_json:
        typer.echo(json.dumps({"port": where, "removed": there}))
    else:
        row("/app.py", "removed; the board started again" if there else "none was there")


def status(
    port: PortOption = None, board: BoardOption = None, as_json: JsonOption = False
) -> None:
    """Say how it fares."""
    _ask(port_of(port, board), None, as_json)


def start(port: PortOption = None, board: BoardOption = None, as_json: JsonOption = False) -> None:
    """Start it, whatever kept it from that."""
    _ask(port_of(port, board), "start", as_json)


def stop(port: PortOption = None, board: BoardOption = None, as_json: JsonOption = False) -> None:
    """End it, and have no start of the board begin it."""
    _ask(port_of(port, board), "stop", as_json)


def tell(application: str, traceback: str) -> None:
    """Print how a program fares."""
    row("application", application)
    for line in resolve(own(traceback)).splitlines():
        typer.echo(f"  {plain(line)}")


def own(traceback: str) -> str:
    """A traceback without the agent's own steps to the program: as mip6.application prints it."""
    before, _, steps = traceback.partition("in _main\n")
    return f"Traceback (most recent call last):\n{steps}" if steps else before


def _ask(port: str, wanted: str | None, as_json: bool) -> None:
    params: dict[str, Any] = {} if wanted is None else {"set": wanted}
    with SerialClient(port) as client:
        client.identify()
        found = program.ask(client, **params)["application"]
    if as_json:
        typer.echo(json.dumps({"application": found}))
    else:
        row("application", found)
