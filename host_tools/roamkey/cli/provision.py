"""`roamkey provision`: keys onto a board."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from mip6 import addresses
from roamkey.cli import peer_options
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
from roamkey.cli.output import keys_text, row
from roamkey.cli.peer_options import (
    CorrespondentsOption,
    HomeAgentOption,
    InsecureHomeAgentOption,
    NoHomeAgentOption,
    RoutabilityOption,
)
from roamkey.enroll import deliver
from roamkey.enroll import site as sites
from roamkey.enroll.held import Held
from roamkey.enroll.keyfile import read_kcn
from roamkey.enroll.peers import of_site
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
    correspondent: CorrespondentsOption = None,
    return_routability: RoutabilityOption = None,
    home_agent: HomeAgentOption = None,
    insecure_home_agent: InsecureHomeAgentOption = None,
    no_home_agent: NoHomeAgentOption = False,
    reach: ReachOption = None,
    no_reach: NoReachOption = False,
    native: NativeOption = Native.on,
    lifetime: Annotated[
        int, typer.Option(help="Seconds that a binding is asked for, 4 to 262140.", metavar="S")
    ] = LIFETIME_S,
    generations: Annotated[
        int | None,
        typer.Option(
            help="Keys for each correspondent, and the home agent, 1 to 16; 4 where no files are "
            "given.",
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
            "file for each correspondent, then the home agent, and generation, in order.",
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
    named = peer_options.named(
        correspondent, return_routability, home_agent, insecure_home_agent, no_home_agent
    )
    site = sites.site_of(registry)
    peers = of_site(site, named, no_home_agent)
    if home is None and site is None:
        raise BadInputError(f"--home-address is missing, and {NO_SITE}")
    plan = Plan(
        home,
        peers.correspondents,
        lifetime,
        generations or 0,
        tuple(read_kcn(str(path)) for path in kcn_file or ()),
        sites.reach_of(site, peers.all, texts, "--reach"),
        native is Native.on,
        peers.routability,
        peers.home_agent,
        peers.insecure,
    )
    plan.check()
    peer_options.warn(peers.warning)
    where = port_of(port, board)
    with Registry.open(registry, passphrase_file=passphrase_file) as opened:
        pool = sites.pool_of(opened, site, None, peers.all)
        held = deliver.provision(opened, where, plan, pool=pool, replace=replace)
    if as_json:
        typer.echo(json.dumps(_as_json(held, plan)))
        return
    row("board", f"{held.board}")
    row("home address", f"{held.home_address}")
    for peer in held.correspondents:
        row("correspondent", keys_text(peer, "by return routability"))
    if held.home_agent is not None:
        row("home agent", keys_text(held.home_agent, "no key: registered without authentication"))
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


def _as_json(held: Held, plan: Plan) -> dict[str, Any]:
    told = held.plain()
    agent = told["home_agent"]
    for entry in told["correspondents"] + ([] if agent is None else [agent]):
        owner = addresses.parse(entry["address"])
        entry["reach"] = list(texts_of(plan.reach.get(owner, ())))
    told["native"] = plan.native
    return told
