"""The CSV of what became of a fleet's lines: written at each step, so that nothing is lost.

Before a board is touched its line says `begun`; so whoever is killed leaves word of which board
got which line, and the next run goes on with that one. Nothing that is known of a board that was
given keys goes again: where a line is given to another board, the earlier one stays beside it.
"""

import csv
import io
import math
import re
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from mip6 import addresses
from roamkey import privatefiles
from roamkey.errors import BadInputError, SystemRefusedError
from roamkey.fleet.rows import Row, read_records

#: What became of a line.
DONE, BEGUN, FAILED, MISSING = "ok", "begun", "failed", "missing"

_OCTETS_MAX = 1 << 26
_LATER = ("plan",)  # columns that files of earlier versions don't have


@dataclass(frozen=True)
class Outcome:
    """What became of a line. `result`: "ok", "failed" (at `step`, because of `error`), "missing"
    (no such board appeared) or "begun" (whoever did it was ended). No secret is in it.

    `plan`: a digest of what the board was to become, "" where nobody knows.
    """

    line: int
    name: str
    board: str
    port: str
    home_address: str
    result: str
    step: str
    error: str
    seconds: float
    micropython: str
    agent: str
    set_id: str
    plan: str = ""


class Results:
    """What is known of the lines of a fleet, and its file. Any thread may use it."""

    def __init__(
        self,
        path: Path,
        rows: Sequence[Row],
        earlier: Iterable[Outcome],
        live: Callable[[str], bool] = lambda board: True,
    ) -> None:
        """`earlier`: of runs before, in whichever order the lines were then; `live`: whether a
        board holds keys by the registry. Nothing is written yet."""
        self.path = path
        self._lock = threading.Lock()
        self._of: dict[int, Outcome] = {}
        left = list(earlier)
        for fits in _FITS:
            for row in rows:
                mine = [each for each in left if row.line not in self._of and fits(row, each)]
                if mine:
                    best = max(mine, key=lambda each: (each.result == DONE, live(each.board)))
                    left.remove(best)
                    self._of[row.line] = replace(best, line=row.line)
        self._beside = [each for each in left if each.board and each.result != MISSING]

    @property
    def outcomes(self) -> list[Outcome]:
        """What is known of each line of the fleet, by line; of some perhaps nothing."""
        with self._lock:
            return [self._of[line] for line in sorted(self._of)]

    @property
    def beside(self) -> list[Outcome]:
        """Of boards that were begun as, or had, a line that isn't theirs any more."""
        return list(self._beside)

    def of(self, row: Row) -> Outcome | None:
        """What is known of a line."""
        return self._of.get(row.line)

    def put(self, new: Outcome) -> None:
        """Note what became of a line, and write the file; see the top of this file. Raises
        SystemRefusedError."""
        with self._lock:
            before = self._of.get(new.line)
            if new.result == MISSING and before is not None and before.result != MISSING:
                return
            other = before is not None and before.board != new.board
            if before is not None and other and before.board and before.result != MISSING:
                self._beside.append(before)
            elif before is not None and before.board == new.board:
                new = _with_what_is_known(new, before)
            self._of[new.line] = new
            if new.board:  # it is this line's, wherever it was begun before
                self._forget(new)
            self._write()

    def again(self) -> None:
        """What is done is to be done once more. Raises SystemRefusedError."""
        with self._lock:
            for line, each in self._of.items():
                if each.result == DONE:
                    self._of[line] = replace(each, result=BEGUN)
            self._write()

    def _forget(self, new: Outcome) -> None:
        """Nothing is told of a board in two places, but of keys that only the other one has."""

        def stays(each: Outcome) -> bool:
            return each.board != new.board or (each.set_id != "" and not new.set_id)

        self._beside = [each for each in self._beside if stays(each)]
        for line, each in list(self._of.items()):
            if line != new.line and not stays(each):
                del self._of[line]

    def _write(self) -> None:
        write_results(self.path, [*self._of.values(), *self._beside])


def _same_board(row: Row, outcome: Outcome) -> bool:
    return bool(row.board) and outcome.board.startswith(row.board)


def _same_name(row: Row, outcome: Outcome) -> bool:
    if row.board and outcome.board:
        return False
    return bool(row.name) and outcome.name == row.name


def _same_address(row: Row, outcome: Outcome) -> bool:
    if (row.board and outcome.board) or (row.name and outcome.name):
        return False
    address = row.home_address
    return address is not None and outcome.home_address == addresses.text(address)


def _same_line(row: Row, outcome: Outcome) -> bool:
    if row.board or row.name or row.home_address is not None or outcome.name:
        return False
    return outcome.line == row.line


_FITS = (_same_board, _same_name, _same_address, _same_line)  # the surest first


def _with_what_is_known(new: Outcome, before: Outcome) -> Outcome:
    """A board that was begun again, or failed, is still the one that was known."""
    if new.result == DONE:
        return new
    return replace(
        new,
        home_address=new.home_address or before.home_address,
        micropython=new.micropython or before.micropython,
        agent=new.agent or before.agent,
        set_id=new.set_id or before.set_id,
    )


def is_done(outcome: Outcome | None, board: str, plan: str) -> bool:
    """Whether a line is what it is to become: `board` holds its keys, `plan` is the digest of what
    it was to be."""
    if outcome is None or outcome.result != DONE or outcome.board != board:
        return False
    return outcome.plan in ("", plan)


def read_results(path: Path) -> list[Outcome]:
    """The outcomes of an earlier run; raises BadInputError."""
    names = tuple(field.name for field in fields(Outcome))
    content = privatefiles.read_regular(path, _OCTETS_MAX)
    if not content.strip():
        return []
    header = content.partition(b"\n")[0].decode("utf-8-sig", "replace")
    columns = {word.strip().lower() for word in re.split("[,;\t]", header)}
    if not columns <= set(names) or set(names) - columns - set(_LATER):
        raise BadInputError(f"{path} is there, and these are no results of roamkey batch")
    outcomes = []
    for line, record in read_records(path, content, names):
        record = {name: record.get(name, "") for name in names}
        try:
            outcomes.append(_outcome(record))
        except ValueError:
            raise BadInputError(f"{path}, line {line}: damaged") from None
    return outcomes


def _outcome(record: dict[str, str]) -> Outcome:
    """A line of the file; raises ValueError."""
    line, seconds = int(record["line"]), float(record["seconds"])
    good = record["result"] in (DONE, BEGUN, FAILED, MISSING)
    if not good or not math.isfinite(seconds) or line < 1:
        raise ValueError
    values: dict[str, Any] = {**record, "line": line, "seconds": seconds}
    return Outcome(**values)


def write_results(path: Path, outcomes: Iterable[Outcome]) -> None:
    """Write the outcomes as CSV, in one step: a reader finds the old file or the new one."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, [field.name for field in fields(Outcome)])
    writer.writeheader()
    for outcome in sorted(outcomes, key=lambda each: each.line):
        writer.writerow(asdict(outcome))
    try:
        privatefiles.write(path, text.getvalue(), privatefiles.SHARED)
    except OSError as error:
        raise SystemRefusedError(f"{path}: {error.strerror}") from None
