"""The demo's timeline on the terminal: what happened, when, and what it shows."""

import time

from rich.console import Console
from rich.table import Table

from roamkey.lab.wire import Signal

_STYLES = {"act": "bold", "wire": "cyan", "ok": "green", "power": "yellow", "attack": "magenta"}


class Timeline:
    """Prints a line an event, with the seconds since the start."""

    def __init__(self, console: Console) -> None:
        self.start = time.time()
        self._console = console

    def act(self, title: str) -> None:
        """Open an act of the story."""
        self._console.print()
        self._console.rule(f"[bold]{title}", align="left", style="dim")

    def event(self, kind: str, text: str, at: float | None = None) -> None:
        """Print what happened at `at` (seconds since the epoch), now if None."""
        seconds = (time.time() if at is None else at) - self.start
        self._console.print(
            f"[dim]{seconds:8.3f} s[/]  [{_STYLES[kind]}]{kind:<6}[/]  {text}", highlight=False
        )

    def signal(self, signal: Signal) -> None:
        """Print a message as the wire carried it."""
        if signal.is_update:
            text = f"BU  sequence {signal.sequence}, care-of address {signal.care_of_address}"
            if not signal.lifetime:
                text += ", lifetime 0"
            if signal.near != signal.care_of_address:
                text += f", from {signal.near}"
        else:
            text = f"BA  sequence {signal.sequence}, status {signal.status}"
        if signal.way != "native":
            text += f" ({signal.way})"
        self.event("wire", text, signal.time)

    def table(self, title: str, columns: list[str], rows: list[list[str]]) -> None:
        """Print a small table."""
        table = Table(title=title, title_justify="left", title_style="bold", box=None)
        for column in columns:
            table.add_column(column, justify="right" if column.endswith("ms") else "left")
        for row in rows:
            table.add_row(*row)
        self._console.print()
        self._console.print(table)

    def note(self, text: str) -> None:
        """Print a line without a time."""
        self._console.print(text, highlight=False)
