"""Options that several subcommands have, and addresses given in them."""

import math
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mip6 import addresses
from roamkey.errors import BadInputError, RefusedError
from roamkey.registry import checks

if TYPE_CHECKING:
    from roamkey.registry import Registry

#: The registry, as `Registry.open` takes it.
RegistryOption = Annotated[
    str | None,
    typer.Option(
        "--registry",
        metavar="URL",
        envvar="ROAMKEY_REGISTRY",
        show_envvar=True,
        help="The registry: a path or SQLAlchemy URL. Default: the user's own.",
    ),
]

#: Where the registry's passphrase is; where there is none, nothing is encrypted.
PassphraseOption = Annotated[
    Path | None,
    typer.Option(
        "--passphrase-file",
        metavar="FILE",
        envvar="ROAMKEY_PASSPHRASE_FILE",
        show_envvar=True,
        help="The passphrase of an encrypted registry: a file of mode 0600.",
    ),
]

#: Where the correspondent's events are, as its `run` records them.
EventsOption = Annotated[
    Path | None,
    typer.Option(
        "--events",
        metavar="FILE",
        envvar="ROAMKEY_EVENTS",
        show_envvar=True,
        help="The file of events. Default: beside the registry.",
    ),
]


#: Where a correspondent is reached; `reach_texts` reads it.
ReachOption = Annotated[
    list[str] | None,
    typer.Option(
        "--reach",
        metavar="HOST[:PORT]",
        help="Where boards reach the correspondent by UDP: a name or an address, port 4191 where "
        "none is said; up to four. Default: as the site says. Of several correspondents: "
        "ADDRESS=HOST[:PORT].",
    ),
]
NoReachOption = Annotated[
    bool,
    typer.Option("--no-reach", help="Nowhere but at its own address, whatever the site says."),
]


class Native(str, Enum):
    """Whether a board speaks native IPv6 too, or inside UDP alone."""

    on = "on"
    off = "off"


NativeOption = Annotated[
    Native, typer.Option("--native", help="Whether boards speak native IPv6 too.")
]


def reach_texts(reach: list[str] | None, no_reach: bool) -> list[str] | None:
    """What both options say; None: nothing."""
    if reach and no_reach:
        raise typer.BadParameter("give either --reach or --no-reach")
    return [] if no_reach else reach or None


def finite(value: float) -> float:
    """A number that `min` and `max` have judged; raises BadParameter for none at all."""
    if not math.isfinite(value):
        raise typer.BadParameter(f"{value} is no number to count with")
    return value


JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def global_address(text: str, option: str) -> bytes:
    """An address that a node can have, 16 octets; raises BadInputError."""
    try:
        address: bytes = addresses.parse(text)
    except ValueError as error:
        raise BadInputError(f"{option}: {error}") from None
    if addresses.is_ipv4(address):
        raise BadInputError(
            f"{option}: {addresses.text(address)} is an IPv4 address: inside all is IPv6, and "
            "--reach takes IPv4"
        )
    if not addresses.is_unicast_global(address):
        raise BadInputError(f"{option}: {addresses.text(address)} is not unicast and global")
    return address


def node_address(registry: "Registry", text: str, what: str) -> bytes:
    """The home address that is meant by one in text, or by a node's name; raises BadInputError, of
    a line that begins with `what`, and RefusedError where no node has the name."""
    if checks.is_name(text):
        found = registry.home_address_of(text)
        if found is None:
            raise RefusedError(f"{what}: no node in the registry has the name {text}")
        return found
    return global_address(text, what)
