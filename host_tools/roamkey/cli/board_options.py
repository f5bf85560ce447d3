"""How every subcommand names a board: `--board ID`, or `--port PORT`.

def seal(port: PortOption = None, board: BoardOption = None) -> None:
    with SerialClient(port_of(port, board)) as client:
"""

from typing import Annotated

import typer


def _ports() -> list[tuple[str, str]]:
    """Those there are, for shells that complete words, and what each is."""
    from roamkey.board import discovery

    return [(one.path, (one.usb and one.usb.name) or "") for one in discovery.ports()]


PortOption = Annotated[
    str | None,
    typer.Option("--port", help="The board's serial port.", metavar="PORT", autocompletion=_ports),
]
BoardOption = Annotated[
    str | None,
    typer.Option(
        "--board",
        help="The board's unique id (or its beginning), on whichever port it is.",
        metavar="ID",
    ),
]


def port_of(port: str | None, board: str | None) -> str:
    """The port that the two options name.

    Raises typer.BadParameter (wrong usage) unless exactly one is given, and as `discovery.find`.
    """
    if (port is None) == (board is None):
        raise typer.BadParameter("name the board, either by --board or by --port")
    if port is not None:
        return port
    from roamkey.board import discovery

    return discovery.find(str(board)).port.path
