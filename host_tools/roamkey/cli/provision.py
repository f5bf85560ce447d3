"""`roamkey provision`: keys onto a board."""

import json
from pathlib import Path
from typing import Annotated

import typer

from roamkey.cli.board_options import BoardOption, PortOption, port_of
from roamkey.cli.options import JsonOption, PassphraseOption, RegistryOption, global_address
from roamkey.cli.output import row
from roamkey.enroll import deliver
from roamkey.enroll.keyfile import read_kcn
from roamkey.enroll.plan import LIFETIME_S, Plan
from roamkey.registry import Registry


def provision(
    home_address: Annotated[
        str, typer.Option(help="The board's home address.", metavar="ADDRESS")
    ],
    correspondent: Annotated[
        list[str],
        typer.Option(help="A correspondent's address; may be repeated.", metavar="ADDRESS"),
    ],
    port: PortOption = None,
    board: BoardOption = None,
    lifetime: Annotated[
        int, typer.Option(help="Seconds that a binding is asked for, 4 to 262140.", metavar="S")
    ] = LIFETIME_S,
    generations: Annotated[
        int | None,
        typer.Option(
            help="Keys for each correspondent, 1 to 16; 4 where no files are given.",
            min=1,
            max=16,
            metavar="N",
            show_default=False,
        ),
    ] = None,
    kcn_file: Annotated[
        list[Path] | None,
        typer.Option(
            help="Read a key (hex, file of mode 0600, - for stdin) instead of making one; one "
            "file for each correspondent and generation, in order.",
            metavar="FILE",
        ),
    ] = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="Also where the board holds keys already.")
    ] = False,
    registry: RegistryOption = None,
    passphrase_file: PassphraseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Put keys on a board and into the registry, whole or not at all.

    After an interruption, the same command again finishes the job.
    """
    plan = Plan(
        global_address(home_address, "--home-address"),
        tuple(global_address(text, "--correspondent") for text in correspondent),
        lifetime,
        generations or 0,
        tuple(read_kcn(str(path)) for path in kcn_file or ()),
    )
    plan.check()
    where = port_of(port, board)
    with Registry.open(registry, passphrase_file=passphrase_file) as opened:
        held = deliver.provision(opened, where, plan, replace=replace)
    if as_json:
        typer.echo(json.dumps(held.plain()))
        return
    row("board", f"{held.board}")
    row("home address", f"{held.home_address}")
    for name, numbers in held.correspondents:
        span = str(numbers[0]) if len(numbers) == 1 else f"{numbers[0]} to {numbers[-1]}"
        row("correspondent", f"{name}, key generation {span}")
    row("lifetime", f"{held.lifetime} s")
    row("key set", f"{held.set_id}")
    if held.finished:
        typer.echo(
            "An earlier run had sent this set; the board holds it, and it is confirmed now."
        )
