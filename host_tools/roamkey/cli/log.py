"""`roamkey log`: what happened on a board, as the board wrote it down."""

from pathlib import Path
from typing import Annotated

import typer

from roamkey.board.serial_client import SerialClient
from roamkey.build.lines import resolve
from roamkey.cli.board_options import BoardOption, PortOption, port_of
from roamkey.cli.lazy import lazy_app
from roamkey.errors import SystemRefusedError
from roamkey.field import boardlog
from roamkey.field.air import Air

app = lazy_app(
    {
        "pull": (
            "roamkey.cli.log:pull",
            "Fetch a board's event log: links, addresses, updates, acknowledgements, restarts, "
            "errors.",
        )
    },
    help="The event log of a board.",
)


@app.callback()
def _log() -> None:
    """The event log of a board."""


def pull(
    port: PortOption = None,
    board: BoardOption = None,
    air: Annotated[
        str | None,
        typer.Option(
            "--air",
            metavar="ADDRESS",
            help="Over the air: the board's home address. On its correspondent.",
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="Write it here, for `roamkey field report`.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON: an object a line.")] = False,
) -> None:
    """Fetch a board's event log: links, addresses, updates, acknowledgements, restarts, errors.

    The board keeps the latest 32 kilobytes, over resets; pulling takes nothing away.
    """
    if air is not None:
        if port is not None or board is not None:
            raise typer.BadParameter("--air goes without --board and --port")
        with Air(air) as there:
            log = boardlog.pull(there.ask, there.board, there.home_address)
    else:
        log = _over_serial(port_of(port, board))
    if out is not None:
        try:
            boardlog.write(out, log)
        except OSError as error:
            raise SystemRefusedError(f"{out}: {error.strerror}") from None
    if as_json:
        typer.echo(boardlog.as_lines(log), nl=False)
    elif out is not None:
        typer.echo(f"{len(log.events)} events of board {log.board}: {out}")
    else:
        for event in log.events:
            at = f"{event.ms / 1000:12,.3f} s"
            typer.echo(
                f"boot {event.boot:<4} {at}  {event.kind:<13} {resolve(' '.join(event.detail))}"
            )


def _over_serial(port: str) -> boardlog.BoardLog:
    with SerialClient(port) as client:
        identity = client.identify()
        home_address = client.status()["keystore"].get("home_address")
        return boardlog.pull(boardlog.over_console(client), identity.board, home_address)
