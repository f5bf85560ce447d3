"""The Wi-Fi networks that a command gives to a board: names, and where their passwords come from.

A password never stands on a command line: it is in a file, on stdin, or asked for on a terminal.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from roamkey.enroll import keyfile
from roamkey.enroll.wifi import Network, check

WifiOption = Annotated[
    list[str] | None,
    typer.Option(
        "--wifi",
        metavar="NAME",
        help="A Wi-Fi network for the board, the best first; may be repeated. Its password is "
        "asked for on a terminal.",
    ),
]
PasswordFilesOption = Annotated[
    list[Path] | None,
    typer.Option(
        "--password-file",
        metavar="FILE",
        help="The network's password: a file of mode 0600, - for stdin; one for each --wifi, in "
        "order.",
    ),
]
OpenOption = Annotated[
    bool, typer.Option("--open", help="A network without --password-file has no password.")
]


def networks_of(
    names: Sequence[str] | None,
    password_files: Sequence[Path] | None,
    open_: bool,
    priority: int = 0,
) -> tuple[Network, ...]:
    """The networks that the options name; asks for passwords on a terminal.

    `priority`: of the first, those after it come later. Raises BadInputError, BadParameter.
    """
    names, files = names or (), password_files or ()
    if len(files) > len(names):
        raise typer.BadParameter("more --password-file than networks")
    check([Network(name, None, priority + i) for i, name in enumerate(names)])
    return tuple(
        Network(name, _password(name, files[i] if i < len(files) else None, open_), priority + i)
        for i, name in enumerate(names)
    )


def _password(name: str, file: Path | None, open_: bool) -> str | None:
    if file is not None:
        return keyfile.read_wifi_password(file)
    if open_:
        return None
    if not sys.stdin.isatty():
        shown = "".join(c if c.isprintable() else "?" for c in name)
        raise typer.BadParameter(
            f"network {shown}: give --password-file FILE (- for stdin), or --open if it has none"
        )
    return keyfile.ask_wifi_password(name)
