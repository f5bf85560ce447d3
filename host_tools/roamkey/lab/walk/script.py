"""The script of a walk, a TOML file.

name = "Across the campus"
boards = 1              # how many walk together; 1 if left out
seed = 1                # of what is lost
every_s = 0.1           # between a board's readings
dad = true              # whether an address is checked for duplicates first: a second

[way]                   # between the networks and the correspondent, at first
delay_ms = 20.0         # one way
loss_percent = 0.0

[network.cafe]          # a network more, or what visited1 or visited2 is like
kind = "ipv4"           # native, ipv4, dual, no-destination-options, … (lab/conditions.py)
captive_s = 0.0         # so long nothing is forwarded for who has just joined
resolver = "answers"    # or fails, silent
route_late_s = 0.0      # between an IPv4 address and its route, as DHCP clients of Linux have it

[[step]]                # in order; each one of these, and `stay_s` seconds after it
move = "visited1"       # join a network: home, visited1, visited2, or one of the script's
stay_s = 2.0
board = 1               # whom it is about; all boards if left out

[[step]]
cut_s = 0.5             # power is gone for so long

[[step]]
reboot = true           # over its console: it has its binding removed, and starts anew

[[step]]
loss_percent = 10.0     # and, or
delay_ms = 60.0

[[step]]
leave = true            # no network

[[step]]
forget = true           # NATs forget all flows: whoever goes on sending gets another port

Of the script itself there is besides: reach = ["correspondent.test"], outer addresses of the
correspondent, or its name, for the boards' keys; if left out, and networks are named, both
addresses.
"""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any

from roamkey.errors import BadInputError
from roamkey.lab.conditions import CAPTIVE_MOST_S, ROUTE_LATE_MOST_S, Conditions
from roamkey.lab.lans import (
    CORRESPONDENT_ADDRESS,
    CORRESPONDENT_IPV4,
    CORRESPONDENT_NAME,
    lay_out,
)

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

BOARDS_MAX = 32
_SECONDS_MAX = 3600.0
_WORDS = {"name", "boards", "seed", "every_s", "dad", "way", "network", "reach", "step"}
_KINDS = {"move", "cut_s", "reboot", "leave", "forget", "loss_percent", "delay_ms"}
_REACH = (CORRESPONDENT_ADDRESS, CORRESPONDENT_IPV4)


@dataclass(frozen=True)
class Step:
    """One step. `kind`: move, cut, reboot, leave, forget or way; `boards`: numbers from 1, none:
    all of them."""

    kind: str
    stay_s: float
    boards: tuple[int, ...] = ()
    network: str = ""
    cut_s: float = 0.0
    loss_percent: float | None = None
    delay_ms: float | None = None


@dataclass(frozen=True)
class Script:
    """A walk. See the top of this file."""

    name: str
    steps: tuple[Step, ...]
    boards: int = 1
    seed: int = 0
    every_s: float = 0.1
    dad: bool = True
    delay_ms: float = 0.0
    loss_percent: float = 0.0
    networks: Mapping[str, Conditions] = field(default_factory=dict)
    reach: tuple[str, ...] = ()

    @property
    def moves(self) -> int:
        """How many steps are moves."""
        return sum(step.kind == "move" for step in self.steps)


def examples() -> dict[str, Path]:
    """The scripts that come with roamkey, by name."""
    folder = Path(str(files("roamkey.lab.walk") / "examples"))
    return {path.stem: path for path in sorted(folder.glob("*.toml"))}


def find(name: str) -> Path:
    """The file of this path, or the example of this name. Raises BadInputError."""
    path = Path(name)
    if path.is_file():
        return path
    known = examples()
    if name in known:
        return known[name]
    raise BadInputError(f"{name}: no such file; the examples are {', '.join(known)}")


def read(path: Path) -> Script:
    """Read a script. Raises BadInputError, which names the step."""
    try:
        found = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise BadInputError(f"{path}: {getattr(error, 'strerror', None) or 'no text'}") from None
    except tomllib.TOMLDecodeError as error:
        raise BadInputError(f"{path}: {error}") from None
    try:
        return parse(found, path.stem)
    except BadInputError as error:
        raise BadInputError(f"{path}: {error}") from None


