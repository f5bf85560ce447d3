"""What `roamkey setup` and `roamkey batch` have in common: options, and home addresses."""

from collections.abc import Callable, Iterable
from typing import Annotated

import typer

from mip6.limits import LIFETIME_S_MAX, LIFETIME_S_MIN
from roamkey.cli.options import finite
from roamkey.errors import BadInputError
from roamkey.fleet.home import Pool
from roamkey.registry import Registry

WAIT_MAX_S = 7 * 86400

HomePrefixOption = Annotated[
    str | None,
    typer.Option(
        "--home-prefix",
        metavar="PREFIX",
        help="Give out home addresses of this prefix that no board has or had.",
    ),
]
CorrespondentsOption = Annotated[
    list[str] | None,
    typer.Option(
        "--correspondent", metavar="ADDRESS", help="A correspondent's address; may be repeated."
    ),
]
LifetimeOption = Annotated[
    int,
    typer.Option(
        "--lifetime",
        help="Seconds that a binding is asked for.",
        min=LIFETIME_S_MIN,
        max=LIFETIME_S_MAX,
        metavar="S",
    ),
]
GenerationsOption = Annotated[
    int,
    typer.Option("--generations", help="Keys for each correspondent.", min=1, max=16, metavar="N"),
]
ReplaceOption = Annotated[
    bool, typer.Option("--replace", help="Also where a board holds other keys already.")
]
RegisteredOption = Annotated[
    float,
    typer.Option(
        "--registered",
        metavar="S",
        min=0,
        max=WAIT_MAX_S,
        callback=finite,
        help="Wait up to S seconds until every correspondent has bound the board.",
    ),
]


def home_addresses(
    registry: Registry, prefix: str | None, taken: Iterable[bytes]
) -> Callable[[bytes | None, str], bytes]:
    """Gives the home address of a board by its id: the one that is wished, else of the prefix."""
    pool = None if prefix is None else Pool(registry, prefix, taken)

    def address(wished: bytes | None, board: str) -> bytes:
        if wished is not None:
            return wished
        if pool is None:
            raise BadInputError("no home address is given, and no --home-prefix")
        return pool.address_for(board)

    return address
