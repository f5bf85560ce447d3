"""The fleet's CSV file: a line for each board, and the CSV of what became of it.

Columns, all of them optional, in any order: `name` (for people, also on the label), `board`
(unique id or its beginning), `port`, `firmware` (a file to flash first, relative to the CSV),
`home_address`, `home_agent`, `insecure_home_agent` (an address; one of them), `correspondents`,
`return_routability` (addresses) and `reach` (as --reach has it), these three separated by spaces.
A line with neither board nor port stands for any board that appears.
"""

import csv
import io
import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path

from mip6 import addresses
from roamkey import privatefiles
from roamkey.enroll.peers import Peers
from roamkey.errors import BadInputError, SystemRefusedError

#: What became of a line.
DONE, FAILED, MISSING = "ok", "failed", "missing"

_COLUMNS = (
    "name",
    "board",
    "port",
    "firmware",
    "home_address",
    "correspondents",
    "return_routability",
    "home_agent",
    "insecure_home_agent",
    "reach",
)
_ID_DIGITS_MIN = 4
_LABEL_MAX = 60
_OCTETS_MAX = 1 << 24  # a hundred thousand boards


@dataclass(frozen=True)
class Row:
    """What one board is to become. `line`: of the file, the header being 1. Addresses: 16 octets.

    `name`, `board` and `port` are "" where the file says nothing.
    """

    line: int
    name: str = ""
    board: str = ""
    port: str = ""
    firmware: Path | None = None
    home_address: bytes | None = None
    peers: Peers = field(default_factory=Peers)
    reach: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """What to call it in a table."""
        return self.name or self.board or self.port or f"line {self.line}"


@dataclass(frozen=True)
class Outcome:
    """What became of a line. `result`: "ok", "failed" (at `step`, because of `error`) or
    "missing" (no such board appeared). No secret is in it."""

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


def read_fleet(path: Path) -> list[Row]:
    """The lines of a fleet's file; raises BadInputError (one line, with the line's number)."""
    rows = []
    for line, record in _records(path, _COLUMNS):
        try:
            rows.append(_row(line, record, path.parent))
        except ValueError as error:
            raise BadInputError(f"{path}, line {line}: {error}") from None
    if not rows:
        raise BadInputError(f"{path}: no boards in it")
    for what in ("board", "port", "name", "home_address"):
        given = [getattr(row, what) for row in rows if getattr(row, what)]
        twice = next((value for value, count in Counter(given).items() if count > 1), None)
        if twice is not None:
            shown = addresses.text(twice) if isinstance(twice, bytes) else twice
            raise BadInputError(f"{path}: {shown} stands in it twice")
    return rows


def read_results(path: Path) -> list[Outcome]:
    """The outcomes of an earlier run; raises BadInputError."""
    names = tuple(field.name for field in fields(Outcome))
    outcomes = []
    for line, record in _records(path, names):
        if set(names) - set(record):
            raise BadInputError(f"{path}: no results of roamkey batch")
        try:
            values = {**record, "line": int(record["line"]), "seconds": float(record["seconds"])}
            if not math.isfinite(float(record["seconds"])):
                raise ValueError
            outcomes.append(Outcome(**values))  # type: ignore[arg-type]
        except ValueError:
            raise BadInputError(f"{path}, line {line}: damaged") from None
    return outcomes


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


def only_failed(rows: list[Row], earlier: list[Outcome]) -> list[Row]:
    """The lines that weren't done in an earlier run, each with the board that it was about."""
    by_line = {outcome.line: outcome for outcome in earlier}
    left = []
    for row in rows:
        outcome = by_line.get(row.line)
        if outcome is None:
            left.append(row)
        elif outcome.name != row.name or not outcome.board.startswith(row.board):
            raise BadInputError(f"line {row.line} isn't what it was when these results were made")
        elif outcome.result != DONE:
            left.append(row if row.port else replace(row, board=outcome.board))
    return left


def _row(line: int, record: dict[str, str], folder: Path) -> Row:
    board = record.get("board", "").lower()
    if board and (len(board) < _ID_DIGITS_MIN or set(board) - set("0123456789abcdef")):
        raise ValueError(f"{board}: a board's id is hexadecimal, four digits at least")
    name = record.get("name", "")
    if not name.isprintable() or len(name) > _LABEL_MAX or "/" in name or name.startswith("."):
        raise ValueError(f"a name has {_LABEL_MAX} printable characters at most, and no slash")
    firmware = record.get("firmware", "")
    if not (firmware + record.get("port", "")).isprintable():
        raise ValueError("a port and a firmware file have printable names")
    home_address = record.get("home_address", "")
    return Row(
        line,
        name,
        board,
        record.get("port", ""),
        folder / firmware if firmware else None,
        _address(home_address) if home_address else None,
        _peers(record),
        tuple(record.get("reach", "").split()),
    )


def _peers(record: dict[str, str]) -> Peers:
    agent, insecure = record.get("home_agent", ""), record.get("insecure_home_agent", "")
    if agent and insecure:
        raise ValueError("a board has one home agent: home_agent or insecure_home_agent")
    return Peers(
        tuple(_address(text) for text in record.get("correspondents", "").split()),
        tuple(_address(text) for text in record.get("return_routability", "").split()),
        _address(agent or insecure) if agent or insecure else None,
        bool(insecure),
    )


def _address(text: str) -> bytes:
    address: bytes = addresses.parse(text)
    if not addresses.is_unicast_global(address):
        raise ValueError(f"{text} is not unicast and global")
    return address


def _records(path: Path, known: tuple[str, ...]) -> list[tuple[int, dict[str, str]]]:
    """Each line's number and its values by column, blanks stripped; empty lines are left out."""
    content = privatefiles.read_regular(path, _OCTETS_MAX)
    try:
        with io.StringIO(content.decode("utf-8-sig"), newline="") as file:
            reader = csv.reader(file, strict=True)
            header = [word.strip().lower() for word in next(reader, [])]
            unknown = [word for word in header if word not in known]
            if unknown or len(set(header)) != len(header) or not header:
                what = f"unknown column {unknown[0]!r}" if unknown else "no usable header"
                raise BadInputError(f"{path}: {what}: there are {', '.join(known)}")
            records = []
            for values in reader:
                if not any(value.strip() for value in values):
                    continue
                if len(values) > len(header):
                    raise BadInputError(
                        f"{path}, line {reader.line_num}: more values than columns"
                    )
                stripped = (value.strip() for value in values)
                records.append((reader.line_num, dict(zip(header, stripped, strict=False))))
            return records
    except (UnicodeDecodeError, csv.Error):
        raise BadInputError(f"{path}: not a CSV file") from None