def parse(found: dict[str, Any], name: str) -> Script:
    """The script in a TOML document; `name` where it has none. Raises BadInputError."""
    _only(found, _WORDS, "the script")
    networks = _networks(found.get("network", {}))
    way = found.get("way", {})
    steps = found.get("step", [])
    if not isinstance(way, dict) or not isinstance(steps, list) or not steps:
        raise BadInputError("a script has a table [way] and at least one [[step]]")
    _only(way, {"delay_ms", "loss_percent"}, "[way]")
    boards = found.get("boards", 1)
    if type(boards) is not int or not 1 <= boards <= BOARDS_MAX:
        raise BadInputError(f"boards: 1 to {BOARDS_MAX}")
    seed, dad = found.get("seed", 0), found.get("dad", True)
    if type(seed) is not int or type(dad) is not bool:
        raise BadInputError("seed is a whole number, dad is true or false")
    return Script(
        str(found.get("name", name)),
        tuple(
            _step(step, number, boards, list(lay_out(networks)))
            for number, step in enumerate(steps, 1)
        ),
        boards,
        seed,
        _number(found, "every_s", 0.1, 0.01, 60.0, "the script"),
        dad,
        _number(way, "delay_ms", 0.0, 0.0, 5000.0, "[way]"),
        _number(way, "loss_percent", 0.0, 0.0, 100.0, "[way]"),
        networks,
        _reach(found.get("reach", list(_REACH) if networks else [])),
    )


def _networks(found: Any) -> dict[str, Conditions]:
    """The tables [network.NAME]; raises BadInputError."""
    if not isinstance(found, dict) or not all(isinstance(one, dict) for one in found.values()):
        raise BadInputError("a network is a table [network.NAME]")
    networks = {}
    for name, one in found.items():
        where = f"[network.{name}]"
        _only(one, {"kind", "captive_s", "resolver", "route_late_s"}, where)
        captive_s = _number(one, "captive_s", 0.0, 0.0, CAPTIVE_MOST_S, where)
        late_s = _number(one, "route_late_s", 0.0, 0.0, ROUTE_LATE_MOST_S, where)
        kind, resolver = str(one.get("kind", "native")), str(one.get("resolver", "answers"))
        try:
            networks[name] = Conditions(kind, captive_s, resolver, late_s)
        except BadInputError as error:
            raise BadInputError(f"{where}: {error}") from None
    lay_out(networks)
    return networks


def _reach(found: Any) -> tuple[str, ...]:
    known = (*_REACH, CORRESPONDENT_NAME)
    if not isinstance(found, list) or not all(one in known for one in found):
        raise BadInputError(f"reach is a list of {', '.join(known)}")
    return tuple(found)


def _step(step: Any, number: int, boards: int, networks: Sequence[str]) -> Step:
    where = f"step {number}"
    if not isinstance(step, dict):
        raise BadInputError(f"{where}: not a table")
    _only(step, _KINDS | {"stay_s", "board"}, where)
    kinds = _KINDS & set(step)
    if not kinds or (len(kinds) > 1 and not kinds <= {"loss_percent", "delay_ms"}):
        raise BadInputError(f"{where}: one of {', '.join(sorted(_KINDS))}")
    who = step.get("board")
    if who is not None and (type(who) is not int or not 1 <= who <= boards):
        raise BadInputError(f"{where}: board is a number from 1 to {boards}")
    stay = _number(step, "stay_s", 0.0, 0.0, _SECONDS_MAX, where)
    whom = () if who is None else (who,)
    if "move" in step:
        if step["move"] not in networks:
            raise BadInputError(f"{where}: networks are {', '.join(networks)}")
        return Step("move", stay, whom, network=step["move"])
    if "cut_s" in step:
        return Step("cut", stay, whom, cut_s=_number(step, "cut_s", 0, 0, _SECONDS_MAX, where))
    for kind in ("reboot", "leave"):
        if kind in step:
            return Step(kind, stay, whom)
    if "forget" in step:
        return Step("forget", stay)
    return Step(
        "way",
        stay,
        loss_percent=_number(step, "loss_percent", None, 0.0, 100.0, where),
        delay_ms=_number(step, "delay_ms", None, 0.0, 5000.0, where),
    )


def _number(
    table: dict[str, Any], name: str, default: Any, least: float, most: float, where: str
) -> Any:
    value = table.get(name, default)
    if value is default:
        return value
    if type(value) not in (int, float) or not least <= value <= most:
        raise BadInputError(f"{where}: {name} is a number from {least:g} to {most:g}")
    return float(value)


def _only(table: dict[str, Any], names: set[str], where: str) -> None:
    unknown = sorted(set(table) - names)
    if unknown:
        raise BadInputError(f"{where}: unknown: {', '.join(unknown)}")
