"""`roamkey field`: what a walk was like, from the logs it left."""

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from roamkey.cli import durations
from roamkey.cli.lazy import lazy_app
from roamkey.field import folder as folders
from roamkey.field import report as reports
from roamkey.field.values import NATIVE

app = lazy_app(
    {
        "record": (
            "roamkey.cli.field_record:record",
            "Record numbered datagrams as they arrive, on the correspondent's host, until Ctrl-C.",
        ),
        "report": (
            "roamkey.cli.field:report",
            "Join the logs of boards and correspondents; write a page, charts, CSV and JSON.",
        ),
    },
    help="Field tests: what a walk was like, from the logs it left.",
)


@app.callback()
def _field() -> None:
    """Field tests: what a walk was like, from the logs it left."""


def report(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="The walk's logs.")],
    out: Annotated[
        Path | None,
        typer.Option("--out", help="Where the report goes; FOLDER/report if left out."),
    ] = None,
    compare: Annotated[
        Path | None,
        typer.Option(
            "--compare", metavar="FOLDER", help="An earlier walk: is this one better or worse?"
        ),
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(metavar="WHEN", help="Not before: a time, or how long ago, as 30m, 2h."),
    ] = None,
    network: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PREFIX=NAME",
            help="What a network is called, as 2001:db8:1::/64=office. Also: networks.json in "
            "FOLDER. As often as needed.",
        ),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the figures as JSON, and write no files.")
    ] = False,
) -> None:
    """Join the logs of boards and correspondents; write a page, charts, CSV and JSON.

    FOLDER holds what `roamkey log pull --out` and `roamkey correspondent events --json` gave (or
    the correspondent's JSON log), or what `roamkey lab walk` left. No network is needed.
    """
    named = dict(map(_named, network or ()))
    made = _made(folder, named, durations.instant(since) if since else 0)
    other = _made(compare, named, 0) if compare else None
    if as_json:
        told = reports.plain(made)
        if other is not None:
            from roamkey.field.compare import plain

            told = plain(other, made)
        typer.echo(json.dumps(told, indent=2))
        return
    from roamkey.field import output

    place = output.write(made, out or folder / "report")
    if other is not None:
        from roamkey.field import compare as comparing

        place = comparing.write(other, made, out or folder / "report")
    _summarize(made)
    if other is not None:
        typer.echo(f"compared with {other.name}, less is better:")
        for line in comparing.said(other, made):
            typer.echo(f"  {line}")
    typer.echo(f"report: {place}")


def _named(text: str) -> tuple[str, str]:
    where, found, name = text.partition("=")
    try:
        if not found or not name.strip():
            raise ValueError("say it as PREFIX=NAME")
        return folders.prefix(where), name.strip()
    except ValueError as error:
        raise typer.BadParameter(f"--network {text}: {error}") from None


def _made(folder: Path, named: dict[str, str], since_ms: float) -> reports.Report:
    walk = folders.read(folder)
    walk.networks |= named
    return reports.make(walk, since_ms)


def _summarize(made: reports.Report) -> None:
    table = Table("milliseconds", box=None, pad_edge=False)
    for name in ("handovers", "median", "95th", "worst"):
        table.add_column(name, justify="right")
    spreads = made.spreads
    for key, title, _ in reports.MEASURES:
        one = spreads[key]
        if one is not None:
            values = (one.median, one.p95, one.worst)
            table.add_row(title, str(one.count), *(f"{value:,.0f}" for value in values))
    for why, one in made.kinds.items() if len(made.kinds) > 1 else ():
        if one is not None:
            values = (one.median, one.p95, one.worst)
            table.add_row(
                f"Link up → first datagram, {reports.WHY[why]}", str(one.count),
                *(f"{value:,.0f}" for value in values),
            )  # fmt: skip
    for way, one in made.ways.items() if tuple(made.ways) != (NATIVE,) else ():
        if one is not None:
            values = (one.median, one.p95, one.worst)
            table.add_row(
                f"Signalling, {way}", str(one.count), *(f"{value:,.0f}" for value in values)
            )
    Console(highlight=False).print(table)
    if made.headline:
        typer.echo(made.headline)
    if made.loss.sent:
        lost = made.loss
        typer.echo(f"datagrams lost: {lost.lost} of {lost.sent} ({lost.percent:.1f} %)")
    if made.clock_error_ms is not None:
        typer.echo(f"clock error: at most {made.clock_error_ms:.1f} ms")
