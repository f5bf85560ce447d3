"""`roamkey provision`: keys onto a board."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from roamkey.cli.board_options import BoardOption, PortOption, port_of
from roamkey.cli.options import (
    JsonOption,
    Native,
    NativeOption,
    NoReachOption,
    PassphraseOption,
    ReachOption,
    RegistryOption,
    global_address,
    reach_texts,
)
from roamkey.cli.output import row
from roamkey.enroll import deliver
from roamkey.enroll import site as sites
from roamkey.enroll.keyfile import read_kcn
from roamkey.enroll.plan import LIFETIME_S, Plan
from roamkey.enroll.reach import texts_of
from roamkey.errors import BadInputError
from roamkey.registry import Registry
from roamkey.registry.records import NO_SITE


def provision(
    port: PortOption = None,
    board: BoardOption = None,
    home_address: Annotated[
        str | None,
        typer.Option(
            help="The board's home address. Default: the next free one of the site.",
            metavar="ADDRESS",
        ),
    ] = None,
    correspondent: Annotated[
        list[str] | None,
        typer.Option(
            help="A correspondent's address; may be repeated. Default: the site's.",
            metavar="ADDRESS",
        ),
    ] = None,
    reach: ReachOption = None,
    no_reach: NoReachOption = False,
    native: NativeOption = Native.on,
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

    Where `roamkey init` made a site no address has to be said. After an interruption, the same
    command again finishes the job.
    """
    texts = reach_texts(reach, no_reach)
    home = None if home_address is None else global_address(home_address, "--home-address")
    named = tuple(global_address(text, "--correspondent") for text in correspondent or ())
    site = sites.site_of(registry)
    peers = sites.correspondents_of(site, named)
    if home is None and site is None:
        raise BadInputError(f"--home-address is missing, and {NO_SITE}")
    plan = Plan(
        home,
        peers,
        lifetime,
        generations or 0,
        tuple(read_kcn(str(path)) for path in kcn_file or ()),
        sites.reach_of(site, peers, texts, "--reach"),
        native is Native.on,
    )
    plan.check()
    where = port_of(port, board)
    with Registry.open(registry, passphrase_file=passphrase_file) as opened:
        pool = sites.pool_of(opened, site, None, peers)
        held = deliver.provision(opened, where, plan, pool=pool, replace=replace)
    if as_json:
        typer.echo(json.dumps(_as_json(held, plan)))
        return
    row("board", f"{held.board}")
    row("home address", f"{held.home_address}")
    for name, numbers in held.correspondents:
        span = str(numbers[0]) if len(numbers) == 1 else f"{numbers[0]} to {numbers[-1]}"
        row("correspondent", f"{name}, key generation {span}")
    for places in plan.reach.values():
        row("reach", ", ".join(texts_of(places)))
    if not plan.native:
        row("native IPv6", "off: inside UDP alone")
    row("lifetime", f"{held.lifetime} s")
    row("key set", f"{held.set_id}")
    if held.finished:
        typer.echo(
            "An earlier run had sent this set; the board holds it, and it is confirmed now."
        )


def _as_json(held: deliver.Held, plan: Plan) -> dict[str, Any]:
    told = held.plain()
    for entry, owner in zip(told["correspondents"], plan.correspondents, strict=True):
        entry["reach"] = list(texts_of(plan.reach.get(owner, ())))
    told["native"] = plan.native
    return told
