"""What `roamkey batch` shows: bars on a terminal, else a line for each board; and what became of
all of them."""

from rich.console import Console
from rich.progress import Progress as Bars
from rich.progress import TaskID
from rich.table import Table

from roamkey.cli.output import plain
from roamkey.fleet.prepare import Report
from roamkey.fleet.results import DONE, Outcome
from roamkey.fleet.rows import Row

_STEPS = ("flash", "install", "provision", "verify", "register", "done")
_TITLE_MAX = 20


class View:
    """A bar for the whole and one for each board that is worked on; who ends leaves a line.
    Methods may be called from any thread."""

    def __init__(self, drawn: Bars, count: int, done: int, silent: bool) -> None:
        """`count` boards, `done` of them before; `silent`: nothing but bars on a terminal."""
        self._drawn = drawn
        self._silent = silent
        self._tasks: dict[int, TaskID] = {}
        self._all = drawn.add_task(_title("all boards"), total=count, completed=done, step="")

    def started(self, row: Row) -> Report:
        """A bar for this row; gives what moves it."""
        task = self._drawn.add_task(_title(row.title), total=len(_STEPS) - 1, step="")
        self._tasks[row.line] = task

        def report(step: str, done: int, total: int) -> None:
            at = _STEPS.index(step) + done / max(total, 1)
            self._drawn.update(task, completed=min(at, len(_STEPS) - 1), step=step)

        return report

    def ended(self, outcome: Outcome) -> None:
        """Say how a row ended."""
        task = self._tasks.pop(outcome.line, None)
        if task is not None:
            self._drawn.remove_task(task)
        if outcome.result == DONE:
            self._drawn.advance(self._all)
        what = outcome.name or outcome.board or outcome.port or f"line {outcome.line}"
        took = f" in {outcome.seconds} s" if outcome.seconds else ""
        told = f"{what}: {outcome.result}{took}"
        if self._drawn.live.is_started or not self._silent:
            self._drawn.console.print(plain(told), markup=False, highlight=False)

    def waiting(self, rows: list[Row], left_s: float) -> None:
        """Say for how many boards there is nothing plugged in."""
        step = f"waiting for {len(rows)}, {left_s:.0f} s left" if rows else ""
        self._drawn.update(self._all, step=step)


def show(outcomes: list[Outcome]) -> None:
    """A table of all, and what failed."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for name in ("name", "board", "home address", "result", "s"):
        table.add_column(name, overflow="fold")
    for each in outcomes:
        name = each.name or f"line {each.line}"
        seconds = f"{each.seconds:.1f}"
        values = (name, each.board or "-", each.home_address or "-", each.result, seconds)
        table.add_row(*map(plain, values))
    console = Console(highlight=False, markup=False)
    console.print(table)
    for each in outcomes:
        if each.error:
            at = f" at {each.step}" if each.step != "waiting" else ""
            console.print(
                plain(f"{each.name or each.board or f'line {each.line}'}{at}: {each.error}")
            )


def _title(text: str) -> str:
    return f"{plain(text)[:_TITLE_MAX]:<{_TITLE_MAX}}"
