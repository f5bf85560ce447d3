"""Groups of subcommands of which only the one that runs is imported.

Some subcommands need a database library, some the laboratory's optional packages: `roamkey decode`
needs neither and starts without them.
"""

from importlib import import_module
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from roamkey.errors import SystemRefusedError
from roamkey.interrupts import at_once

SETTINGS: dict[str, Any] = {
    "no_args_is_help": True,
    "add_completion": False,
    "pretty_exceptions_enable": False,
    "context_settings": {"help_option_names": ["-h", "--help"]},
}


def lazy_app(commands: dict[str, tuple[str, str]], **settings: Any) -> typer.Typer:
    """A typer app of `commands`: name to "module:attribute", a function or another app, and to
    what it does, in one line: the list of them is printed without importing any.

    It still needs a callback, so that typer sees a group in it.
    """

    class LazyGroup(TyperGroup):
        listing = False

        def list_commands(self, ctx: Any) -> list[str]:
            return list(commands)

        def get_command(self, ctx: Any, cmd_name: str) -> Any:
            if cmd_name not in commands:
                return None
            target, summary = commands[cmd_name]
            if self.listing:
                return TyperCommand(cmd_name, help=summary)
            return _load(cmd_name, target)

        def format_help(self, ctx: Any, formatter: Any) -> None:
            self.listing = True
            try:
                super().format_help(ctx, formatter)
            finally:
                self.listing = False

    return typer.Typer(cls=LazyGroup, **SETTINGS, **settings)


def _load(name: str, target: str) -> Any:
    module, _, attribute = target.partition(":")
    try:
        with at_once():
            found = getattr(import_module(module), attribute)
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] in ("roamkey", "mip6"):
            raise
        return _missing(name, error.name or "")
    if isinstance(found, typer.Typer):
        found._add_completion = False  # typer takes this from the outermost app alone
        command = typer.main.get_command(found)
        command.name = name
        return command
    return _command(name, found)


def _command(name: str, function: Any) -> Any:
    app = typer.Typer(**{**SETTINGS, "no_args_is_help": False})
    app.command(name, help=_paragraphs(function.__doc__ or ""))(function)
    return typer.main.get_command(app)


def _paragraphs(text: str) -> str:
    """A docstring with each paragraph on one line: typer would keep the breaks within."""
    return "\n\n".join(" ".join(part.split()) for part in text.split("\n\n"))


def _missing(name: str, package: str) -> Any:
    def missing() -> None:
        raise SystemRefusedError(
            f"`{name}` needs the package {package}: pip install 'roamkey[lab]' "
            "(pico-w: 'roamkey[pico-w]')"
        )

    missing.__doc__ = f"(needs the package {package}, which isn't installed)"
    return _command(name, missing)
