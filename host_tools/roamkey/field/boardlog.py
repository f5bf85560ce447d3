"""A board's event log: asked for over its console or the air, kept as JSON lines, read again.

A file holds objects, one a line, that say what they are in `type`:

    board   board (its id), home_address
    clock   boot, ms (the board's), unix_ms (ours), error_ms: at most so far apart they were read
    event   boot, ms, kind, detail (a list of words)

Times are milliseconds since that boot. Several files of one board may overlap.
"""

import json
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from roamkey import privatefiles
from roamkey.board.serial_client import SerialClient
from roamkey.errors import BadInputError, BoardError, RefusedError
from roamkey.field import values

#: What asks a board for a block of its log: number (None: the newest) to the console's answer.
Ask = Callable[[int | None], dict[str, Any]]

_BOOT = "boot"
_OCTETS_MAX = 1 << 28


@dataclass(frozen=True)
class Event:
    """What happened on the board, `ms` milliseconds after the start of boot number `boot`."""

    boot: int
    ms: int
    kind: str
    detail: tuple[str, ...] = ()


@dataclass(frozen=True, order=True)
class ClockReading:
    """The board's `ms` of a boot was our `unix_ms`, give or take `error_ms`."""

    boot: int
    ms: int
    unix_ms: float
    error_ms: float


@dataclass
class BoardLog:
    """All that is known from one board. `events` in order, each once."""

    board: str
    home_address: str | None
    events: list[Event] = field(default_factory=list)
    clocks: list[ClockReading] = field(default_factory=list)


def pull(ask: Ask, board: str, home_address: str | None) -> BoardLog:
    """Ask for all blocks that the board still has, the newest first. Raises what `ask` raises."""
    before = time.time() * 1000
    newest = _checked(ask(None))
    after = time.time() * 1000
    log = BoardLog(board, home_address)
    texts = [newest["text"]]
    for number in range(newest["block"] - 1, newest["oldest"] - 1, -1):
        texts.append(_checked(ask(number))["text"])
    log.events = list(_events("\n".join(text for text in reversed(texts) if text)))
    boot = max((event.boot for event in log.events), default=0)
    log.clocks = [ClockReading(boot, newest["ms"], (before + after) / 2, (after - before) / 2 + 1)]
    return log


def _checked(answer: dict[str, Any]) -> dict[str, Any]:
    numbers = [answer.get(name) for name in ("block", "oldest", "ms")]
    if not all(type(number) is int for number in numbers) or type(answer.get("text")) is not str:
        raise BoardError("the board's log makes no sense; is its agent of another version?")
    return answer


def _events(text: str) -> Iterator[Event]:
    boot = 0
    for line in text.split("\n"):
        at, _, rest = line.partition(" ")
        kind, *detail = rest.split(" ")
        if not _is_count(at) or not kind:
            continue  # from a block that was damaged
        if kind == _BOOT:
            if not detail or not _is_count(detail[0]):
                continue
            boot = int(detail[0])
            if len(detail) == 1:
                continue  # a block begins
        yield Event(boot, int(at), kind, tuple(detail))


def _is_count(word: str) -> bool:
    return word.isascii() and word.isdecimal() and len(word) < 16


def over_console(client: SerialClient) -> Ask:
    """Ask over a board's serial line."""

    def ask(number: int | None) -> dict[str, Any]:
        return client.ask("log", None if number is None else {"block": number}, again=True)

    return ask


def write(path: Path, log: BoardLog) -> None:
    """Write the file, whole or not at all. What it has from before stays: the board may not know
    it any more.

    Raises OSError, BadInputError for a file of something else, and RefusedError where the board's
    log was begun anew since: the two can't be told apart.
    """
    text = as_lines(log)
    if path.is_file():
        lines = privatefiles.read_regular(path, _OCTETS_MAX).splitlines()
        name = f"{path}, which is there already"
        try:
            objects = [json.loads(line) for line in lines]
            before = merge(objects, name)
        except (ValueError, RecursionError):
            raise BadInputError(f"{name}: not a board's log") from None
        if any(_was_begun_anew(log, one) for one in before if one.board == log.board):
            raise RefusedError(
                f"{path} has another log of board {log.board}, from before it was erased: name "
                "another file"
            )
        objects += [json.loads(line) for line in text.splitlines()]
        text = "".join(map(as_lines, merge(objects, name)))
    privatefiles.write(path, text, privatefiles.SHARED)


