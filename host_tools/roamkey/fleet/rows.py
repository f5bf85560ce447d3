"""The fleet's CSV file: a line for each board, and what it is to become.

Columns, all of them optional, in any order: `name` (of the board, in the registry), `board`
(unique id or its beginning), `port`, `firmware` (a file to flash first, relative to the CSV),
`home_address`, `home_agent`, `insecure_home_agent` (an address; one of them), `correspondents`,
`return_routability` (addresses) and `reach` (as --reach has it), these three separated by spaces.
Wi-Fi networks, the best first: `wifi` (its name) with one of `wifi_password`, `wifi_password_file`
(relative to the CSV) and `wifi_open` (yes); `wifi2` … `wifi4` likewise. A line with neither board
nor port stands for any board that appears.
"""

import csv
import io
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TypeVar

from mip6 import addresses
from roamkey import privatefiles
from roamkey.enroll import keyfile, wifi
from roamkey.enroll.peers import Peers
from roamkey.enroll.wifi import Network
from roamkey.errors import BadInputError
from roamkey.registry import checks

_WIFI = ("wifi", "wifi2", "wifi3", "wifi4")
_WIFI_MORE = ("password", "password_file", "open")
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
    *_WIFI[:1],
    *(f"{_WIFI[0]}_{more}" for more in _WIFI_MORE),
)
_MORE_COLUMNS = tuple(
    column for one in _WIFI[1:] for column in (one, *(f"{one}_{more}" for more in _WIFI_MORE))
)
_ONCE = ("board", "port", "name", "home_address")  # columns in which no value stands twice
_ID_DIGITS_MIN = 4
_OCTETS_MAX = 1 << 24  # a hundred thousand boards
_OTHER_DELIMITERS = ";\t"  # where a spreadsheet's comma is the decimal one

_Value = TypeVar("_Value")


@dataclass(frozen=True)
class Row:
    """What one board is to become. `line`: of the file, the header being 1. Addresses: 16 octets.

    `name`, `board` and `port` are "" where the file says nothing. `bound`: the board that got this
    line earlier, and holds its keys; `likely`: the one that was begun, and holds none. `begun`:
    either of them, where it was begun to become the same as now; it was `flashed` then, or given
    its keys (`keyed`), and `held` a set by that name before, "" for none.
    """

    line: int
    name: str = ""
    board: str = ""
    port: str = ""
    firmware: Path | None = None
    home_address: bytes | None = None
    peers: Peers = field(default_factory=Peers)
    reach: tuple[str, ...] = ()
    networks: tuple[Network, ...] = ()
    bound: str = ""
    likely: str = ""
    begun: str = ""
    flashed: bool = False
    keyed: bool = False
    held: str = ""

    @property
    def title(self) -> str:
        """What to call it in a table."""
        return self.name or self.board or self.port or f"line {self.line}"


def read_fleet(path: Path) -> list[Row]:
    """The lines of a fleet's file; raises BadInputError (one line, with the line and the column).

    A file with passwords in it has to be its owner's alone.
    """
    content, mode = privatefiles.regular(path, _OCTETS_MAX)
    records = read_records(path, content, _COLUMNS, _MORE_COLUMNS)
    rows = [_row(_Record(path, line, values)) for line, values in records]
    if not rows:
        raise BadInputError(f"{path}: no boards in it")
    for column in _ONCE:
        _refuse_twice(path, rows, column)
    passwords = [f"{one}_password" for one in _WIFI]
    for line, values in records:
        shown = next((one for one in passwords if values.get(one)), None)
        if shown is not None and mode & privatefiles.OTHERS:
            raise BadInputError(
                f"{path}, line {line}, {shown}: mode {mode:04o} opens the password to others; "
                f"chmod 600 the file, or name a file with the password in {shown}_file"
            )
    return rows


def read_records(
    path: Path, content: bytes, known: tuple[str, ...], more: tuple[str, ...] = ()
) -> list[tuple[int, dict[str, str]]]:
    """Each line's number and its values by column, blanks stripped; empty lines are left out.

    `known`: the columns there may be; `more`: those that aren't told of. Raises BadInputError.
    """
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise BadInputError(f"{path}, line {line}: not a CSV file in UTF-8") from None
    first = text.partition("\n")[0]
    others = (mark for mark in _OTHER_DELIMITERS if "," not in first and mark in first)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=next(others, ","), strict=True)
    records: list[tuple[int, dict[str, str]]] = []
    try:
        header = [word.strip().lower() for word in next(reader, [])]
        _check_header(path, header, known, more)
        for values in reader:
            if not any(value.strip() for value in values):
                continue
            if len(values) > len(header):
                raise BadInputError(
                    f"{path}, line {reader.line_num}: more values than columns "
                    f"({len(values)}, and {len(header)})"
                )
            stripped = (value.strip() for value in values)
            records.append((reader.line_num, dict(zip(header, stripped, strict=False))))
    except csv.Error:
        raise BadInputError(f"{path}, line {reader.line_num}: not a CSV file") from None
    return records


