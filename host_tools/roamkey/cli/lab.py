"""`roamkey lab`: virtual boards and networks on this machine, no hardware needed."""

import shutil
from pathlib import Path
from typing import Annotated

import typer

from roamkey.errors import SystemRefusedError

app = typer.Typer(help="Virtual boards and networks on this machine.", no_args_is_help=True)


@app.command()
def demo(
    out: Annotated[
        Path, typer.Option("--out", help="Folder for what the demo leaves; made anew.")
    ] = Path("demo-out"),
) -> None:
    """The main job on virtual boards: provision, register, move, lose power, come back.

    Prints a timeline and leaves a packet capture and a chart. Exit code 1 if any step did not
    happen.
    """
    from roamkey.lab import sandbox
    from roamkey.lab.demo.run import run

    try:
        if out.exists():
            shutil.rmtree(out)
        out.mkdir(parents=True)
    except OSError as error:
        raise SystemRefusedError(f"{out}: {error.strerror}") from error
    sandbox.ensure()
    run(out)
