"""Work on every board of a fleet as it appears, several at a time.

Ports are looked at again and again; a board that fits a line of the fleet is taken, once. A line
that a board got earlier is that board's, on whichever port it is, as long as it holds the keys.
Boards that fit none, sealed ones and, for lines that name no board, ones that hold keys, are left
alone.
"""

import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace
from pathlib import Path

from mip6 import addresses
from roamkey.board import discovery
from roamkey.board.discovery import Found
from roamkey.enroll.deliver import for_board
from roamkey.errors import RoamkeyError
from roamkey.fleet.prepare import KEYED, Progress, Report, Wish, prepare
from roamkey.fleet.results import BEGUN, DONE, FAILED, MISSING, Outcome
from roamkey.fleet.rows import Row
from roamkey.registry import Registry

_LOOK_EACH_S = 0.5


@dataclass(frozen=True)
class Work:
    """What `run` is to do. `wish`: makes a row's wish; `taken`: boards that no row gets which
    doesn't name them; `interrupted`: ports at which an earlier run was ended.

    `jobs`: boards at a time; `wait_s`: how long to wait for boards that aren't there; `stop`: once
    set, no further board is taken. `started` is called with a row when its board is taken, and
    gives whom to tell of its progress; `begun` before anything is done to a board that is known,
    and before it is given keys, so that who is killed leaves word; `ended` with each outcome;
    `waiting` with the rows for which there is no board, and the seconds left. All but the last
    are called from any thread.
    """

    rows: list[Row]
    wish: Callable[[Row], Wish]
    taken: frozenset[str] = frozenset()
    interrupted: frozenset[str] = frozenset()
    jobs: int = 16
    wait_s: float = 60.0
    replace: bool = False
    started: Callable[[Row], Report] = lambda row: lambda step, done, total: None
    begun: Callable[[Outcome], None] = lambda outcome: None
    ended: Callable[[Outcome], None] = lambda outcome: None
    waiting: Callable[[list[Row], float], None] = lambda rows, left: None
    stop: threading.Event = field(default_factory=threading.Event)


def run(registry: Registry, work: Work) -> list[Outcome]:
    """Do it; the outcomes in the order of the rows. Once `work.stop` is set the boards that were
    begun are finished, and rows that weren't have no outcome."""
    return _Run(registry, work).run()


