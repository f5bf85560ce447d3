"""Groups of subcommands of which only the one that runs is imported.

Some subcommands need a database library, some the laboratory's optional packages: `roamkey decode`
needs neither and starts without them.
"""

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any, TypeVar

import typer
from typer.core import TyperCommand, TyperGroup

from roamkey import extras
from roamkey.cli import helptext
from roamkey.errors import SystemRefusedError
from roamkey.interrupts import handed_over

_Function = TypeVar("_Function", bound=Callable[..., Any])

HELP = {"-h, --help": "Show this message and exit."}
SETTINGS: dict[str, Any] = {
    "no_args_is_help": True,
    "add_completion": False,
    "pretty_exceptions_enable": False,
    "rich_markup_mode": None,  # which would load rich, for boxes around a help
    "context_settings": {
        "help_option_names": ["-h", "--help"],
        "max_content_width": helptext.WIDTH_MOST,
    },
}


class Command(TyperCommand):
    """A subcommand, with the examples of it below its help."""

    def invoke(self, ctx: Any) -> Any:
        """As typer's; a package that is missing is named."""
        try:
            with handed_over():
                return super().invoke(ctx)
        except ModuleNotFoundError as error:
            if extras.is_ours(error.name):
                raise
            path = ctx.command_path.partition(" ")[2]
            raise SystemRefusedError(extras.missing(error.name or "", command=path)) from None

    def get_help(self, ctx: Any) -> str:
        """The whole text."""
        from roamkey.cli.examples import below

        return helptext.emphasized(super().get_help(ctx) + below(ctx.command_path))


class App(typer.Typer):
    """A group of subcommands in one file, which come together."""

    def __init__(self, summary: str, **more: Any) -> None:
        super().__init__(**{**SETTINGS, "help": summary, "cls": Group, **more})

    def command(self, name: str | None = None, **more: Any) -> Callable[[_Function], _Function]:
        """As typer's."""
        return super().command(name, **{"cls": Command, **more})


class Group(TyperGroup):
    """A group whose help is ours."""

    def get_help(self, ctx: Any) -> str:
        """The whole text."""
        commands = {name: ("", what) for name, what in self.summaries(ctx).items()}
        text = helptext.group(ctx.command_path, self.help or "", commands, {}, HELP)
        return helptext.emphasized(text)

    def summaries(self, ctx: Any) -> dict[str, str]:
        """Each command, and what it does."""
        found = {name: self.get_command(ctx, name) for name in self.list_commands(ctx)}
        return {name: (one.help or "").split("\n\n")[0] for name, one in found.items() if one}


def lazy_app(
    commands: Mapping[str, tuple[str, str]],
    overview: Callable[[], str] | None = None,
    **settings: Any,
) -> typer.Typer:
    """A typer app of `commands`: name to "module:attribute", a function or another app, and to
    what it does, in one line: the list of them is printed without importing any.
    `overview`: its help, where it isn't made from these.

    It still needs a callback, so that typer sees a group in it.
    """

    class LazyGroup(Group):
        def get_help(self, ctx: Any) -> str:
            return helptext.emphasized(overview()) if overview else super().get_help(ctx)

        def list_commands(self, ctx: Any) -> list[str]:
            return list(commands)

        def get_command(self, ctx: Any, cmd_name: str) -> Any:
            if cmd_name not in commands:
                return None
            target, _ = commands[cmd_name]
            return _load(cmd_name, target, ctx)

        def resolve_command(self, ctx: Any, args: list[str]) -> Any:
            self.commands = dict.fromkeys(commands, self)  # names that a typo may mean
            return super().resolve_command(ctx, args)

        def summaries(self, ctx: Any) -> dict[str, str]:
            return {name: what for name, (_, what) in commands.items()}

    return typer.Typer(**{**SETTINGS, "cls": LazyGroup, **settings})


def _load(name: str, target: str, ctx: Any) -> Any:
    module, _, attribute = target.partition(":")
    try:
        found = getattr(import_module(module), attribute)
    except ModuleNotFoundError as error:
        if extras.is_ours(error.name):
            raise
        path = " ".join((*ctx.command_path.split(" ")[1:], name))
        return _missing(name, extras.missing(error.name or "", command=path))
    if isinstance(found, typer.Typer):
        found._add_completion = False  # typer takes this from the outermost app alone
        command = typer.main.get_command(found)
        command.name = name
        return command
    return _command(name, found)


def _command(name: str, function: Any, **settings: Any) -> Any:
    app = typer.Typer(**{**SETTINGS, "no_args_is_help": False})
    text = _paragraphs(function.__doc__ or "")
    app.command(name, cls=Command, help=text, **settings)(function)
    return typer.main.get_command(app)


def _paragraphs(text: str) -> str:
    """A docstring with each paragraph on one line: typer would keep the breaks within."""
    return "\n\n".join(" ".join(part.split()) for part in text.split("\n\n"))


def _missing(name: str, said: str) -> Any:
    """A command that can't be had, whatever follows it."""

    def missing(ctx: typer.Context) -> None:
        raise SystemRefusedError(said)

    missing.__doc__ = f"Not installed: {said}"
    settings = {"ignore_unknown_options": True, "allow_extra_args": True}
    return _command(name, missing, context_settings={**SETTINGS["context_settings"], **settings})
