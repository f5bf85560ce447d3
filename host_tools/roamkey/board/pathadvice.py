"""What a path check says to people: what passes here, what doesn't, and whom to ask for what."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from ipaddress import IPv6Address
from typing import Any

from mip6.bindings.update_list import KEEPALIVE_S
from mip6.bindings.ways import NAMES
from roamkey.board.path import Told

#: What becomes of a way: an answer came by it; none did; it wasn't there to be tried.
PASSES, FAILS, ABSENT = "passes", "fails", "absent"

#: Whether updates of a board arrived at its correspondent: (correspondent, generation, sequence
#: numbers) to True or False, or None where nobody here knows.
Arrived = Callable[[str, int, range], bool | None]

_UNIQUE_LOCAL = 0xFC
_RECOMMENDED_S = 120  # RFC 4787 REQ-5
_SECURE = 0.8  # of what a port was kept

_OUT = "let IPv6 packets with destination options out (RFC 7872)"
_IN = "let IPv6 packets with routing headers of type 2 in (RFC 6275 section 6.4, RFC 7872)"
_BOTH = (
    "let IPv6 packets out with destination options, and in with routing headers of type 2 "
    "(RFC 7872)"
)
_NEEDLESS = "nothing: another way passes"
_LOCAL = "it is known inside its site alone"


@dataclass(frozen=True)
class Way:
    """One way. `place`: where UDP went, None natively; `found`: what was seen; `ask`: what to ask
    the network's owner for, or to do, empty where it is nothing."""

    way: str
    place: str | None
    verdict: str
    round_trip_ms: int | None
    nat: bool | None
    found: str
    ask: str


@dataclass(frozen=True)
class Port:
    """How long a NAT keeps a port: `kept_s` at least, and, where it was forgotten, less than
    `forgotten_s`; None where that isn't known."""

    kept_s: float | None
    forgotten_s: float | None
    found: str
    ask: str


@dataclass(frozen=True)
class Path:
    """To one correspondent. `state`: of the binding; `way`: the one in use, None where there is
    none; `reached`: whether anything passes, or none of that is needed; `problem`: what kept it
    from being checked; `port`: None where it wasn't measured."""

    correspondent: str
    state: str
    way: str | None
    reached: bool
    problem: str
    ways: tuple[Way, ...]
    port: Port | None


def judge(told: Told, arrived: Arrived) -> list[Path]:
    """What each check means."""
    return [_path(told, check, arrived) for check in told.checks]


def _path(told: Told, check: dict[str, Any], arrived: Arrived) -> Path:
    correspondent = str(check["correspondent"])
    tried = check.get("ways") or []
    passing = [one["way"] for one in tried if one.get("answered")]
    found = []
    for kind in NAMES:
        of_kind = [one for one in tried if one["way"] == kind and one["answered"] is not None]
        if of_kind:
            for one in of_kind:
                found.append(_tried(one, correspondent, passing, arrived))
        elif not check.get("at_home"):
            reach = told.reach.get(correspondent, [])
            found.append(_absent(kind, check, reach, told.native_why, bool(passing)))
    at_home = bool(check.get("at_home"))
    return Path(
        correspondent,
        str(check.get("state")),
        check.get("way"),
        bool(passing) or at_home,
        "" if check.get("measured") else str(check.get("problem") or ""),
        tuple(found),
        _port(check) if check.get("measured") else None,
    )


def _tried(one: dict[str, Any], correspondent: str, passing: list[str], arrived: Arrived) -> Way:
    kind, place = one["way"], one.get("place")
    if one["answered"]:
        trip, nat = one.get("round_trip_ms"), one.get("nat")
        found = f"answered after {trip} ms"
        if kind != NAMES[0]:
            found += ", behind a NAT" if nat else ", no NAT between"
        return Way(kind, place, PASSES, trip, nat if kind != NAMES[0] else None, found, "")
    if one.get("refused"):
        family = "IPv4" if kind == "udp4" else "IPv6"
        text = f"a default route for {family}: the board's own system has none here"
        return Way(kind, place, FAILS, None, None, "the board couldn't send", text)
    last = int(one.get("sequence") or 0)
    numbers = range(max(0, last - int(one.get("updates") or 1) + 1), last + 1)
    came = arrived(correspondent, int(one.get("generation") or 0), numbers)
    found = {
        None: "doesn't answer" if place else "no answer",
        True: "updates arrive, their answers don't",
        False: "updates don't arrive",
    }[came]
    if kind == NAMES[0]:
        if IPv6Address(correspondent).packed[0] & 0xFE == _UNIQUE_LOCAL and came is not True:
            ask = _NEEDLESS if passing else "UDP to where the correspondent is reached"
            return Way(kind, place, FAILS, None, None, f"{found}: {_LOCAL}", ask)
        ask = {None: _BOTH, True: _IN, False: _OUT}[came]
        if "udp6" not in passing and came is None:
            ask = f"whether IPv6 gets out at all; {ask}"
        return Way(kind, place, FAILS, None, None, found, ask)
    host, _, port = str(place).rpartition(":")
    ask = {
        None: f"let UDP to port {port} of {host} out, and what answers it in",
        True: f"let answers from UDP port {port} of {host} in",
        False: f"let UDP to port {port} of {host} out",
    }[came]
    if not passing and came is None:
        ask += "; or the correspondent isn't there: roamkey correspondent path, on its host"
    return Way(kind, place, FAILS, None, None, found, ask)


