"""Bars of progress; loaded where something is to be shown."""

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

from roamkey import notice


class _Bars(Progress):
    """Bars, beside which no notice is shown."""

    def start(self) -> None:
        if not self.disable:
            self._quiet = notice.muted()
            self._quiet.__enter__()
        super().start()

    def stop(self) -> None:
        super().stop()
        if not self.disable:
            self._quiet.__exit__(None, None, None)


def made(console: Console | None = None) -> Progress:
    """An empty set of them on stderr, drawn only where that is a terminal."""
    console = console or Console(stderr=True)
    return _Bars(
        TextColumn("{task.description}", table_column=None, markup=False),
        BarColumn(bar_width=24),
        TaskProgressColumn(),
        TextColumn("{task.fields[step]}", markup=False),
        console=console,
        disable=not console.is_terminal,
        transient=True,
    )