def _was_begun_anew(log: BoardLog, before: BoardLog) -> bool:
    """Whether a log has something of a time of which the one before tells, and not that."""
    known = set(before.events)
    first = min(((one.boot, one.ms) for one in known), default=(0, 0))
    last: dict[int, int] = {}
    for one in known:
        last[one.boot] = max(one.ms, last.get(one.boot, 0))
    return any(
        first <= (one.boot, one.ms) and one.ms < last.get(one.boot, 0) and one not in known
        for one in log.events
        if one.kind != _BOOT
    )


def as_lines(log: BoardLog) -> str:
    """The file's text."""
    lines: list[dict[str, Any]] = [
        {"type": "board", "board": log.board, "home_address": log.home_address}
    ]
    lines += [{"type": "clock", **asdict(reading)} for reading in log.clocks]
    lines += [{"type": "event", **asdict(event)} for event in log.events]
    return "".join(json.dumps(line) + "\n" for line in lines)


def merge(objects: Iterable[dict[str, Any]], name: str) -> list[BoardLog]:
    """The logs in objects of such files, one for each board and home address. Raises BadInputError
    (`name`).

    Asked over the air a board doesn't say which it is: then it is the one that had the address.
    """
    logs: dict[tuple[str, str | None], BoardLog] = {}
    current: BoardLog | None = None
    try:
        for one in objects:
            if one["type"] == "board":
                board = values.text(one["board"])
                home_address = one["home_address"] and values.address(one["home_address"])
                current = logs.setdefault((board, home_address), BoardLog(board, home_address))
            elif current is None:
                raise BadInputError(f"{name}: an event before the line that names its board")
            elif one["type"] == "clock":
                current.clocks.append(
                    ClockReading(
                        values.integer(one["boot"]),
                        values.integer(one["ms"]),
                        values.instant(one["unix_ms"]),
                        values.number(one["error_ms"]),
                    )
                )
            else:
                boot, ms = values.integer(one["boot"]), values.integer(one["ms"])
                detail = tuple(values.word(word) for word in one["detail"])
                current.events.append(Event(boot, ms, values.text(one["kind"]), detail))
        found = _of_boards(list(logs.values()))
        for log in found:
            unique = dict.fromkeys(log.events)  # of one millisecond, in the order of the log
            log.events = sorted(unique, key=lambda event: (event.boot, event.ms))
            log.clocks = sorted(set(log.clocks))
    except (KeyError, TypeError, ValueError):
        raise BadInputError(f"{name}: not a board's log") from None
    return _each_event_once(found)


def _of_boards(logs: list[BoardLog]) -> list[BoardLog]:
    """The logs, what was asked over the air being part of the board's own."""
    found = [log for log in logs if log.board != log.home_address]
    for log in logs:
        if log.board == log.home_address:
            owners = [one for one in found if one.home_address == log.home_address]
            if len(owners) == 1:
                owners[0].events += log.events
                owners[0].clocks += log.clocks
            else:
                found.append(log)
    return found


def _each_event_once(logs: list[BoardLog]) -> list[BoardLog]:
    """A board that got another home address told its events of before under that one, too: they
    are of the address that it had when they were first told."""
    logs.sort(key=lambda log: max(((one.boot, one.ms) for one in log.events), default=(0, 0)))
    seen: dict[str, set[Event]] = {}
    for log in logs:
        before = seen.setdefault(log.board, set())
        log.events = [one for one in log.events if one.kind == _BOOT or one not in before]
        before.update(log.events)
    return logs
