"""A folder of logs: what `roamkey field report` reads.

Any file that ends in .json, .jsonl or .log may lie there; each says by its content what it is:

    board logs           as `roamkey log pull` writes them
    a correspondent's    its log (`correspondent run --log json`), or its recorded events
                         (`correspondent events --json`)
    data                 lines {"at_ms", "home_address", "number"}: numbered datagrams, as they
                         arrived at the correspondent; numbers begin anew when the sender does;
                         maybe "care_of_address", from which it came
    walk                 "walk.json": names of networks and what a script did, for captions
    networks             "networks.json": {"2001:db8:1::/64": "office", ...}; goes before those

Other files are left alone.
"""

import json
import re
from collections.abc import Callable, Container, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from ipaddress import ip_network
from pathlib import Path
from typing import Any, TextIO

from roamkey.errors import BadInputError
from roamkey.field import boardlog, values
from roamkey.field.boardlog import BoardLog
from roamkey.privatefiles import read_regular

_ENDINGS = (".json", ".jsonl", ".log")
_LINE_MAX = 1 << 20  # characters
_LIST_MAX = 1 << 30
_SCRIPT_OCTETS_MAX = 1 << 24
_BLANK = re.compile(r"\s*")
_BETWEEN = re.compile(r"\s*(?:,\s*(?=[^\s\]])|(?=\]))")
_SHOWN = 80  # characters of a line that is wrong
_LOG_OUTCOMES = ("accepted", "removed", "refused", "expired")
_EVENT_KINDS = {
    "bound": "accepted", "refreshed": "accepted", "moved": "accepted", "removed": "removed",
    "refused": "refused", "expired": "expired", "gap": "gap", "dropped": "dropped",
}  # fmt: skip


@dataclass(frozen=True)
class Told:
    """What a correspondent says. `outcome`: accepted, removed, refused, expired, gap, dropped.

    `care_of_address` of what was removed: the home address where the node is at home, another one
    where it said farewell there; None where the record doesn't say (those of release 0.1.0).
    """

    at_ms: int
    outcome: str
    home_address: str
    correspondent: str | None = None
    care_of_address: str | None = None
    previous: str | None = None
    sequence: int | None = None
    generation: int | None = None
    lifetime_s: int | None = None
    reason: str | None = None
    gap_ms: int | None = None
    count: int = 1
    way: str | None = None


# Fields that an event may have, and what may stand in them.
_KNOWN: dict[str, Callable[[object], Any]] = {
    "correspondent": values.address,
    "care_of_address": values.address,
    "previous": values.address,
    "sequence": values.integer,
    "generation": values.integer,
    "lifetime_s": values.integer,
    "reason": str,
    "gap_ms": values.integer,
    "count": values.integer,
    "way": values.way,
}


@dataclass(frozen=True)
class Datagram:
    """A numbered datagram as it arrived at the correspondent."""

    at_ms: float
    number: int
    care_of_address: str | None = None


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
    named: dict[str, str] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix not in _ENDINGS or not path.is_file():
            continue
        if path.name == "walk.json":
            _take_script(walk, path)
            continue
        if path.name == "networks.json":
            named |= _networks(path)
            continue
        correspondent: str | None = None  # whose log it is
        for one in _objects(path):
            try:
                if one.get("type") in ("board", "clock", "event"):
                    board_objects.append(one)
                elif "number" in one and "at_ms" in one:
                    home_address = values.address(one.get("home_address"))
                    walk.data.setdefault(home_address, []).append(_datagram(one))
                elif one.get("event") == "ready" and "address" in one:
                    correspondent = values.address(one["address"])
                elif _is_one_of(one.get("event"), _LOG_OUTCOMES) and "home_address" in one:
                    told.append(_from_log(one, correspondent))
                elif _is_one_of(one.get("kind"), _EVENT_KINDS) and "home_address" in one:
                    recorded.append(_from_event(one))
            except (ValueError, OverflowError):
                line = json.dumps(one)
                raise BadInputError(f"{path}: not as a log has it: {line[:_SHOWN]}") from None
    walk.networks |= named
    walk.boards = boardlog.merge(board_objects, str(folder))
    walk.told = _united(told, recorded)
    for arrived_of_one in walk.data.values():
        arrived_of_one.sort(key=lambda datagram: datagram.at_ms)
    if not walk.boards and not walk.told:
        raise BadInputError(f"{folder}: no log of a board or a correspondent")
    return walk


def prefix(text: str) -> str:
    """A network's prefix as reports have it: a /64, of IPv4 a /24; or what holds an address.
    Raises ValueError."""
    network = ip_network(text.strip(), strict=False)
    length = 64 if network.version == 6 else 24
    if network.prefixlen < length:
        raise ValueError(f"{text} is wider than a /{length}")
    return str(ip_network((network.network_address, length), strict=False))


