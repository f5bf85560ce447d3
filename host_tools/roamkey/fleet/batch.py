"""Work on every board of a fleet as it appears, several at a time.

Ports are looked at again and again; a board that fits a line of the fleet is taken, once. Boards
that fit none, sealed ones and, for lines that name no board, ones that hold keys, are left alone.
"""

import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from roamkey.board import discovery
from roamkey.board.discovery import Found
from roamkey.enroll.deliver import for_board
from roamkey.errors import RoamkeyError
from roamkey.fleet.prepare import Progress, Report, Wish, prepare
from roamkey.fleet.rows import DONE, FAILED, MISSING, Outcome, Row
from roamkey.registry import Registry

_LOOK_EACH_S = 0.5


@dataclass(frozen=True)
class Work:
    """What `run` is to do. `wish`: makes a row's wish; `excluded`: boards not to be touched.

    `jobs`: boards at a time; `wait_s`: how long to wait for boards that aren't there. `started`
    is called with a row when its board is taken, and gives whom to tell of its progress; `ended`
    with each outcome. Both are called from any thread.
    """

    rows: list[Row]
    wish: Callable[[Row], Wish]
    excluded: frozenset[str] = frozenset()
    jobs: int = 16
    wait_s: float = 60.0
    replace: bool = False
    started: Callable[[Row], Report] = lambda row: lambda step, done, total: None
    ended: Callable[[Outcome], None] = lambda outcome: None


def run(registry: Registry, work: Work) -> list[Outcome]:
    """Do it; the outcomes in the order of the rows. Ctrl-C takes no further board, lets the
    running ones finish, and is raised then."""
    return _Run(registry, work).run()


class _Run:
    def __init__(self, registry: Registry, work: Work) -> None:
        self._registry = registry
        self._work = work
        self._left = list(work.rows)
        self._ports: set[str] = set()  # in use, or done
        self._boards = set(work.excluded)
        self._outcomes: list[Outcome] = []
        self._lock = threading.Lock()

    def run(self) -> list[Outcome]:
        end = time.monotonic() + self._work.wait_s
        running: list[Future[None]] = []
        with ThreadPoolExecutor(self._work.jobs) as pool:
            try:
                while True:
                    for row, found in self._matches(self._look()):
                        wish = self._work.wish(row)
                        if found.board is not None:  # addresses in the order of the lines
                            with contextlib.suppress(RoamkeyError):
                                for_board(wish.plan, wish.pool, found.board)
                        running.append(pool.submit(self._prepare, row, wish, found))
                    busy = any(not future.done() for future in running)
                    if not self._left or (time.monotonic() >= end and not busy):
                        break
                    time.sleep(_LOOK_EACH_S)
            except KeyboardInterrupt:
                pool.shutdown(wait=True, cancel_futures=True)
                raise
        for future in running:
            future.result()
        for row in self._left:
            self._end(_outcome(row, Progress(row.port, row.board), MISSING, "not plugged in", 0.0))
        return sorted(self._outcomes, key=lambda outcome: outcome.line)

    def _look(self) -> list[Found]:
        """What is behind the ports that nobody works on; all of them are asked at once."""
        named = [discovery.Port(row.port) for row in self._left if row.port]
        ports = {_real(port.path): port for port in (*named, *discovery.ports())}
        return discovery.look_at_all(
            [port for real, port in ports.items() if real not in self._ports]
        )

    def _matches(self, found: Iterable[Found]) -> list[tuple[Row, Found]]:
        """Rows and the boards for them, the rows that name one first; both are then taken."""
        pairs = []
        boards = [each for each in found if each.board not in self._boards]
        for fits in (_by_port, _by_board, self._by_chance):
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
        return not row.port and not row.board and free

    def _prepare(self, row: Row, wish: Wish, found: Found) -> None:
        started = time.monotonic()
        progress = Progress(found.port.path, found.board or "")
        result, error = DONE, ""
        try:
            progress.report = self._work.started(row)
            prepare(self._registry, wish, progress)
        except RoamkeyError as failure:
            result, error = FAILED, str(failure)
        except Exception as failure:  # a fault of ours must not stop the other boards
            result, error = FAILED, f"internal error: {type(failure).__name__}"
        self._end(_outcome(row, progress, result, error, time.monotonic() - started))

    def _end(self, outcome: Outcome) -> None:
        with self._lock:
            self._outcomes.append(outcome)
            self._work.ended(outcome)


def _by_port(row: Row, found: Found) -> bool:
    if not row.port or _real(row.port) != _real(found.port.path):
        return False
    answers = found.micropython is not None
    fits = not row.board or (found.board or "").startswith(row.board)
    # A bare chip says nothing before it is flashed.
    return fits if answers else row.firmware is not None and found.state == discovery.SILENT


def _by_board(row: Row, found: Found) -> bool:
    if not row.board or row.port or found.board is None:
        return False
    return found.board.startswith(row.board)


def _outcome(row: Row, progress: Progress, result: str, error: str, seconds: float) -> Outcome:
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
    )


def _real(path: str) -> str:
    return os.path.realpath(path)
