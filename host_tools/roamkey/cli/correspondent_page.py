"""`roamkey correspondent page`: watch it live, in a browser."""

from contextlib import closing
from pathlib import Path
from typing import Annotated

import typer

from roamkey.cli.options import EventsOption, RegistryOption
from roamkey.correspondent.events.file import Reader, place
from roamkey.correspondent.metrics import parse_address

_LISTEN = "[::1]:8080"
_EXIT_INTERRUPTED = 130


def page(
    listen: Annotated[
        str, typer.Option(metavar="ADDRESS:PORT", help="Where to serve the page.")
    ] = _LISTEN,
    token_file: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            envvar="ROAMKEY_PAGE_TOKEN_FILE",
            show_envvar=True,
            help="The token that opens the page: a file of mode 0600, made at random where there "
            "is none. Default: beside the events, with the ending .token.",
        ),
    ] = None,
    no_token: Annotated[
        bool,
        typer.Option(
            "--no-token",
            help="Show every user of this host where the nodes are; on a loopback address alone.",
        ),
    ] = False,
    registry: RegistryOption = None,
    events: EventsOption = None,
) -> None:
    """Serve the live page: nodes, their timelines, what was dropped and what to do about it.

    It needs no right but to read the file of events, runs beside the daemon and as the same user,
    and never opens the registry (whose place only says where the events are).
    """
    from roamkey.correspondent.page import access, serve

    host, port = parse_address(listen)
    if no_token and (token_file is not None or not serve.is_loopback(host)):
        raise typer.BadParameter(f"{listen} needs a token, or it is asked for: not --no-token")
    if token_file is not None and token_file.exists() and not token_file.is_file():
        raise typer.BadParameter(f"{token_file} is no file", param_hint="--token-file")
    file = events or place(registry)
    token = None
    text = f"http://{listen}/"
    if not no_token:
        if not file.name:
            raise typer.BadParameter(f"{file} is no file", param_hint="--events")
        token_file = token_file or file.with_suffix(".token")
        with closing(Reader(file)):  # no token where there is nothing to show
            token = access.read_token(token_file)
        text += f", opened by the token in {token_file}"
    try:
        serve.serve(host, port, file, token, lambda: print(text, flush=True))
    except KeyboardInterrupt:
        raise typer.Exit(_EXIT_INTERRUPTED) from None
