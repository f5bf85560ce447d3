"""`roamkey rename`: what people call a node."""

import json
from typing import Annotated

import typer

from mip6 import addresses
from roamkey.cli.options import JsonOption, RegistryOption, node_address
from roamkey.registry import Registry


def rename(
    node: Annotated[
        str, typer.Argument(metavar="NODE", help="The node: its home address, or its name.")
    ],
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="Its name from now on.")
    ] = None,
    none: Annotated[bool, typer.Option("--none", help="It is to have no name any more.")] = False,
    registry: RegistryOption = None,
    as_json: JsonOption = False,
) -> None:
    """Give a node another name, or none.

    The board needn't be there; running daemons learn it at once. A name has 1 to 63
    letters, digits, "-", "_" and ".", and begins with a letter or a digit.
    """
    if (name is None) != none:
        raise typer.BadParameter("say either the new NAME or --none")
    with Registry.open(registry, create=False, to_encrypt=True) as opened:
        home = node_address(opened, node, "NODE")
        opened.rename(home, name)
    told = {"home_address": addresses.text(home), "name": name}
    if as_json:
        typer.echo(json.dumps(told))
    else:
        typer.echo(f"{told['home_address']}: {name or 'no name'}")
