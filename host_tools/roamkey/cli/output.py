"""What commands print, and the folders that they fill: rows, and bars on a terminal only.

What a board says is shown, never obeyed; what goes into a file or a pipe stays clean.
"""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from roamkey.errors import RefusedError, SystemRefusedError

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress

_OURS = ".roamkey"  # in a folder that may be removed

Report = Callable[[int, int], None]


def bars(console: "Console | None" = None) -> "Progress":
    """An empty set of bars on stderr, drawn only where that is a terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

    console = console or Console(stderr=True)
    return Progress(
        TextColumn("{task.description}", table_column=None, markup=False),
        BarColumn(bar_width=24),
        TaskProgressColumn(),
        TextColumn("{task.fields[step]}", markup=False),
        console=console,
        disable=not console.is_terminal,
        transient=True,
    )


@contextmanager
def bar(description: str) -> Iterator[Report]:
    """One bar; gives what is called with the amount done and the whole."""
    with bars() as progress:
        task = progress.add_task(description, total=None, step="")

        def report(done: int, total: int) -> None:
            progress.update(task, completed=done, total=max(total, 1))

        yield report


def fresh_folder(path: Path) -> None:
    """Have an empty folder there, in place of one that this made earlier; never of another.

    Raises RefusedError, SystemRefusedError.
    """
    try:
        if path.exists() and not (path / _OURS).is_file() and any(path.iterdir()):
            raise RefusedError(f"{path} holds other things: name another folder, or remove it")
        if path.exists():
            shutil.rmtree(path)
        path.mkdir(parents=True)
        (path / _OURS).write_text("Made by roamkey, which removes it when it makes it anew.\n")
    except OSError as error:
        raise SystemRefusedError(f"{path}: {error.strerror}") from None


def row(name: str, value: Any) -> None:
    """Print a line of a summary."""
    typer.echo(f"{name:<15}{plain(value)}")


def plain(value: Any) -> str:
    """A value as text that a terminal shows and doesn't obey."""
    return "".join(c if c.isprintable() else "?" for c in str(value))


def keys_text(peer: tuple[str, tuple[int, ...]], without: str) -> str:
    """A peer of a board, address and generations of its keys, as a row has it; `without`: what is
    said where there is no key."""
    name, numbers = peer
    if not numbers:
        return f"{name}, {without}"
    span = str(numbers[0]) if len(numbers) == 1 else f"{numbers[0]} to {numbers[-1]}"
    return f"{name}, key generation {span}"
