"""What a move costs on an emulated board, in phases: for `pico_w_handover` and `esp32_handover`.

Real firmware in the emulator, the real correspondent; phases from the board's event log, which
counts milliseconds of its own clock. The routers answer at once.

power_to_update_ms     from power to the first Binding Update
move                   to another network: its access point is lost, the other one is in reach
back                   the access point is lost for a moment and leads to the same network again
elsewhere              it is lost, and back it leads to another router
replugged              it stays, and from one moment to the next leads to another router
ipv4                   as `move`, in networks without IPv6: DHCP, updates inside UDP

Of each, medians and the worst in milliseconds: down_to_up (the board knows that the link is down,
which takes it up to 100 ms, until the other one is up), up_to_router, up_to_attached,
up_to_update, update_to_acknowledged, down_to_update, begun_to_update (from what was done to the
board; exact to two tenths of a second); `numbers`: sequence numbers used, the most.
"""

import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from scripts import save
from support.in_reach import InReach  # bench/scripts.py finds it
from support.technician import run

from roamkey.lab.conditions import Conditions
from roamkey.lab.demo.correspondent import Correspondent
from roamkey.lab.lans import CORRESPONDENT_ADDRESS, CORRESPONDENT_NAME
from roamkey.lab.network import Network
from roamkey.lab.wire import Wire

HOME_ADDRESS = "2001:db8:a::1:77"
_WAIT_S = 600.0  # on the wall
_STAY_S = 4.0  # in a network, by the board's clock
_GAP_S = 0.3

UP_TO_UPDATE_MS = 300  # at most, where a router answers at once
ELSEWHERE_MS = 3000
NUMBERS = 2


@dataclass
class Marks:
    """Moves of one kind: when each began, and when all were over, by the board's clock in ms."""

    kind: str
    at: list[float] = field(default_factory=list)
    over: list[float] = field(default_factory=list)


class Rig(InReach):
    """A board that runs the agent, provisioned, in reach of two networks. A kind of board makes
    `board`, knows its clock, and what an event's time is by that."""

    early_ms = 0.0  # how far `now_ms` may be ahead of an event's time

    def __init__(self, network: Network, folder: Path, reach: list[str]) -> None:
        super().__init__(network)
        self._registry = folder / "registry.sqlite"
        self._reach = reach
        capture = folder / "wire.pcap"
        network.start_capture(capture)
        self.wire = Wire(capture)
        self.correspondent = Correspondent(network, self._registry, folder / "correspondent.log")

    def now_ms(self) -> float:
        """The board's clock."""
        raise NotImplementedError

    def provision(self) -> None:
        """Give it keys, and start the correspondent."""
        self.roamkey(
            *("provision", "--home-address", HOME_ADDRESS),
            *("--correspondent", CORRESPONDENT_ADDRESS, *self._reach),
            *("--registry", str(self._registry)),
        )
        self.correspondent.start()

    def roamkey(self, *command: str) -> str:
        """Run a subcommand with the board as its --port; what it prints."""
        done = run("roamkey", *command, "--port", self.board.repl, "--json")
        if done.returncode:
            sys.exit(f"handover: {done.stdout}{done.stderr}")
        return done.stdout

    def stay(self, seconds: float = _STAY_S) -> None:
        """Pass some time, by the board's clock."""
        until = self.now_ms() + seconds * 1000
        while self.now_ms() < until:
            if not self.board.running:
                sys.exit("handover: the board was reset")
            time.sleep(0.05)

    def bound(self, since: float) -> None:
        """Wait until an update that was sent since then is accepted."""
        self.wire.wait_for(lambda signal: signal.is_acceptance, since, _WAIT_S)

    def events(self) -> list[dict[str, Any]]:
        """The board's log since it was switched on last; `at`: the time of each by `now_ms`."""
        lines = [json.loads(line) for line in self.roamkey("log", "pull").splitlines()]
        found = [line for line in lines if line["type"] == "event"]
        boot = max(event["boot"] for event in found)
        return [{**event, "at": event["ms"]} for event in found if event["boot"] == boot]


def roam(rig: Rig, counts: Mapping[str, int]) -> tuple[list[Marks], list[dict[str, Any]]]:
    """Go through all that is asked for; returns what began when, and the board's log."""
    done = []

    def do(kind: str, times: int, lose: Callable[[int], None]) -> None:
        marks = Marks(kind)
        for number in range(times):
            rig.stay()
            print(f"{kind} {number + 1}", file=sys.stderr, flush=True)
            since = time.time()
            marks.at.append(rig.now_ms())
            lose(number)
            if kind == "back":
                rig.stay()
            else:
                rig.bound(since)
        rig.stay()
        marks.over.append(rig.now_ms())
        done.append(marks)

    here = ["visited1", "visited2"]  # joined, and the other one

    def move(_: int) -> None:
        rig.regain(here[1])
        rig.lose(here[0])
        here.reverse()

    def back(_: int) -> None:
        rig.lose(here[0])
        rig.stay(_GAP_S)
        rig.regain(here[0])

    def elsewhere(number: int) -> None:
        rig.lose(here[0])
        rig.plug(here[0], here[1 - number % 2])
        rig.regain(here[0])

    def replugged(number: int) -> None:
        rig.plug(here[0], here[1 - number % 2])

    do("move", counts.get("move", 0), move)
    rig.lose(here[1])
    do("back", counts.get("back", 0), back)
    do("elsewhere", counts.get("elsewhere", 0), elsewhere)
    if counts.get("elsewhere", 0) % 2:
        rig.plug(here[0], here[0])
        rig.stay()
        rig.stay()
    do("replugged", counts.get("replugged", 0), replugged)
    rig.stay()
    return done, rig.events()


