"""Plain output: rows of a name and a value. What a board says is shown, never obeyed."""

from typing import Any

import typer


def row(name: str, value: Any) -> None:
    """Print a line of a summary."""
    typer.echo(f"{name:<15}{plain(value)}")


def plain(value: Any) -> str:
    """A value as text that a terminal shows and doesn't obey."""
    return "".join(c if c.isprintable() else "?" for c in str(value))
