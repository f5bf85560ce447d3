"""`roamkey doctor`: what a board lacks, or what its network does, and what to do about it."""

import json
from collections.abc import Callable
from dataclasses import asdict
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from roamkey.board import doctor as examiner
from roamkey.board import path as paths
from roamkey.board import pathadvice
from roamkey.cli import durations
from roamkey.cli.board_options import BoardOption, PortOption, port_of
from roamkey.cli.options import EventsOption, JsonOption, RegistryOption
from roamkey.cli.output import plain
from roamkey.correspondent.events import arrivals

_MARKS = {
    examiner.OK: "ok", examiner.LACKS: "LACKS", examiner.ADVICE: "advice",
    pathadvice.PASSES: "passes", pathadvice.FAILS: "NO", pathadvice.ABSENT: "-", "": "",
}  # fmt: skip


def doctor(
    port: PortOption = None,
    board: BoardOption = None,
    path: Annotated[
        bool,
        typer.Option(
            "--path",
            help="Check the path instead: which ways to its correspondents pass from where the "
            "board is, and what to ask the network's owner for. The agent goes on meanwhile.",
        ),
    ] = False,
    nat: Annotated[
        int | None,
        typer.Option(
            "--nat",
            metavar=durations.TIME,
            parser=durations.seconds(1, paths.SILENCE_MAX_S),
            help="With --path, and longer: how long a port is kept, by silences up to this, "
            "as 90s or 10m. Data that come in meanwhile may be lost.",
        ),
    ] = None,
    registry: RegistryOption = None,
    events: EventsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Ask a board what it lacks for the agent, and say what to do.

    A running agent stops for some seconds. Exit code 1 if something essential is lacking, or, with
    --path, if a correspondent, or the home agent, can't be reached by any way. On the
    correspondent's host its events say, too, which updates arrived.
    """
    if path or nat is not None:
        _check_path(port_of(port, board), nat, arrivals.seen(registry, events), as_json)
        return
    found = examiner.examine(port_of(port, board))
    if as_json:
        typer.echo(json.dumps({**asdict(found), "fit": found.fit}))
    else:
        _show(found)
    if not found.fit:
        raise typer.Exit(1)


def _check_path(
    port: str,
    nat: int | None,
    seen: Callable[[str, int], pathadvice.Arrived],
    as_json: bool,
) -> None:
    report = (lambda _: None) if as_json else _say
    told = paths.ask(port, nat, report)
    found = pathadvice.judge(told, seen(told.home_address, told.began_ms))
    reached = all(one.reached for one in found)
    if as_json:
        answer = {
            "port": port,
            "board": told.board,
            "home_address": told.home_address,
            "paths": [asdict(one) for one in found],
            "reached": reached,
        }
        typer.echo(json.dumps(answer))
    else:
        for one in found:
            _show_path(one)
        if nat is not None and all(one.port is None for one in found):
            typer.echo("nothing goes inside UDP: there is no port to be kept")
    if not reached:
        raise typer.Exit(1)


def _say(what: str) -> None:
    typer.echo(f"checking {what} ...", err=True)


def _show_path(found: pathadvice.Path) -> None:
    whom = f"the {found.role} " if found.role == pathadvice.HOME_AGENT else ""
    how = f", by {found.authorized_by}" if found.authorized_by == "return routability" else ""
    typer.echo(plain(f"to {whom}{found.correspondent}{how}"))
    rows = [
        (name, _MARKS[verdict], said, f"-> {todo}" if todo else "")
        for name, verdict, said, todo in pathadvice.lines(found)
    ]
    _print_table(rows)
    typer.echo(plain(pathadvice.summary(found)))


def _show(found: examiner.Examination) -> None:
    typer.echo(plain(f"{found.board} on {found.port}: {found.machine or found.platform}"))
    _print_table(
        [
            (_MARKS[check.verdict], check.name, check.found, f"-> {check.todo}" * bool(check.todo))
            for check in found.checks
        ]
    )
    lacking = sum(check.verdict == examiner.LACKS for check in found.checks)
    typer.echo("fit for the agent" if not lacking else f"{lacking} essential thing(s) lacking")


def _print_table(rows: list[tuple[str, str, str, str]]) -> None:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=False)
    for _ in range(4):
        table.add_column(overflow="fold")
    for row in rows:
        table.add_row(*map(plain, row))
    Console(highlight=False, markup=False).print(table)
