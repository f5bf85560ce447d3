"""`roamkey doctor`: what a board lacks, and what to do about it."""

import json
from dataclasses import asdict

import typer
from rich.console import Console
from rich.table import Table

from roamkey.board import doctor as examiner
from roamkey.cli.board_options import BoardOption, PortOption, port_of
from roamkey.cli.options import JsonOption
from roamkey.cli.output import plain

_MARKS = {examiner.OK: "ok", examiner.LACKS: "LACKS", examiner.ADVICE: "advice"}


def doctor(
    port: PortOption = None, board: BoardOption = None, as_json: JsonOption = False
) -> None:
    """Ask a board what it lacks for the agent, and say what to do.

    A running agent stops for some seconds. Exit code 1 if something essential is lacking.
    """
    found = examiner.examine(port_of(port, board))
    if as_json:
        typer.echo(json.dumps({**asdict(found), "fit": found.fit}))
    else:
        _show(found)
    if not found.fit:
        raise typer.Exit(1)


def _show(found: examiner.Examination) -> None:
    typer.echo(plain(f"{found.board} on {found.port}: {found.machine or found.platform}"))
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=False)
    for _ in range(4):
        table.add_column(overflow="fold")
    for check in found.checks:
        todo = f"-> {check.todo}" if check.todo else ""
        table.add_row(_MARKS[check.verdict], check.name, plain(check.found), plain(todo))
    Console(highlight=False, markup=False).print(table)
    lacking = sum(check.verdict == examiner.LACKS for check in found.checks)
    typer.echo("fit for the agent" if not lacking else f"{lacking} essential thing(s) lacking")
