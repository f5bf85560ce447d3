"""A folder of logs: what `roamkey field report` reads.

Any file that ends in .json, .jsonl or .log may lie there; each says by its content what it is:

    board logs           as `roamkey log pull` writes them
    a correspondent's    its log (`correspondent run --log json`), or its recorded events
                         (`correspondent events --json`)
    data                 lines {"at_ms", "home_address", "number"}: numbered datagrams, as they
                         arrived at the correspondent; numbers begin anew when the sender does
    walk                 "walk.json": names of networks and what a script did, for captions

Other files are left alone.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from roamkey.errors import BadInputError
from roamkey.field import boardlog
from roamkey.field.boardlog import BoardLog

_ENDINGS = (".json", ".jsonl", ".log")
_LOG_OUTCOMES = ("accepted", "removed", "refused", "expired")
_EVENT_KINDS = {
    "bound": "accepted", "refreshed": "accepted", "moved": "accepted", "removed": "removed",
    "refused": "refused", "expired": "expired", "gap": "gap", "dropped": "dropped",
}  # fmt: skip


@dataclass(frozen=True)
class Told:
    """What a correspondent says. `outcome`: accepted, removed, refused, expired, gap, dropped."""

    at_ms: int
    outcome: str
    home_address: str
    care_of_address: str | None = None
    sequence: int | None = None
    generation: int | None = None
    lifetime_s: int | None = None
    reason: str | None = None
    gap_ms: int | None = None
    count: int = 1


@dataclass(frozen=True)
class Datagram:
    """A numbered datagram as it arrived at the correspondent."""

    at_ms: float
    number: int


@dataclass
class Walk:
    """All that lies in a folder. `data`: by home address, in the order of arrival."""

    name: str
    boards: list[BoardLog] = field(default_factory=list)
    told: list[Told] = field(default_factory=list)
    data: dict[str, list[Datagram]] = field(default_factory=dict)
    networks: dict[str, str] = field(default_factory=dict)
    steps: list[dict[str, Any]] = field(default_factory=list)


def read(folder: Path) -> Walk:
    """Read a folder. Raises BadInputError where there is none, or nothing of ours in it."""
    if not folder.is_dir():
        raise BadInputError(f"{folder}: no such folder")
    walk = Walk(folder.resolve().name)
    board_objects: list[dict[str, Any]] = []
    told: list[Told] = []
    recorded: list[Told] = []
    for path in sorted(folder.iterdir()):
        if path.suffix not in _ENDINGS or not path.is_file():
            continue
        if path.name == "walk.json":
            _take_script(walk, path)
            continue
        for one in _objects(path):
            if one.get("type") in ("board", "clock", "event"):
                board_objects.append(one)
            elif "number" in one and "at_ms" in one:
                arrived = Datagram(float(one["at_ms"]), int(one["number"]))
                walk.data.setdefault(str(one["home_address"]), []).append(arrived)
            elif one.get("event") in _LOG_OUTCOMES and "home_address" in one:
                told.append(_from_log(one, path))
            elif one.get("kind") in _EVENT_KINDS and "home_address" in one:
                recorded.append(_from_event(one, path))
    walk.boards = boardlog.merge(board_objects, str(folder))
    walk.told = _united(told, recorded)
    for arrived_of_one in walk.data.values():
        arrived_of_one.sort(key=lambda datagram: datagram.at_ms)
    if not walk.boards and not walk.told:
        raise BadInputError(f"{folder}: no log of a board or a correspondent")
    return walk


def _united(log: list[Told], recorded: list[Told]) -> list[Told]:
    """What both tell of counts once: numbers are never used twice, so they name an update."""
    known = {(one.home_address, one.generation, one.sequence, one.outcome) for one in log}
    extra = [
        one
        for one in recorded
        if one.sequence is None
        or (one.home_address, one.generation, one.sequence, one.outcome) not in known
    ]
    if log:
        extra = [one for one in extra if one.outcome != "expired"]
    return sorted([*log, *extra], key=lambda one: (one.at_ms, one.sequence or 0))


def _objects(path: Path) -> Iterator[dict[str, Any]]:
    """The JSON objects in a file: a list, or one a line; lines that are none are skipped."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadInputError(f"{path}: {getattr(error, 'strerror', None) or 'not text'}") from None
    if text.lstrip().startswith("["):
        try:
            found = json.loads(text)
        except ValueError:
            raise BadInputError(f"{path}: damaged JSON") from None
        yield from (one for one in found if isinstance(one, dict))
        return
    for line in text.splitlines():
        try:
            one = json.loads(line)
        except ValueError:
            continue
        if isinstance(one, dict):
            yield one


def _from_log(one: dict[str, Any], path: Path) -> Told:
    try:
        at = datetime.fromisoformat(one["time"].replace("Z", "+00:00"))
        at_ms = round(at.timestamp() * 1000)
        return _told(one, at_ms, one["event"])
    except (KeyError, ValueError, AttributeError):
        raise BadInputError(f"{path}: an event without a time") from None


def _from_event(one: dict[str, Any], path: Path) -> Told:
    try:
        return _told(one, int(one["at_ms"]), _EVENT_KINDS[one["kind"]])
    except (KeyError, ValueError):
        raise BadInputError(f"{path}: an event without a time") from None


def _told(one: dict[str, Any], at_ms: int, outcome: str) -> Told:
    return Told(
        at_ms, outcome, str(one["home_address"]), one.get("care_of_address"), one.get("sequence"),
        one.get("generation"), one.get("lifetime_s"), one.get("reason"), one.get("gap_ms"),
        one.get("count") or 1,
    )  # fmt: skip


def _take_script(walk: Walk, path: Path) -> None:
    try:
        script = json.loads(path.read_text(encoding="utf-8"))
        walk.name = str(script["name"])
        walk.networks = {str(prefix): str(name) for prefix, name in script["networks"].items()}
        walk.steps = list(script["steps"])
    except (ValueError, KeyError, AttributeError, TypeError):
        raise BadInputError(f"{path}: not a walk's script") from None
