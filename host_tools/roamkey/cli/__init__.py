"""The command `roamkey`: one file per subcommand, each thin over the library.

Exit codes: 0 done; 1 bad input; 2 wrong usage; 3 the board can't be reached or doesn't answer;
4 refused by the board or the registry; 5 refused by the operating system; 130 interrupted.
"""

import sys

import typer

from roamkey import __version__
from roamkey.cli.lazy import lazy_app
from roamkey.errors import RoamkeyError

#: Each subcommand, in the order of the help, and where it is.
COMMANDS = {
    "boards": "roamkey.cli.boards:boards",
    "flash": "roamkey.cli.flash:flash",
    "install": "roamkey.cli.install:install",
    "setup": "roamkey.cli.setup:setup",
    "batch": "roamkey.cli.batch:batch",
    "provision": "roamkey.cli.provision:provision",
    "status": "roamkey.cli.provision:status",
    "rekey": "roamkey.cli.keys:rekey",
    "networks": "roamkey.cli.networks:app",
    "seal": "roamkey.cli.seal:seal",
    "unseal": "roamkey.cli.seal:unseal",
    "erase": "roamkey.cli.keys:erase",
    "retire": "roamkey.cli.keys:retire",
    "export": "roamkey.cli.transfer:export",
    "import": "roamkey.cli.transfer:import_",
    "doctor": "roamkey.cli.doctor:doctor",
    "correspondent": "roamkey.cli.correspondent:app",
    "registry": "roamkey.cli.registry:app",
    "decode": "roamkey.cli.decode:decode",
    "log": "roamkey.cli.log:app",
    "field": "roamkey.cli.field:app",
    "lab": "roamkey.cli.lab:app",
}

app = lazy_app(
    COMMANDS,
    name="roamkey",
    help="Mobile IPv6 with a preconfigured key: boards, their keys, and their correspondents.",
    epilog="Exit codes: 0 done, 1 bad input, 2 wrong usage, 3 board not reachable, "
    "4 refused, 5 operating system, 130 interrupted.",
)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"roamkey {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: bool = typer.Option(
        False,
        "--version",
        help="Print the version and exit.",
        callback=_show_version,
        is_eager=True,
    ),
) -> None:
    """The options that stand before a subcommand."""


def main() -> None:
    """Run the command line; print a failure as one line and exit with its code."""
    try:
        app(prog_name="roamkey")
    except RoamkeyError as error:
        print(f"roamkey: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
