"""`roamkey lab walk`: a scripted walk in the laboratory, for `roamkey field report`."""

import time
from pathlib import Path
from typing import Annotated

import typer

from roamkey.cli.output import fresh_folder, keep_folder
from roamkey.errors import BoardError
from roamkey.field import folder, report
from roamkey.lab import sandbox
from roamkey.lab.walk import script as scripts
from roamkey.lab.walk.run import Walk


def walk(
    script: Annotated[
        str,
        typer.Argument(
            metavar="FILE.toml",
            help="The script, or one that comes along: campus, errand, fleet, cafe, captive, "
            "filters, forgetful, names.",
        ),
    ],
    out: Annotated[
        Path,
        typer.Option(
            "--out",
            help="Folder for the logs and the capture; the one before is kept as FOLDER.before.",
        ),
    ] = Path("walk-out"),
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing meanwhile.")] = False,
) -> None:
    """Walk virtual boards through networks, as a script says; leave the logs of a real walk.

    Networks, delays, loss and power cuts come from a TOML file. Show what it was like with:
    roamkey field report FOLDER
    """
    read = scripts.read(scripts.find(script))
    fresh_folder(out)
    sandbox.ensure()
    start = time.monotonic()

    def tell(text: str) -> None:
        if not quiet:
            typer.echo(f"{time.monotonic() - start:7.1f} s  {text}")

    try:
        Walk(read, out, tell).run()
    except TimeoutError as error:
        raise BoardError(f"{error} (see {out / 'correspondent.log'})") from error
    keep_folder(out)
    if not quiet:
        felt = report.make(folder.read(out)).headline
        if felt:
            typer.echo(felt)
        typer.echo(f"the walk's logs are in {out}: roamkey field report {out}")
