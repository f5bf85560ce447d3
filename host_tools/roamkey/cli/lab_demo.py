"""`roamkey lab demo`: the main job from the first key to the return home."""

from pathlib import Path
from typing import Annotated

import typer

from roamkey.cli.output import fresh_folder, keep_folder
from roamkey.lab import sandbox
from roamkey.lab.demo.run import run


def demo(
    out: Annotated[
        Path,
        typer.Option(
            "--out",
            help="Folder for what the demo leaves; the one before is kept as FOLDER.before.",
        ),
    ] = Path("demo-out"),
) -> None:
    """The main job on virtual boards: provision, register, move, lose power, come back.

    Prints a timeline and leaves a packet capture and a chart. Exit code 1 if any
    step did not happen.
    """
    fresh_folder(out)
    sandbox.ensure()
    run(out)
    keep_folder(out)
