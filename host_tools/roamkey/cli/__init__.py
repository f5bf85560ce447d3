"""The command `roamkey`: one file per subcommand, each thin over the library.

Exit codes: 0 done; 1 bad input; 2 wrong usage; 3 the board can't be reached or doesn't answer;
4 refused by the board or the registry; 5 refused by the operating system; 130 interrupted.
"""

import sys

import typer

from roamkey import __version__
from roamkey.cli import correspondent, decode, lab, lab_pico_w, provision
from roamkey.errors import RoamkeyError

app = typer.Typer(
    name="roamkey",
    help="Mobile IPv6 with a preconfigured key: boards, their keys, and their correspondents.",
    epilog="Exit codes: 0 done, 1 bad input, 2 wrong usage, 3 board not reachable, "
    "4 refused, 5 operating system, 130 interrupted.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


app.command()(decode.decode)
app.command()(provision.provision)
app.command()(provision.status)
app.add_typer(correspondent.app, name="correspondent")
lab.app.command("pico-w")(lab_pico_w.pico_w)
app.add_typer(lab.app, name="lab")


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
        app()
    except RoamkeyError as error:
        print(f"roamkey: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
