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
            "IPv6; up to four. Default: this host's own addresses, port 4191.",
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

    Where there is one it is shown, or --reach is changed: boards that were provisioned before
    learn that by `roamkey reach`.
    """
    texts = reach_texts(reach, no_reach)
    wanted = sites.Wanted(
        prefix,
        None if correspondent is None else global_address(correspondent, "--correspondent"),
        home_prefix,
        None if texts is None else tuple(texts),
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
        }
        typer.echo(json.dumps(told))
        return
    row("site", f"{result}, in {name}")
    row("correspondent", addresses.text(site.correspondent))
    row("home prefix", site.home_prefix)
    row("reach", ", ".join(site.reach) or "the correspondent's address alone")
    if result == sites.MADE and texts is None and site.reach:
        typer.echo(
            "Reach is this host as it is now. Where boards come from outside, or its address "
            "changes: roamkey init --reach NAME."
        )
    if result == sites.CHANGED:
        typer.echo("Boards that were provisioned before keep what they have: roamkey reach.")
