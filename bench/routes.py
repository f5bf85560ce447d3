"""How long each way takes to have a peer follow a move, side by side. Run it with `make bench`.

The board moves to and fro between two networks. A correspondent with a key, one without and the
home agent are 20 ms away each, behind links of their own, and all are real: the daemons with their
databases, MicroPython on its flash, the kernel's duplicate address detection on.

From a usable address to the acceptance at each of them, on this machine's one clock, and with the
time stamps of bench/handover.py: what leaves an end has been decided there, and is on the disk
where it has to be.

static key            one update, at once
return routability    a Care-of Test there and back, then the update; the Home Test, through the
                      home agent, is kept fresh ahead (RFC 6275 section 11.6.1), so most moves
                      don't wait for it
home agent            one update, at once
"""

import argparse
import statistics
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from results import OUT
from rich.console import Console
from rich.table import Table
from scripts import save
from support.handovers import (  # bench/scripts.py finds it
    NETWORKS,
    ONE_WAY_MS,
    STAY_S,
    Travel,
    advertisements,
    first,
    spread,
)

from roamkey.correspondent.dataplane import tun
from roamkey.lab import sandbox
from roamkey.lab.lans import HOME
from roamkey.lab.outside import KEYLESS
from roamkey.lab.ring import Ring
from roamkey.lab.scene import BOARD, UPLINK
from roamkey.lab.wire import Wire

BOUND_MS = 10.0  # more than the way that each may take
_WAYS = {"static_key_ms": 1, "return_routability_ms": 3, "home_agent_ms": 1}  # times one way
_WITHIN_S = 30.0
_FRAMES = 4096
_FILE = OUT / "routes.json"


def main() -> int:
    """Measure, print a table, write `bench/out/routes.json`; 1 where it takes too long."""
    arguments = argparse.ArgumentParser(description="measure ways to authorize in the laboratory")
    arguments.add_argument("--moves", type=int, default=50)
    moves = arguments.parse_args().moves
    if (reason := tun.refusal()) is not None:
        print(f"bench/routes.py: skipped, the home agent needs {tun.PATH}: {reason}")
        return 0
    sandbox.ensure()
    with tempfile.TemporaryDirectory() as out:
        found = measure(Path(out), moves)
    show(found, moves)
    medians = {way: round(statistics.median(times), 2) for way, times in found.items()}
    save(_FILE, {"one_way_ms": ONE_WAY_MS, "moves": moves, **medians})
    missed = [way for way, times in _WAYS.items() if medians[way] > times * ONE_WAY_MS + BOUND_MS]
    for way in missed:
        print(f"routes: {way} is {medians[way]:g}", file=sys.stderr)
    return bool(missed)


def measure(out: Path, moves: int) -> dict[str, list[float]]:
    """Milliseconds by each way, of so many moves. Raises TimeoutError where one doesn't end."""
    found: dict[str, list[float]] = {way: [] for way in _WAYS}
    with ExitStack() as stack:
        travel = stack.enter_context(Travel(out, home_agent=True))
        network = travel.network
        network.set_delay(ONE_WAY_MS, link=HOME)
        wires = {"static_key_ms": travel.scene.wire}
        for way, link in (("return_routability_ms", KEYLESS.name), ("home_agent_ms", HOME)):
            network.start_capture(out / f"{link}.pcap", link=link)
            wires[way] = stack.enter_context(Wire(out / f"{link}.pcap"))
        travel.attach(UPLINK, NETWORKS[1])
        _accepted(wires, network.lans[NETWORKS[1]].start, 0.0)
        with network.namespace(BOARD).entered():
            arrivals = Ring(UPLINK)
        for number in range(moves):
            time.sleep(STAY_S)
            list(arrivals.frames(_FRAMES))  # forget what came unasked
            lan = NETWORKS[number % 2]
            link_up, announced, _, _ = travel.attach(UPLINK, lan)
            accepted = _accepted(wires, network.lans[lan].start, link_up)
            heard = first(advertisements(arrivals.frames(_FRAMES)), link_up)
            usable = min(heard, announced)
            for way, at in accepted.items():
                found[way].append(1000 * (at - usable))
    return found


def _accepted(wires: dict[str, Wire], start: str, since: float) -> dict[str, float]:
    """When each end accepted an address that starts like this."""
    return {
        way: wire.wait_for(
            lambda signal: signal.is_acceptance and signal.care_of_address.startswith(start),
            since,
            _WITHIN_S,
        ).time
        for way, wire in wires.items()
    }


def show(found: dict[str, list[float]], moves: int) -> None:
    """Print it."""
    table = Table(title=f"Usable address to bound, {ONE_WAY_MS:g} ms one way, {moves} moves")
    table.add_column("milliseconds, by")
    for heading in ("median", "95 %", "worst"):
        table.add_column(heading, justify="right")
    for way, times in found.items():
        told = [f"{value:.1f}" for value in spread(times).values()]
        table.add_row(way.removesuffix("_ms").replace("_", " "), *told)
    Console().print(table)


if __name__ == "__main__":
    sys.exit(main())