def _check_header(
    path: Path, header: list[str], known: tuple[str, ...], more: tuple[str, ...]
) -> None:
    unknown = next((word for word in header if word not in known + more), None)
    twice = next((word for word in header if header.count(word) > 1), None)
    if not any(header):
        what = "no usable header"
    elif unknown is not None:
        what = f"unknown column {unknown!r}"
    elif twice is not None:
        what = f"column {twice!r} stands in it twice"
    else:
        return
    raise BadInputError(f"{path}, line 1: {what}: there are {', '.join(known)}")


def _refuse_twice(path: Path, rows: list[Row], column: str) -> None:
    seen: dict[object, int] = {}
    for row in rows:
        value = getattr(row, column)
        if value and value in seen:
            shown = addresses.text(value) if isinstance(value, bytes) else value
            raise BadInputError(
                f"{path}, line {row.line}, {column}: {shown} stands in line {seen[value]} too"
            )
        seen[value] = row.line


class _Record:
    """The values of a line, and how to say which of them is wrong."""

    def __init__(self, path: Path, line: int, values: dict[str, str]) -> None:
        self.path = path
        self.line = line
        self._values = values

    def given(self, column: str) -> str:
        return self._values.get(column, "")

    def take(self, column: str, parse: Callable[[str], _Value], default: _Value) -> _Value:
        """What a column says, the default where it is empty; raises BadInputError."""
        text = self.given(column)
        if not text:
            return default
        try:
            return parse(text)
        except (ValueError, BadInputError) as error:
            raise self.wrong(column, str(error)) from None

    def wrong(self, column: str, what: str) -> BadInputError:
        return BadInputError(f"{self.path}, line {self.line}, {column}: {what}")


def _row(record: _Record) -> Row:
    folder = record.path.parent
    firmware = record.take("firmware", _printable, "")
    networks = tuple(filter(None, (_network(record, i, one) for i, one in enumerate(_WIFI))))
    if networks:
        record.take(_WIFI[0], lambda _: wifi.check(networks), None)
    return Row(
        record.line,
        record.take("name", _name, ""),
        record.take("board", _board, ""),
        record.take("port", _printable, ""),
        folder / firmware if firmware else None,
        record.take("home_address", _address, None),
        _peers(record),
        record.take("reach", lambda text: tuple(text.split()), ()),
        networks,
    )


def _peers(record: _Record) -> Peers:
    agent = record.take("home_agent", _address, None)
    insecure = record.take("insecure_home_agent", _address, None)
    if agent and insecure:
        raise record.wrong(
            "insecure_home_agent", "a board has one home agent, and home_agent names one too"
        )
    return Peers(
        record.take("correspondents", _addresses, ()),
        record.take("return_routability", _addresses, ()),
        agent or insecure,
        insecure is not None,
    )


def _network(record: _Record, priority: int, column: str) -> Network | None:
    """The network in a column and those beside it. No message has a password in it."""
    how = [f"{column}_{more}" for more in _WIFI_MORE]
    said = [one for one in how if record.given(one)]
    if not record.given(column):
        if said:
            raise record.wrong(column, f"{said[0]} stands there, and no network's name")
        return None
    if len(said) != 1:
        what = "two are given" if said else "none is given"
        raise record.wrong(column, f"a network has one of {', '.join(how)}: {what}")
    password = record.take(how[0], keyfile.wifi_password, None)
    folder = record.path.parent
    password = record.take(how[1], lambda name: _password_in(folder / name), password)
    record.take(how[2], _yes, None)
    ssid = record.take(column, _printable, "")
    network = Network(ssid, password, priority)
    record.take(column, lambda _: wifi.check([network]), None)
    return network


@cache
def _password_in(path: Path) -> str:
    return keyfile.read_wifi_password(path)


def _yes(text: str) -> None:
    if text.lower() != "yes":
        raise ValueError("yes, or nothing")


def _name(text: str) -> str:
    checks.name(text)
    return text


def _board(text: str) -> str:
    board = text.lower()
    if len(board) < _ID_DIGITS_MIN or set(board) - set("0123456789abcdef"):
        raise ValueError(f"{board}: a board's id is hexadecimal, four digits at least")
    return board


def _printable(text: str) -> str:
    if not text.isprintable():
        raise ValueError("a name of a file or port is printable")
    return text


def _addresses(text: str) -> tuple[bytes, ...]:
    return tuple(_address(word) for word in text.split())


def _address(text: str) -> bytes:
    address: bytes = addresses.parse(text)
    if not addresses.is_unicast_global(address):
        raise ValueError(f"{text} is not unicast and global")
    return address
