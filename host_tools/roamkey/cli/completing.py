"""What may stand in a word's place on the command line, for shells that complete words."""

from typing import Any

import typer

_WHAT_MAX = 80  # characters of what is said beside a word


def candidates(app: typer.Typer, words: list[str]) -> list[tuple[str, str]]:
    """What the last of `words` (those behind `roamkey`) may become, and what that is.

    Nothing where it is a file's name, a number, or what nobody knows.
    """
    group: Any = typer.main.get_command(app)
    context = typer.Context(group, info_name="roamkey", resilient_parsing=True)
    *before, last = words
    while before and hasattr(group, "list_commands"):
        name = before.pop(0)
        if name.startswith("-"):
            continue
        group = group.get_command(context, name)
        if group is None:
            return []
        context = typer.Context(group, info_name=name, parent=context, resilient_parsing=True)
    found = _of_group(group, context) if hasattr(group, "list_commands") else []
    wanted = _wanting(group, before)
    if wanted is None and last.startswith("-"):
        found = _options(group, context)
    elif wanted is not None or not found:
        found = _values(wanted or _argument(group, before), context, last)
    return [(word, what[:_WHAT_MAX]) for word, what in found if word.startswith(last)]


def _of_group(group: Any, context: Any) -> list[tuple[str, str]]:
    return list(group.summaries(context).items())


def _options(command: Any, context: Any) -> list[tuple[str, str]]:
    return [
        (name, " ".join((getattr(one, "help", None) or "").split()))
        for one in command.get_params(context)
        if one.param_type_name == "option" and not getattr(one, "hidden", False)
        for name in (*one.opts, *one.secondary_opts)
        if name.startswith("--")
    ]


def _takes_value(option: Any) -> bool:
    return not (option.is_flag or getattr(option, "count", False))


def _wanting(command: Any, before: list[str]) -> Any:
    """The option whose value is the next word; None: none."""
    named = {name: one for one in command.params for name in one.opts if name.startswith("-")}
    one = named.get(before[-1]) if before else None
    return one if one is not None and _takes_value(one) else None


def _argument(command: Any, before: list[str]) -> Any:
    """The argument that is the next word; None: none."""
    named = {name: one for one in command.params for name in one.opts if name.startswith("-")}
    given, skip = 0, False
    for word in before:
        if skip:
            skip = False
        elif word.startswith("-"):
            one = named.get(word)
            skip = one is not None and _takes_value(one)
        else:
            given += 1
    arguments = [one for one in command.params if one.param_type_name == "argument"]
    return arguments[given] if given < len(arguments) else None


def _values(parameter: Any, context: Any, last: str) -> list[tuple[str, str]]:
    if parameter is None:
        return []
    found = parameter.shell_complete(context, last)
    return [(str(one.value), one.help or "") for one in found if one.type == "plain"]