def _absent(
    kind: str, check: dict[str, Any], reach: list[str], native_why: str, passing: bool
) -> Way:
    """Why a way wasn't there to be tried."""

    def of(found: str, ask: str) -> Way:
        return Way(kind, None, ABSENT, None, None, found, ask)

    ipv4 = kind == "udp4"
    own = check.get("ipv4") if ipv4 else check.get("ipv6")
    if kind == NAMES[0] and not check.get("native"):
        why = native_why.removeprefix("native packets: ")
        if why == "switched off":
            return of("switched off", "nothing; roamkey reach --native on has it back")
        return of(f"this board speaks none ({why})" if why else "this board speaks none", "")
    if own is None:
        family = "IPv4" if ipv4 else "IPv6"
        neither = check.get("ipv4") is None and check.get("ipv6") is None
        return of(f"this network gives the board no {family} address", family * neither)
    unknown = [name for name, found in (check.get("names") or {}).items() if not found]
    if unknown:
        return of(
            f"nobody here tells the address of {unknown[0]}",
            "a resolver (DNS) that answers; or roamkey reach with an address",
        )
    family = "IPv4" if ipv4 else "IPv6"
    known = ", ".join(reach) or "its own address alone"
    todo = "" if passing else "nothing of the owner: roamkey reach --reach NAME-OR-ADDRESS"
    return of(f"no {family} address to reach it at ({known})", todo)


def _port(check: dict[str, Any]) -> Port:
    kept: float | None = None
    forgotten: float | None = None
    data = True
    for one in check.get("silences") or []:
        seconds = int(one.get("silence_ms") or 0) / 1000
        if one.get("heard"):
            kept = round(seconds, 1)
        elif one.get("heard") is False:
            forgotten, data = round(seconds, 1), bool(one.get("data"))
    problem = str(check.get("problem") or "")
    return Port(kept, forgotten, *_port_texts(kept, forgotten, data, problem))


def _port_texts(
    kept: float | None, forgotten: float | None, data: bool, problem: str
) -> tuple[str, str]:
    """What to say, and what to ask for."""
    keep = "keep UDP mappings for two minutes at least (RFC 4787 REQ-5)"
    if problem.startswith("data went"):
        return (
            "not measured: an application's data used it",
            "roamkey app stop, and again",
        )
    if problem:
        return f"not measured: {problem}", ""
    if kept is None and forgotten is None:
        return "not measured", ""
    if kept is None:
        if not data:
            return "data don't pass, so it can't be measured", "see that UDP passes both ways"
        return (
            f"nothing came in after {forgotten} s: the port is forgotten sooner, or the "
            "correspondent asks for no new bindings (--refresh never, --no-data-plane)",
            keep,
        )
    if forgotten is None:
        enough = kept >= _RECOMMENDED_S
        more = "" if enough else "; whether it is longer wasn't tried"
        return f"a port is kept for {kept} s of silence{more}", ""
    found = f"a port is kept for {kept} s of silence, and forgotten before {forgotten} s"
    if kept >= KEEPALIVE_S:
        return found, keep if forgotten < _RECOMMENDED_S else ""
    every = max(1, int(_SECURE * kept))
    return found, f"{keep}; until then: roamkey correspondent run --nat-refresh {every}"


def lines(path: Path) -> Iterator[tuple[str, str, str, str]]:
    """A row a way: its name, verdict, what was found, what to ask for."""
    for way in path.ways:
        place = f"{way.place} " if way.place else ""
        yield way.way, way.verdict, place + way.found, way.ask
    if path.port is not None:
        yield "port", "", path.port.found, path.port.ask


def summary(path: Path) -> str:
    """The path in a line."""
    if path.problem and not path.reached:
        return f"not checked: {path.problem}"
    if path.state == "home" or path.problem.startswith("at home"):
        return "at home: data go plainly"
    if not path.reached:
        return (
            "nothing passes: see that the correspondent runs (roamkey correspondent path, on its "
            "host) and that this network wants no login"
        )
    others = [way.way for way in path.ways if way.verdict == PASSES and way.way != path.way]
    beside = f"; {' and '.join(dict.fromkeys(others))} would pass, too" if others else ""
    return f"data go by {path.way}{beside}: it works"
