"""`roamkey app log` and `roamkey app run`: what a program on a board prints."""

import json
import time
from collections.abc import Iterator
from typing import Annotated, Any

import typer

from roamkey import notice
from roamkey.board import program
from roamkey.board.agent import await_agent
from roamkey.board.serial_client import SerialClient
from roamkey.build.lines import resolve
from roamkey.cli import durations
from roamkey.cli.application import FileArgument, own, tell
from roamkey.cli.board_options import BoardOption, PortOption, port_of
from roamkey.cli.options import JsonOption
from roamkey.cli.output import plain
from roamkey.errors import BoardError

_LOOK_S = 1.0
_BACK_S = 60.0  # for a board that went away to come back
_ENDS = ("the application ended", "the application interrupted")  # mip6.application says so


def log(
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on as it prints, until Ctrl-C.")
    ] = False,
    port: PortOption = None,
    board: BoardOption = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON; with --follow, an object a line.")
    ] = False,
) -> None:
    """Show what the program printed, and its last traceback.

    The board keeps the latest 2 kilobytes of it since its start, in RAM.
    """
    where = port_of(port, board)
    if follow:
        for line in _followed(where):
            _print(line, as_json)
        return
    with SerialClient(where) as client:
        client.identify()
        lost, octets = program.printed(client)
        told = program.ask(client)
    text = octets.decode(errors="replace")
    if as_json:
        told = {name: told[name] for name in ("application", "traceback")}
        typer.echo(json.dumps({**told, "printed": text, "lost": lost}))
        return
    if lost:
        typer.echo(f"... {lost} octets before that are no longer kept")
    for line in text.splitlines():
        _print(line, False)
    last = own(told["traceback"]).rstrip()
    tell(told["application"], "" if last and last in text else last)


def run(
    file: FileArgument,
    lasting: Annotated[
        float | None,
        typer.Option(
            "--for",
            metavar=durations.TIME,
            parser=durations.span(),
            help="End it after this time.",
        ),
    ] = None,
    port: PortOption = None,
    board: BoardOption = None,
    as_json: JsonOption = False,
) -> None:
    """Try a program without keeping it, and show what it prints, until Ctrl-C.

    The board starts again with it, and once more at the end, with the /app.py that it has. It runs
    as that would: what it raises has it called again after a pause.
    """
    source = program.read(file)
    where = port_of(port, board)
    with notice.waiting(f"starting {file} on the board at {where}"):
        done = program.trial(where, source)
    end = None if lasting is None else time.monotonic() + lasting
    try:
        for line in _followed(done.port, end):
            _print(line.replace('"app_try.py"', f'"{file}"'), as_json)
            if line in _ENDS:
                break
    except KeyboardInterrupt:
        pass
    finally:
        with notice.waiting(f"starting the board at {done.port} again"):
            program.restart(done.port)


def _followed(port: str, end: float | None = None) -> Iterator[str]:
    """Lines that a program prints, those that are still kept first; a board that goes away is
    waited for. `end`: by the monotonic clock."""
    board = ""
    while True:
        try:
            with SerialClient(port) as client:
                board = client.identify().board
                _, octets = program.printed(client)
                yield from octets.decode(errors="replace").splitlines()
                while end is None or time.monotonic() < end:
                    line = client.overhear(_LOOK_S)
                    if line is not None:
                        yield line
                return
        except BoardError:
            if not board:
                raise
            port, _ = await_agent(port, board, _BACK_S)


def _print(line: str, as_json: bool) -> None:
    told: dict[str, Any] = {"line": line}
    print(json.dumps(told) if as_json else plain(resolve(line)), flush=True)
