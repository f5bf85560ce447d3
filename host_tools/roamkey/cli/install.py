"""`roamkey install`: the agent onto a board, or the one before back."""

import json
import time
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from roamkey.board import installer, program
from roamkey.cli.board_options import BoardOption, PortOption, port_of
from roamkey.cli.options import JsonOption
from roamkey.cli.output import bar, row

_BOOT = {
    "removed": "removed: it held only what MicroPython's ESP32 port writes there",
    "kept": "left alone; a board is sealed without one only: have /app.py do what it does",
}
_FORMS = {
    "mpy": "bytecode",
    "py": "source (this MicroPython loads no bytecode of ours)",
    "frozen": "part of the firmware",
}


def install(
    port: PortOption = None,
    board: BoardOption = None,
    rollback: Annotated[
        bool, typer.Option("--rollback", help="Go back to the agent before the last update.")
    ] = False,
    replace_main: Annotated[
        bool, typer.Option("--replace-main", help="Also over a /main.py that isn't roamkey's.")
    ] = False,
    copy: Annotated[
        bool,
        typer.Option("--copy", help="Also where the firmware holds an agent of this version."),
    ] = False,
    app: Annotated[
        Path | None,
        typer.Option(
            "--app", metavar="FILE", help="Put this program on the board, too, as its /app.py."
        ),
    ] = None,
    remove: Annotated[
        bool, typer.Option("--remove", help="Go back to the firmware's agent; remove all copies.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Put the agent on a board, or update it, and start it.

    Only changed files are sent. The board checks their SHA-256 before it switches over in one
    write; an interrupted update leaves the old agent in place. Keys and settings stay. A copy in
    flash goes before an agent in the firmware; where that has this version, none is made.
    """
    if rollback and remove:
        raise typer.BadParameter("give either --rollback or --remove")
    if app is not None and (rollback or remove):
        raise typer.BadParameter("--app goes with an installation")
    source = None if app is None else program.read(app)
    where = port_of(port, board)
    started = time.monotonic()
    if rollback:
        done = installer.roll_back(where)
    elif remove:
        done = installer.remove(where)
    else:
        with bar("installing") as report:
            done = installer.install(
                where, replace_main=replace_main, copy=copy, app=source, progress=report
            )
    seconds = round(time.monotonic() - started, 1)
    if as_json:
        typer.echo(json.dumps({**asdict(done), "seconds": seconds}))
        return
    row("board", f"{done.board} on {done.port}")
    row("MicroPython", done.micropython)
    row("agent", f"{done.agent} in " + (f"slot {done.slot}" if done.slot else "the firmware"))
    if done.frozen and done.slot:
        row("firmware", f"holds agent {done.frozen}, which the copy in flash goes before")
    row("rollback", "possible" if done.previous else "no earlier agent to go back to")
    if not (rollback or remove):
        row("form", _FORMS[done.form])
        same = done.copied + done.kept
        row("files", f"{done.sent} sent ({done.octets} octets), {same} unchanged")
        if not done.restarted:
            row("restart", "none, nothing to do: the agent goes on")
    if app is not None:
        row("application", f"{app}, as /app.py")
    if done.boot in _BOOT:
        row("/boot.py", _BOOT[done.boot])
    row("took", f"{seconds} s")
