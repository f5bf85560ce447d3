"""What `roamkey setup` and `roamkey batch` have in common: options."""

from typing import Annotated

import typer

from mip6.limits import LIFETIME_S_MAX, LIFETIME_S_MIN
from roamkey.cli.options import finite

WAIT_MAX_S = 7 * 86400

HomePrefixOption = Annotated[
    str | None,
    typer.Option(
        "--home-prefix",
        metavar="PREFIX",
        help="Give out home addresses of this prefix that no board has or had. Default: the "
        "site's.",
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
    typer.Option(
        "--generations",
        help="Keys for each correspondent, and the home agent.",
        min=1,
        max=16,
        metavar="N",
    ),
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
        help="Wait up to S seconds until every correspondent, and the home agent, has bound the "
        "board.",
    ),
]
