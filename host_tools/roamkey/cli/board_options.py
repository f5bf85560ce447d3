"""How every subcommand names a board: `--board ID`, `--port PORT`, or not: the only one there is.

def seal(port: PortOption = None, board: BoardOption = None) -> None:
    with SerialClient(port_of(port, board)) as client:
"""

import sys
from typing import Annotated

import typer

from roamkey import notice
from roamkey.cli import known


def _ports() -> list[tuple[str, str]]:
    """Those there are, for shells that complete words, and what each is."""
    from roamkey.board import discovery

    return [(one.path, (one.usb and one.usb.name) or "") for one in discovery.ports()]


PortOption = Annotated[
    str | None,
    typer.Option(
        "--port",
        help="The board's serial port. Needless where one board is plugged in.",
        metavar="PORT",
        autocompletion=_ports,
    ),
]
BoardOption = Annotated[
    str | None,
    typer.Option(
        "--board",
        help="The board's unique id (or its beginning), or its node's name, on whichever port it "
        "is.",
        metavar="ID|NAME",
    ),
]


def port_of(port: str | None, board: str | None) -> str:
    """The port that the two options name; without them, that of the only board plugged in.

    Raises typer.BadParameter (wrong usage) where both are given or none and there are several
    boards, BoardError for none, and as `discovery.find`.
    """
    notice.show_on(sys.stderr)
    if port is not None and board is not None:
        raise typer.BadParameter("give either --board or --port")
    if port is not None:
        return port
    from roamkey.board import discovery

    with notice.waiting("looking at what is plugged in"):
        if board is not None:
            return discovery.find(known.board_of(board) or board).port.path
        try:
            return discovery.only()
        except discovery.SeveralError as error:
            raise typer.BadParameter(str(error)) from None
