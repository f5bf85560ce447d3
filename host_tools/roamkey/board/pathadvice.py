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

#: `Path.role`, and the command that says how such a one does.
CORRESPONDENT, HOME_AGENT = "correspondent", "home agent"
_COMMANDS = {CORRESPONDENT: "roamkey correspondent path", HOME_AGENT: "roamkey home-agent status"}

_ROUTABILITY, _STATIC_KEY = "return routability", "static key"  # status, `authorized_by`
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
    """To one correspondent, or the home agent (`role`).

    `authorized_by`: of its updates, empty where the board doesn't say; `state`: of the binding;
    `way`: the one in use, None where there is none; `through_home_agent`: whether data go there
    for want of another way; `reached`: whether that is so, or anything passes, or nothing of it is
    needed; `problem`: what kept it from being checked; `port`: None where it wasn't measured.
    """

    correspondent: str
    role: str
    authorized_by: str
    state: str
    way: str | None
    reached: bool
    through_home_agent: bool
    problem: str
    ways: tuple[Way, ...]
    port: Port | None


def judge(told: Told, arrived: Arrived) -> list[Path]:
    """What each check means."""
    return [_path(told, check, arrived) for check in told.checks]


def _path(told: Told, check: dict[str, Any], arrived: Arrived) -> Path:
    correspondent = str(check["correspondent"])
    role = HOME_AGENT if correspondent == told.home_agent else CORRESPONDENT
    authorized = told.authorized.get(correspondent, "")
    keyless = authorized == _ROUTABILITY
    tried = check.get("ways") or []
    passing = [one["way"] for one in tried if one.get("answered")]
    found = []
    for kind in NAMES:
        of_kind = [one for one in tried if one["way"] == kind and one["answered"] is not None]
        if of_kind:
            for one in of_kind:
                tests = one.get("tests")
                if tests and not (one["answered"] or (tests["home"] and tests["care_of"])):
                    found.append(_untested(kind, tests["home"], tests["care_of"]))
                else:
                    known = arrived if authorized in ("", _STATIC_KEY) else _unknown
                    found.append(_tried(one, correspondent, role, passing, known))
        elif keyless and kind != NAMES[0]:
            continue  # there is no such way without a key
        elif not check.get("at_home"):
            reach = told.reach.get(correspondent, [])
            found.append(_absent(kind, check, reach, told.native_why, bool(passing)))
    at_home, stood_for = bool(check.get("at_home")), bool(check.get("stood_for"))
    return Path(
        correspondent,
        role,
        authorized,
        str(check.get("state")),
        check.get("way"),
        bool(passing) or at_home or stood_for,
        stood_for,
        "" if check.get("measured") else str(check.get("problem") or ""),
        tuple(found),
        _port(check) if check.get("measured") else None,
    )


def _unknown(correspondent: str, generation: int, numbers: range) -> None:
    """Whether updates without a key's number arrived isn't told by events."""


def _untested(kind: str, home: bool | None, care_of: bool) -> Way:
    """A correspondent without a key, of whose tests not both were answered. `home`: None where
    its test had no way."""
    test = "the care-of test is answered" if care_of else "the care-of test isn't answered"
    if home is None:
        found, ask = (
            f"the home test waits for the home agent, {test}",
            "see to the home agent first",
        )
    elif home:
        found = f"the home test is answered, {test}"
        ask = "let IPv6 packets with Mobility Headers (protocol 135) out and in"
    elif care_of:
        found = f"the home test isn't answered, {test}"
        ask = (
            "see that the home agent passes on what comes through the tunnel: "
            "roamkey home-agent status, on its host"
        )
    else:
        found = "neither the home test nor the care-of test is answered"
        ask = (
            "see that it is there and does return routability: roamkey correspondent status, on "
            "its host; or let IPv6 packets with Mobility Headers (protocol 135) out and in"
        )
    return Way(kind, None, FAILS, None, None, found, ask)


def _tried(
    one: dict[str, Any], correspondent: str, role: str, passing: list[str], arrived: Arrived
) -> Way:
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
        ask += f"; or the {role} isn't there: {_COMMANDS[role]}, on its host"
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
    passing = [way.way for way in path.ways if way.verdict == PASSES]
    if path.through_home_agent and not passing:
        return "data go through the home agent, since no way of their own passes"
    if path.problem and not path.reached:
        return f"not checked: {path.problem}"
    if path.state == "home" or path.problem.startswith("at home"):
        return "at home: data go plainly"
    if not path.reached:
        return (
            f"nothing passes: {_silent(path)}see that the {path.role} runs "
            f"({_COMMANDS[path.role]}, on its host) and that this network wants no login"
        )
    others = [way for way in passing if way != path.way]
    beside = f"; {' and '.join(dict.fromkeys(others))} would pass, too" if others else ""
    what = "the board is registered" if path.role == HOME_AGENT else "data go"
    return f"{what} by {path.way}{beside}: it works"


def _silent(path: Path) -> str:
    """Of a home agent: by which ways it has said nothing, and what lacks without it."""
    tried = [way.way for way in path.ways if way.verdict == FAILS]
    if path.role != HOME_AGENT or not tried:
        return ""
    return f"the home agent {path.correspondent} is silent by {' and '.join(tried)}; "
