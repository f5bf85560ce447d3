"""What commands print, and the folders that they fill: rows, and bars on a terminal only.

What a board says is shown, never obeyed; what goes into a file or a pipe stays clean.
"""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from roamkey import privatefiles
from roamkey.errors import RefusedError, SystemRefusedError

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress

_OURS = ".roamkey"  # in a folder that may be removed
_UNFINISHED = "Made by roamkey, and not whole: it is removed when it is made anew.\n"
_FINISHED = "Made by roamkey, which keeps it beside the next one, and removes it after that.\n"

Report = Callable[[int, int], None]


def bars(console: "Console | None" = None) -> "Progress":
    """An empty set of bars on stderr, drawn only where that is a terminal."""
    from roamkey.cli.bars import made

    return made(console)


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

    One that was finished (`keep_folder`) is kept as PATH.before, in place of an earlier one.
    Raises RefusedError, SystemRefusedError.
    """
    try:
        path = path.resolve()
        before = path.parent / f"{path.name}.before"
        for each in (path, before):
            if each.exists() and not (each / _OURS).is_file() and any(each.iterdir()):
                raise RefusedError(f"{each} holds other things: name another folder, or remove it")
        if path.exists() and _is_kept(path):
            if before.exists():
                shutil.rmtree(before)
            path.rename(before)
        elif path.exists():
            shutil.rmtree(path)
        path.mkdir(parents=True)
        privatefiles.write(path / _OURS, _UNFINISHED, privatefiles.SHARED)
    except OSError as error:
        raise SystemRefusedError(f"{path}: {error.strerror}") from None


def keep_folder(path: Path) -> None:
    """Say that a folder is whole: the next `fresh_folder` keeps it. Raises SystemRefusedError."""
    try:
        privatefiles.write(path / _OURS, _FINISHED, privatefiles.SHARED)
    except OSError as error:
        raise SystemRefusedError(f"{path}: {error.strerror}") from None


def _is_kept(path: Path) -> bool:
    mark = path / _OURS
    return mark.is_file() and mark.read_text(errors="replace") != _UNFINISHED


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
