"""`roamkey init`: the site."""

import json
from typing import Annotated

import typer

from mip6 import addresses
from roamkey.cli.options import (
    JsonOption,
    PassphraseOption,
    RegistryOption,
    global_address,
    reach_texts,
)
from roamkey.cli.output import row
from roamkey.enroll import site as sites
from roamkey.registry import Registry


def init(
    reach: Annotated[
        list[str] | None,
        typer.Option(
            "--reach",
            metavar="HOST[:PORT]",
            help="Where boards reach the correspondent by UDP: a name or an address, IPv4 or "
            "IPv6; up to four. Default: this host's own addresses, port 4191. Of the home agent: "
            "ADDRESS=HOST[:PORT].",
        ),
    ] = None,
    no_reach: Annotated[
        bool, typer.Option("--no-reach", help="Nowhere but at the correspondent's own address.")
    ] = False,
    prefix: Annotated[
        str | None,
        typer.Option(
            "--prefix",
            metavar="PREFIX",
            help="The IPv6 prefix inside, 60 bits at most. Default: one at random (RFC 4193).",
        ),
    ] = None,
    correspondent: Annotated[
        str | None,
        typer.Option(
            "--correspondent", metavar="ADDRESS", help="The correspondent's address, if not c::1."
        ),
    ] = None,
    home_agent: Annotated[
        str | None,
        typer.Option(
            "--home-agent",
            metavar="ADDRESS",
            help="The home agent's address, on the home link; without one boards have none.",
        ),
    ] = None,
    home_prefix: Annotated[
        str | None,
        typer.Option(
            "--home-prefix", metavar="PREFIX", help="The prefix of boards, if not a::/64."
        ),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Make another site where there is one.")
    ] = False,
    registry: RegistryOption = None,
    passphrase_file: PassphraseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make a site, by which `provision`, `setup`, `batch` and `correspondent run` need no address.

    Where there is one it is shown, or --reach is changed (boards that were provisioned before
    learn that by `roamkey reach`), or it is given a home agent.
    """
    texts = reach_texts(reach, no_reach)
    wanted = sites.Wanted(
        prefix,
        None if correspondent is None else global_address(correspondent, "--correspondent"),
        home_prefix,
        None if texts is None else tuple(texts),
        None if home_agent is None else global_address(home_agent, "--home-agent"),
    )
    with Registry.open(registry, passphrase_file=passphrase_file) as opened:
        site, result = sites.init(opened, wanted, force)
        name = opened.name
    if as_json:
        told = {
            "result": result,
            "registry": name,
            "correspondent": addresses.text(site.correspondent),
            "home_prefix": site.home_prefix,
            "reach": list(site.reach),
            "home_agent": None if site.home_agent is None else addresses.text(site.home_agent),
            "home_agent_reach": list(site.home_agent_reach),
        }
        typer.echo(json.dumps(told))
        return
    row("site", f"{result}, in {name}")
    row("correspondent", addresses.text(site.correspondent))
    row("home prefix", site.home_prefix)
    row("reach", ", ".join(site.reach) or "the correspondent's address alone")
    if site.home_agent is not None:
        row("home agent", addresses.text(site.home_agent))
        row("reach", ", ".join(site.home_agent_reach) or "the home agent's address alone")
    if result == sites.MADE and texts is None and site.reach:
        typer.echo(
            "Reach is this host as it is now. Where boards come from outside, or its address "
            "changes: roamkey init --reach NAME."
        )
    if result == sites.CHANGED and home_agent is None:
        typer.echo("Boards that were provisioned before keep what they have: roamkey reach.")
    elif result == sites.CHANGED:
        typer.echo("Boards that were provisioned before know it by roamkey provision --replace.")