def phases(start: float, end: float, events: list[dict[str, Any]]) -> dict[str, float]:
    """What happened in this time, in ms: see the top of this file."""
    within = [event for event in events if start <= event["at"] < end]
    found: dict[str, float] = {}

    def first(name: str, kind: str, word: str = "", after: str = "") -> None:
        since = found.get(after, 0.0)
        for event in within:
            fits = event["kind"] == kind and (not word or word in event["detail"])
            if fits and event["ms"] >= since:
                found[name] = event["ms"]
                return

    first("down", "link", "down")
    ups = [e["ms"] for e in within if e["kind"] == "link" and "up" in e["detail"]]
    if ups:
        found["up"] = ups[-1]
    first("router", "router", after="up")
    first("attached", "attached", after="up")
    first("update", "update", after="attached")
    first("acknowledged", "acknowledged", after="update")
    found["numbers"] = sum(event["kind"] == "update" for event in within)
    if "update" in found:
        update = next(event for event in within if event["ms"] == found["update"])
        found["begun"] = start - (update["at"] - update["ms"])
    return found


_SPANS = (
    ("down_to_up", "down", "up"),
    ("up_to_router", "up", "router"),
    ("up_to_attached", "up", "attached"),
    ("up_to_update", "up", "update"),
    ("update_to_acknowledged", "update", "acknowledged"),
    ("down_to_update", "down", "update"),
    ("begun_to_update", "begun", "update"),
)


def judge(
    marks: Marks, everything: Sequence[float], events: list[dict[str, Any]], early_ms: float
) -> dict[str, Any]:
    """The figures of one kind of move. `everything`: when anything began."""
    seen = []
    for at in marks.at:
        end = min((other for other in everything if other > at), default=float("inf"))
        seen.append(phases(at - early_ms, end - early_ms, events))
    found: dict[str, Any] = {"moves": len(seen)}
    for name, begin, end in _SPANS:
        values = [one[end] - one[begin] for one in seen if begin in one and end in one]
        if values:
            found[name] = {
                "median": round(statistics.median(values)),
                "worst": round(max(values)),
                "n": len(values),
            }
    found["numbers"] = max(one["numbers"] for one in seen)
    return found


Make = Callable[[Network, Path, list[str]], Rig]


def measure(
    make: Make, counts: Mapping[str, int], conditions: Mapping[str, Conditions], reach: list[str]
) -> dict[str, Any]:
    """All figures of one laboratory."""
    with (
        tempfile.TemporaryDirectory() as name,
        Network(networks=conditions) if conditions else Network() as network,
    ):
        rig = make(network, Path(name), reach)
        with rig.board, rig.wire:
            rig.power_on()
            rig.provision()
            rig.bound(0)
            rig.board.power_cut()
            since = time.time()
            rig.power_on()
            rig.lose("visited2")
            rig.bound(since)
            done, events = roam(rig, counts)
    first = next(event["ms"] for event in events if event["kind"] == "update")
    everything = [at for marks in done for at in (*marks.at, *marks.over)]
    found = {
        marks.kind: judge(marks, everything, events, rig.early_ms) for marks in done if marks.at
    }
    return {"power_to_update_ms": first, **found}


def measure_all(make: Make, moves: int) -> dict[str, Any]:
    """All figures, in networks with IPv6 and in some without."""
    counts = {"move": moves, "back": moves // 2, "elsewhere": moves // 2, "replugged": moves // 2}
    found = measure(make, counts, {}, [])
    behind_nat = {name: Conditions("ipv4") for name in InReach.ssids}
    ipv4 = measure(make, {"move": moves // 2}, behind_nat, ["--reach", CORRESPONDENT_NAME])
    found["ipv4"] = ipv4["move"]
    found["ipv4_power_to_update_ms"] = ipv4["power_to_update_ms"]
    return found


def missed(found: Mapping[str, Any]) -> list[str]:
    """The goals that what was measured doesn't reach."""
    failed = []
    for kind in ("move", "replugged"):  # elsewhere, the old router is asked for first
        told = found.get(kind, {}).get("up_to_update")  # replugged, a link may be lost or not
        if told and told["worst"] > UP_TO_UPDATE_MS:
            failed.append(f"{kind}.up_to_update")
    for kind in ("elsewhere", "replugged"):
        # replugged, nobody knows before the new router's next advertisement, five seconds at most
        most = ELSEWHERE_MS + (0 if kind == "elsewhere" else 5000)
        if kind in found and found[kind]["begun_to_update"]["worst"] > most:
            failed.append(f"{kind}.begun_to_update")
        if kind in found and found[kind]["numbers"] > NUMBERS:
            failed.append(f"{kind}.numbers")
    return failed


def show(board: str, found: Mapping[str, Any]) -> None:
    """Print a table."""
    table = Table(f"{board}, ms of its own clock: median (worst)", box=None)
    kinds = [kind for kind, value in found.items() if isinstance(value, dict)]
    for kind in kinds:
        table.add_column(kind, justify="right")
    for name, _, _ in _SPANS:
        cells = [
            f"{found[kind][name]['median']} ({found[kind][name]['worst']})"
            if name in found[kind]
            else ""
            for kind in kinds
        ]
        table.add_row(name, *cells)
    table.add_row("numbers", *(str(found[kind]["numbers"]) for kind in kinds))
    table.add_row("moves", *(str(found[kind]["moves"]) for kind in kinds))
    console = Console(highlight=False)
    console.print(table)
    console.print(f"from power to the first update: {found['power_to_update_ms']} ms")


def report(board: str, out: Path, found: dict[str, Any]) -> int:
    """Print a table, write JSON; 1 where a goal is missed."""
    show(board, found)
    save(out, found)
    failed = missed(found)
    print(f"missed: {', '.join(failed)}" if failed else "every goal is reached")
    return bool(failed)
