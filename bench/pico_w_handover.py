"""What a move costs on a Pico W, by its own clock: `make handover-pico-w`.

Real firmware in the emulator, the real correspondent; phases from the board's event log, which
counts milliseconds of its own clock. Emulated cycles are exact and joining takes no time, so these
are lower bounds of hardware's: what a radio takes comes on top. The routers answer at once.

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

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from results import OUT
from rich.console import Console
from rich.table import Table
from scripts import save
from support.pico_w import TAPS, InReach  # bench/scripts.py finds it

from roamkey.build import compile_board_files
from roamkey.lab import sandbox
from roamkey.lab.conditions import Conditions
from roamkey.lab.demo.correspondent import Correspondent
from roamkey.lab.lans import CORRESPONDENT_ADDRESS, CORRESPONDENT_NAME
from roamkey.lab.network import Network
from roamkey.lab.virtual_board.flash import RP2, FlashImage
from roamkey.lab.wire import Wire

_OUT = OUT / "pico_w_handover.json"
_HOME_ADDRESS = "2001:db8:a::1:77"
_WAIT_S = 600.0  # on the wall
_STAY_S = 4.0  # in a network, by the board's clock
_GAP_S = 0.3
_PATIENCE = "60"
_EARLY_MS = 150  # the emulator's clock is ahead of the board's by what its boot ROM takes

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
    """A board that runs the agent, provisioned, in reach of two networks."""

    def __init__(self, network: Network, uf2: Path, folder: Path, reach: list[str]) -> None:
        self.network = network
        self._registry = folder / "registry.sqlite"
        self._reach = reach
        image = FlashImage(folder / "fs.bin", RP2)
        image.format()
        known = [{"ssid": name, "priority": 0} for name in TAPS]
        files: dict[str, bytes | Path] = {**compile_board_files(folder / "mpy", "rp2")}
        image.write_files({**files, "/roamkey/networks": json.dumps(known).encode()})
        capture = folder / "wire.pcap"
        network.start_capture(capture)
        self.wire = Wire(capture)
        super().__init__(network, uf2, image.path)
        self.correspondent = Correspondent(network, self._registry, folder / "correspondent.log")

    def provision(self) -> None:
        """Give it keys, and start the correspondent."""
        self._roamkey(
            *("provision", "--home-address", _HOME_ADDRESS),
            *("--correspondent", CORRESPONDENT_ADDRESS, *self._reach),
            *("--registry", str(self._registry)),
        )
        self.correspondent.start()

    def _roamkey(self, *command: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "roamkey", *command, "--port", self.board.repl, "--json"],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "ROAMKEY_PATIENCE": _PATIENCE},
        )
        if done.returncode:
            sys.exit(f"pico_w_handover: {done.stdout}{done.stderr}")
        return done.stdout

    def now_ms(self) -> float:
        """Since power-on, by the board's clock."""
        return self.board._seconds_now() * 1000

    def stay(self, seconds: float = _STAY_S) -> None:
        """Pass some time, by the board's clock."""
        until = self.now_ms() + seconds * 1000
        while self.now_ms() < until:
            if not self.board.running:
                sys.exit("pico_w_handover: the board was reset")
            time.sleep(0.05)

    def bound(self, since: float) -> None:
        """Wait until an update that was sent since then is accepted."""
        self.wire.wait_for(lambda signal: signal.is_acceptance, since, _WAIT_S)

    def events(self) -> list[dict[str, Any]]:
        """The board's log since it was switched on last."""
        lines = [json.loads(line) for line in self._roamkey("log", "pull").splitlines()]
        found = [line for line in lines if line["type"] == "event"]
        boot = max(event["boot"] for event in found)
        return [event for event in found if event["boot"] == boot]


def roam(rig: Rig, counts: Mapping[str, int]) -> tuple[list[Marks], list[dict[str, Any]]]:
    """Go through all that is asked for; returns what began when, and the board's log."""
    board = rig.board
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
        board.regain_network(here[1])
        board.lose_network(here[0])
        here.reverse()

    def back(_: int) -> None:
        board.lose_network(here[0])
        rig.stay(_GAP_S)
        board.regain_network(here[0])

    def elsewhere(number: int) -> None:
        board.lose_network(here[0])
        rig.plug(here[0], here[1 - number % 2])
        board.regain_network(here[0])

    def replugged(number: int) -> None:
        rig.plug(here[0], here[1 - number % 2])

    do("move", counts.get("move", 0), move)
    board.lose_network(here[1])
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
    within = [event for event in events if start - _EARLY_MS <= event["ms"] < end - _EARLY_MS]
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
    found["begun"] = start
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
    marks: Marks, everything: Sequence[float], events: list[dict[str, Any]]
) -> dict[str, Any]:
    """The figures of one kind of move. `everything`: when anything began."""
    seen = []
    for at in marks.at:
        end = min((other for other in everything if other > at), default=float("inf"))
        seen.append(phases(at, end, events))
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


def measure(
    uf2: Path, counts: Mapping[str, int], conditions: Mapping[str, Conditions], reach: list[str]
) -> dict[str, Any]:
    """All figures of one laboratory."""
    with (
        tempfile.TemporaryDirectory() as name,
        Network(networks=conditions) if conditions else Network() as network,
    ):
        rig = Rig(network, uf2, Path(name), reach)
        with rig.board, rig.wire:
            rig.power_on()
            rig.provision()
            rig.bound(0)
            rig.board.power_cut()
            since = time.time()
            rig.power_on()
            rig.board.lose_network("visited2")
            rig.bound(since)
            done, events = roam(rig, counts)
    first = next(event["ms"] for event in events if event["kind"] == "update")
    everything = [at for marks in done for at in (*marks.at, *marks.over)]
    found = {marks.kind: judge(marks, everything, events) for marks in done if marks.at}
    return {"power_to_update_ms": first, **found}


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


def show(found: Mapping[str, Any]) -> None:
    """Print a table."""
    table = Table("Pico W, ms of its own clock: median (worst)", box=None)
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


def main() -> int:
    """Measure, print a table, write JSON; 1 where a goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--uf2", type=Path, default=os.environ.get("PICO_W_UF2"))
    parser.add_argument("--moves", type=int, default=10)
    arguments = parser.parse_args()
    if not arguments.uf2:
        print("pico_w_handover: needs firmware: PICO_W_UF2=RPI_PICO_W.uf2 make handover-pico-w")
        return 2
    sandbox.ensure()
    uf2, moves = Path(arguments.uf2), arguments.moves
    counts = {"move": moves, "back": moves // 2, "elsewhere": moves // 2, "replugged": moves // 2}
    found = measure(uf2, counts, {}, [])
    behind_nat = {name: Conditions("ipv4") for name in TAPS}
    ipv4 = measure(uf2, {"move": moves // 2}, behind_nat, ["--reach", CORRESPONDENT_NAME])
    found["ipv4"] = ipv4["move"]
    found["ipv4_power_to_update_ms"] = ipv4["power_to_update_ms"]
    show(found)
    save(_OUT, found)
    failed = missed(found)
    print(f"missed: {', '.join(failed)}" if failed else "every goal is reached")
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