class _Run:
    def __init__(self, registry: Registry, work: Work) -> None:
        self._registry = registry
        self._work = work
        self._left = list(work.rows)
        self._ports: set[str] = set()  # in use, or done
        self._boards: set[str] = set()
        self._seen: list[Found] = []
        self._silent: set[str] = set()
        self._interrupted = {_real(port) for port in work.interrupted}
        self._outcomes: list[Outcome] = []
        self._lock = threading.Lock()

    def run(self) -> list[Outcome]:
        work, running = self._work, list[Future[None]]()
        end = time.monotonic() + work.wait_s
        with ThreadPoolExecutor(work.jobs) as pool:
            while self._left and not work.stop.is_set():
                for row, found in self._matches(self._look()):
                    wish = work.wish(row)
                    if found.board is not None:  # addresses in the order of the lines
                        with contextlib.suppress(RoamkeyError):
                            for_board(wish.plan, wish.pool, found.board)
                    running.append(pool.submit(self._prepare, row, wish, found))
                busy = any(not future.done() for future in running)
                left = end - time.monotonic()
                if left <= 0 and not busy:
                    break
                work.waiting(self._left, max(left, 0.0))
                work.stop.wait(_LOOK_EACH_S)
            while not work.stop.is_set() and wait(running, _LOOK_EACH_S).not_done:
                pass
            if work.stop.is_set():
                pool.shutdown(wait=True, cancel_futures=True)
        for future in running:
            if not future.cancelled():
                future.result()
        if not work.stop.is_set():
            for row in self._left:
                progress = Progress(row.port, row.bound or row.board)
                self._end(_outcome(row, progress, MISSING, self._why_missing(row), 0.0))
        return sorted(self._outcomes, key=lambda outcome: outcome.line)

    def _look(self) -> list[Found]:
        """What is behind the ports that nobody works on; all of them are asked at once."""
        named = [discovery.Port(row.port) for row in self._left if row.port]
        ports = {_real(port.path): port for port in (*named, *discovery.ports())}
        found = discovery.look_at_all(
            [port for real, port in ports.items() if real not in self._ports]
        )
        woken = {each.port: each for each in discovery.interrupt_all(self._left_amid(found))}
        self._seen = [woken.get(each.port, each) for each in found]
        return self._seen

    def _left_amid(self, found: Iterable[Found]) -> list[discovery.Port]:
        """Ports where a run of ours was ended, once they are silent for the second time: such a
        board waits for the rest of a file. At first it may be starting."""
        silent = {
            _real(each.port.path): each.port for each in found if each.state == discovery.SILENT
        }
        stuck = [real for real in silent if real in self._silent & self._interrupted]
        self._interrupted.difference_update(stuck)
        self._silent = set(silent)
        return [silent[real] for real in stuck]

    def _matches(self, found: Iterable[Found]) -> list[tuple[Row, Found]]:
        """Rows and the boards for them, the rows that name one first; both are then taken."""
        pairs = []
        boards = [each for each in found if each.board not in self._boards]
        for fits in (_by_port, _by_board, self._as_likely, self._by_chance):
            for each in boards:
                if _real(each.port.path) in self._ports or each.board in self._boards:
                    continue
                row = next((row for row in self._left if fits(row, each)), None)
                if row is not None:
                    self._left.remove(row)
                    self._ports.add(_real(each.port.path))
                    if each.board is not None:
                        self._boards.add(each.board)
                    pairs.append((row, each))
        return sorted(pairs, key=lambda pair: pair[0].line)

    def _by_chance(self, row: Row, found: Found) -> bool:
        free = found.micropython is not None and (self._work.replace or not found.provisioned)
        named = row.port or row.board or row.bound
        return not named and free and found.board not in self._work.taken

    def _as_likely(self, row: Row, found: Found) -> bool:
        return row.likely != "" and row.likely == found.board and self._by_chance(row, found)

    def _prepare(self, row: Row, wish: Wish, found: Found) -> None:
        started = time.monotonic()
        progress = Progress(found.port.path, found.board or "", set_id=found.set_id or "")
        keyed = False
        if row.begun and row.begun == found.board:
            keyed, progress.set_id = row.keyed, row.held
            wish = replace(
                wish, flashed=row.flashed, held=row.held, replace=wish.replace and not keyed
            )
        result, error = DONE, ""
        try:
            if row.home_address is not None:
                progress.home_address = addresses.text(row.home_address)
            progress.report = self._work.started(row)
            progress.note = lambda: self._work.begun(
                replace(
                    _outcome(row, progress, BEGUN, "", 0.0, wish.digest),
                    step=KEYED if keyed else progress.step,
                )
            )
            prepare(self._registry, wish, progress)
        except RoamkeyError as failure:
            result, error = FAILED, str(failure)
        except Exception as failure:  # a fault of ours must not stop the other boards
            result, error = FAILED, f"internal error: {type(failure).__name__}"
        seconds = time.monotonic() - started
        self._end(_outcome(row, progress, result, error, seconds, wish.digest))

    def _end(self, outcome: Outcome) -> None:
        with self._lock:
            self._outcomes.append(outcome)
            self._work.ended(outcome)

    def _why_missing(self, row: Row) -> str:
        """Why no board became a row's, for who looks at the boards that are plugged in."""
        asked = f"({len(self._seen)} other port(s) asked)"
        if row.bound:
            return (
                f"board {row.bound} got this line and isn't plugged in {asked}; where it is lost, "
                f"`roamkey retire --board {row.bound}` frees the line"
            )
        if row.port:
            return self._why_not_at(row)
        if row.board:
            return f"no board {row.board} is plugged in {asked}"
        if not self._seen:
            return "no further board is plugged in"
        keyed = sum(bool(found.provisioned) for found in self._seen)
        silent = sum(found.micropython is None for found in self._seen)
        return (
            f"no board without keys is plugged in ({len(self._seen)} other port(s) asked: "
            f"{keyed} with keys, {silent} without an answer)"
        )

    def _why_not_at(self, row: Row) -> str:
        if not Path(row.port).exists():
            return f"not plugged in: no port {row.port}"
        if _real(row.port) in self._ports:
            return f"the board at {row.port} is another line's"
        for found in self._seen:
            if _real(found.port.path) == _real(row.port):
                if found.board is None:
                    return f"{row.port}: {found.text or 'no answer'}"
                if found.board in self._boards:
                    return f"{row.port}: board {found.board} is another line's"
                return f"{row.port}: board {found.board} is there, not {row.board}"
        return f"{row.port}: not plugged in"


def _by_port(row: Row, found: Found) -> bool:
    if not row.port or _real(row.port) != _real(found.port.path):
        return False
    answers = found.micropython is not None
    wanted = row.bound or row.board
    fits = not wanted or (found.board or "").startswith(wanted)
    # A bare chip says nothing before it is flashed.
    return fits if answers else row.firmware is not None and found.state == discovery.SILENT


def _by_board(row: Row, found: Found) -> bool:
    if found.board is None:
        return False
    if row.bound:
        return found.board == row.bound
    return bool(row.board) and not row.port and found.board.startswith(row.board)


def _outcome(
    row: Row, progress: Progress, result: str, error: str, seconds: float, plan: str = ""
) -> Outcome:
    return Outcome(
        line=row.line,
        name=row.name,
        board=progress.board,
        port=progress.port,
        home_address=progress.home_address,
        result=result,
        step="" if result == DONE else progress.step,
        error=" ".join(error.split()),
        seconds=round(seconds, 2),
        micropython=progress.micropython,
        agent=progress.agent,
        set_id=progress.set_id,
        plan=plan,
    )


def _real(path: str) -> str:
    return os.path.realpath(path)