def _networks(path: Path) -> dict[str, str]:
    try:
        found = json.loads(read_regular(path, _SCRIPT_OCTETS_MAX))
        return {prefix(str(one)): values.text(name) for one, name in found.items()}
    except OSError as error:
        raise BadInputError(f"{path}: {error.strerror}") from None
    except (ValueError, AttributeError, RecursionError) as error:
        raise BadInputError(f"{path}: no names of networks by prefix ({error})") from None


def _united(log: list[Told], recorded: list[Told]) -> list[Told]:
    """What both tell of counts once, as does what two copies of a record tell: a number is never
    used twice under one key, so both name an update. A log may not say whose it is."""
    known = {_update(one, one.correspondent) for one in log}
    extra = [
        one
        for one in recorded
        if one.sequence is None
        or (_update(one, one.correspondent) not in known and _update(one, None) not in known)
    ]
    if log:
        extra = [one for one in extra if one.outcome != "expired"]
    unique = dict.fromkeys([*log, *extra])
    return sorted(unique, key=lambda one: (one.at_ms, one.sequence or 0))


def _update(one: Told, correspondent: str | None) -> tuple[object, ...]:
    return one.home_address, correspondent, one.generation, one.sequence, one.outcome


def _datagram(one: dict[str, Any]) -> Datagram:
    care_of = one.get("care_of_address")
    return Datagram(
        values.instant(one["at_ms"]),
        values.integer(one["number"]),
        None if care_of is None else values.address(care_of),
    )


def _objects(path: Path) -> Iterator[dict[str, Any]]:
    """The JSON objects in a file: a list, or one a line; lines that are none are skipped."""
    try:
        with path.open(encoding="utf-8") as file:
            first = file.readline(_LINE_MAX)
            while first.isspace():
                first = file.readline(_LINE_MAX)
            if first.lstrip().startswith("["):
                yield from _listed(path, first, file)
                return
            while first:
                one = _object(first)
                if one is not None:
                    yield one
                first = file.readline(_LINE_MAX)
    except (OSError, UnicodeDecodeError) as error:
        raise BadInputError(f"{path}: {getattr(error, 'strerror', None) or 'not text'}") from None


def _listed(path: Path, first: str, file: TextIO) -> Iterator[dict[str, Any]]:
    """The objects of a list: one after the other, since all at once take ten times the memory."""
    if path.stat().st_size > _LIST_MAX:
        raise BadInputError(f"{path}: longer than {_LIST_MAX >> 20} MiB; JSON Lines may be")
    text = first + file.read()
    decoder = json.JSONDecoder()
    at = _BLANK.match(text, text.index("[") + 1).end()  # type: ignore[union-attr]
    try:
        while not text.startswith("]", at):
            one, at = decoder.raw_decode(text, at)
            if isinstance(one, dict):
                yield one
            between = _BETWEEN.match(text, at)
            if between is None:
                raise ValueError
            at = between.end()
    except (ValueError, RecursionError):
        raise BadInputError(f"{path}: damaged JSON") from None


def _object(line: str) -> dict[str, Any] | None:
    try:
        one = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return one if isinstance(one, dict) else None


def _step(one: Any) -> dict[str, Any]:
    """What a script did; raises ValueError, KeyError, TypeError."""
    values.instant(one["at_ms"])
    values.text(one["kind"])
    homes = one.get("home_addresses", [])
    if not isinstance(homes, list) or (one["kind"] == "cut" and "home_addresses" not in one):
        raise ValueError
    for home in homes:
        values.address(home)
    return dict(one)


def _is_one_of(value: object, known: Container[str]) -> bool:
    return isinstance(value, str) and value in known


def _from_log(one: dict[str, Any], correspondent: str | None) -> Told:
    one = {"correspondent": correspondent, **one}
    at = datetime.fromisoformat(values.text(one.get("time")).replace("Z", "+00:00"))
    return _told(one, round(values.instant(at.timestamp() * 1000)), one["event"])


def _from_event(one: dict[str, Any]) -> Told:
    values.instant(one.get("at_ms"))
    return _told(one, values.integer(one.get("at_ms")), _EVENT_KINDS[one["kind"]])


def _told(one: dict[str, Any], at_ms: int, outcome: str) -> Told:
    if outcome == "accepted":
        values.address(one.get("care_of_address"))
    known = {name: check(one[name]) for name, check in _KNOWN.items() if one.get(name) is not None}
    return Told(at_ms, outcome, values.address(one["home_address"]), **known)


def _take_script(walk: Walk, path: Path) -> None:
    try:
        script = json.loads(read_regular(path, _SCRIPT_OCTETS_MAX))
        walk.name = str(script["name"])
        walk.networks = {str(prefix): str(name) for prefix, name in script["networks"].items()}
        walk.steps = [_step(one) for one in script["steps"]]
    except (ValueError, KeyError, AttributeError, TypeError, RecursionError):
        raise BadInputError(f"{path}: not a walk's script") from None
