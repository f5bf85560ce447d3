"""How long after a move the correspondent is bound. Run it with `make bench`.

Real parts: the board is MicroPython booting from its flash, the correspondent is the daemon with
its database. The board moves to and fro between two networks; the correspondent is 20 ms away.

What is measured, all on this machine's one clock:

usable   The kernel announces the new care-of address in the board's namespace. The announcement
         has no time stamp of its own, so two are taken: when this program received it (late by a
         thread's wake-up, which would flatter us), and the kernel's time stamp of the Router
         Advertisement that the address was made from (early, which can't). The earlier counts.
bound    The kernel's time stamp of the accepting Binding Acknowledgement as it enters the link at
         the correspondent's end. It leaves only after the binding is committed to disk, so this is
         late by what building and sending it take.

So each figure is too long rather than too short; by how much at its start, the table shows.
Beside it stands return routability at the same distances, sent over the wire by a script
(return_routability.py), at its least.
"""

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from return_routability import measure
from rich.console import Console
from rich.table import Table

from roamkey.lab import sandbox
from roamkey.lab.network import Network
from roamkey.lab.ring import Ring
from roamkey.lab.scene import BOARD, UPLINK, Scene

ONE_WAY_MS = 20.0
BOUND_MS = 10.0  # more than one way that a handover may take
_RETURN_ROUTABILITY_RUNS = 20
_OUT = Path(__file__).parent / "out" / "handover.json"
_STAY_S = 0.4  # in each network: more than three updates a second would be held back by their rate
_ROUTER_ADVERTISEMENT = b"\x86"
_ICMPV6_TYPE_AT = 14 + 40
_RING_FRAMES = 4096


@dataclass(frozen=True)
class Handover:
    """Seconds since the epoch: see the top of this file."""

    advertised: float
    announced: float
    updated: float
    bound: float

    @property
    def usable(self) -> float:
        """The earlier of the two times that stand for it."""
        return min(self.advertised, self.announced)

    @property
    def took_ms(self) -> float:
        """From a usable address to a bound correspondent."""
        return (self.bound - self.usable) * 1000


def main() -> int:
    """Measure, print a table, write `bench/out/handover.json`; 1 where it takes too long."""
    arguments = argparse.ArgumentParser(description="measure handovers in the laboratory")
    arguments.add_argument("--moves", type=int, default=100)
    moves = arguments.parse_args().moves
    sandbox.ensure()
    with tempfile.TemporaryDirectory() as out:
        handovers = measure_handovers(Path(out), moves)
    routability = statistics.median(measure(ONE_WAY_MS, _RETURN_ROUTABILITY_RUNS))
    median = statistics.median(handover.took_ms for handover in handovers)
    found = {
        "one_way_ms": ONE_WAY_MS,
        "moves": moves,
        "median_ms": round(median, 2),
        "return_routability_ms": round(routability, 2),
        "ratio": round(routability / median, 2),
    }
    _print(handovers, found)
    _OUT.parent.mkdir(exist_ok=True)
    _OUT.write_text(json.dumps(found, indent=2) + "\n")
    if median > ONE_WAY_MS + BOUND_MS:
        print(f"handover: the median exceeds one way + {BOUND_MS:g} ms", file=sys.stderr)
        return 1
    return 0


def measure_handovers(out: Path, moves: int) -> list[Handover]:
    """Move a board so often. Raises TimeoutError where a handover doesn't come about."""
    with Network(delay_ms=ONE_WAY_MS) as network, Scene(out, network) as scene:
        scene.move("visited1")
        scene.wire.wait_for(lambda signal: signal.is_acceptance)
        with network.namespace(BOARD).entered():
            arrivals = Ring(UPLINK)
        found = []
        for number in range(moves):
            time.sleep(_STAY_S)
            list(arrivals.frames(_RING_FRAMES))  # forget what came unasked
            found.append(_move(scene, arrivals, ("visited2", "visited1")[number % 2]))
        return found


def _move(scene: Scene, arrivals: Ring, network: str) -> Handover:
    left = time.time()
    usable = scene.move(network)
    bound = scene.wire.wait_for(
        lambda signal: signal.is_acceptance and signal.care_of_address == usable.address, left
    )
    update = scene.wire.wait_for(
        lambda signal: signal.is_update and signal.sequence == bound.sequence, left
    )
    advertised = next(at for at in advertisements(arrivals.frames(_RING_FRAMES)) if at > left)
    return Handover(advertised, usable.time, update.time, bound.time)


def advertisements(frames: Iterable[tuple[int, bytes]]) -> list[float]:
    """When the Router Advertisements among frames, with their times, arrived at the board."""
    return [
        arrival / 1e9
        for arrival, frame in frames
        if frame[_ICMPV6_TYPE_AT : _ICMPV6_TYPE_AT + 1] == _ROUTER_ADVERTISEMENT
    ]


def _print(handovers: list[Handover], found: dict[str, float]) -> None:
    console = Console()
    table = Table(title=f"Handover, {ONE_WAY_MS:g} ms one way, {len(handovers)} moves", box=None)
    table.add_column("milliseconds")
    for heading in ("median", "90 %", "least", "most"):
        table.add_column(heading, justify="right")
    for name, values in (
        ("advertisement in → address announced", [h.announced - h.advertised for h in handovers]),
        ("address usable → update on the link", [h.updated - h.usable for h in handovers]),
        ("update on the link → correspondent bound", [h.bound - h.updated for h in handovers]),
        ("address usable → correspondent bound", [h.bound - h.usable for h in handovers]),
    ):
        ranked = sorted(value * 1000 for value in values)
        shown = (statistics.median(ranked), ranked[len(ranked) * 9 // 10], ranked[0], ranked[-1])
        table.add_row(name, *(f"{value:.1f}" for value in shown))
    table.add_row("return routability, at its least", f"{found['return_routability_ms']:.1f}")
    console.print(table)
    console.print(
        f"one way + {found['median_ms'] - ONE_WAY_MS:.1f} ms (at most {BOUND_MS:g} wanted); "
        f"return routability takes {found['ratio']:.1f} times as long"
    )


if __name__ == "__main__":
    sys.exit(main())
