"""The command line as a whole, as the parser has it: asked for when there is more than a help."""

import sys
from collections.abc import Callable, Mapping
from typing import Any

import typer

from roamkey import __version__
from roamkey.cli import ending
from roamkey.cli.lazy import lazy_app
from roamkey.errors import BadInputError

_EXIT_USAGE = 2
_USAGE: Any = typer.BadParameter.__bases__[0]  # click's own, or typer's copy of click
_OF_PARSER: Any = _USAGE.__bases__[0]


def application(
    commands: Mapping[str, tuple[str, str]], summary: str, overview: Callable[[], str]
) -> typer.Typer:
    """The app of these commands; `overview`: its help."""
    app = lazy_app(commands, overview, name="roamkey", help=summary)
    app.callback()(_root)
    return app


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"roamkey {__version__}")
        raise typer.Exit


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


def parsed(app: typer.Typer) -> int:
    """Run the command line; its exit code. Raises as commands do: see `ending`."""
    try:
        if any("\0" in word for word in sys.argv):
            raise typer.BadParameter("a NUL in an argument")
        code = app(prog_name="roamkey", standalone_mode=False)
        return code if isinstance(code, int) else 0
    except _OF_PARSER as error:
        return _wrong(error)
    except typer.Abort:
        return ending.say("nothing done", BadInputError.exit_code)


def _wrong(error: Any) -> int:
    """Wrong usage, as the parser sees it. A group alone shows its help, as if asked for."""
    context = getattr(error, "ctx", None)
    if type(error).__name__ == "NoArgsIsHelpError":
        error.show()  # without colours where that is no terminal
        return _EXIT_USAGE
    words = error.format_message().rstrip(".")
    hint = f" (see {context.command_path} -h)" if context is not None else ""
    return ending.say(f"{words}{hint}", error.exit_code)
