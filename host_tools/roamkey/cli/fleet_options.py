"""What `roamkey setup` and `roamkey batch` have in common: options."""

from typing import Annotated

import typer

from mip6.limits import LIFETIME_S_MAX, LIFETIME_S_MIN
from roamkey.cli import durations
from roamkey.enroll.plan import LIFETIME_S

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
        help="How long a binding is asked for, as 90s, 30m or 1h: up to 3d.",
        metavar=durations.TIME,
        parser=durations.seconds(LIFETIME_S_MIN, LIFETIME_S_MAX),
        show_default=durations.text(LIFETIME_S),
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
        metavar=durations.TIME,
        parser=durations.span(0, WAIT_MAX_S),
        show_default=False,
        help="Wait as long as this, as 90s or 5m, until every correspondent, and the home "
        "agent, has bound the board.",
    ),
]
