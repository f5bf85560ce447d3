"""How long after a move the correspondent is bound, natively and inside UDP. Run it with
`make bench`.

Real parts, as in handover.py; the correspondent is 20 ms away. The board moves through native
networks, one with IPv4 behind a NAT, and others that drop destination options, routing headers or
both, each of which it visits for the first time once (it has to find the way), then again.

What is measured, all on this machine's one clock, beginning with a usable address:

accepted  The kernel's time stamp of the accepting acknowledgement as it enters the link at the
          correspondent's end, after the binding is on the disk. By the way that the network lets
          pass both ways: where routing headers are dropped a native update is accepted, too, and
          doesn't count.
answered  The time stamp of the same acknowledgement at the board's interface: a round trip.

An IPv6 address is usable from the Router Advertisement on that it was made from, or from its
announcement, whichever is earlier (handover.py); an IPv4 address from the moment on before the
laboratory asked the kernel to give it to the interface. So figures are too long rather than short.

Then a NAT forgets its ports under a board that is silent, and the time until the correspondent has
accepted its new one is taken; and the octets that each way adds to `ping`'s packets are counted.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from handover import ONE_WAY_MS
from results import update
from rich.console import Console
from rich.table import Table
from support.handovers import advertisements  # bench/scripts.py finds it

from mip6 import packets
from mip6.errors import Violation
from roamkey.correspondent.dataplane import tun
from roamkey.decode import outer
from roamkey.lab import sandbox
from roamkey.lab.conditions import Conditions
from roamkey.lab.lans import CORRESPONDENT_ADDRESS, CORRESPONDENT_IPV4
from roamkey.lab.network import Network
from roamkey.lab.ring import Ring
from roamkey.lab.scene import BOARD, HOME_ADDRESS, UPLINK, Scene
from roamkey.lab.wire import Signal, read_signal, records
from roamkey.waiting import until

KNOWN_MS = 15.0  # more than one way that the median of a known network may take
UNKNOWN_MS = 400.0  # the same, of one that drops native packets
REFRESH_S = 5
REBOUND_S = 1.0  # more than the interval of keepalives
_RINGED = 4096
_STAY_S = 0.6  # in each network: more than three updates a second would be held back
_ALONE_S = 10.5  # what nobody signed makes a node ask anew once in ten seconds
_WITHIN_S = 30.0
_ETHERNET = 14
_FILTERS = ("no-destination-options", "no-routing-headers", "no-extension-headers")
_CAFE = "cafe"
_NATIVE = ("visited1", "visited2")
_STRANGE = tuple(f"filter{number}" for number in range(6))
_NETWORKS = {
    _CAFE: Conditions("ipv4"),
    **{name: Conditions(_FILTERS[at % 3]) for at, name in enumerate(_STRANGE)},
}
_REACH = (CORRESPONDENT_ADDRESS, CORRESPONDENT_IPV4)


@dataclass(frozen=True)
class Registered:
    """Milliseconds after an address was usable: see the top of this file."""

    accepted: float
    answered: float


def main() -> int:
    """Measure, print tables, write `bench/out/anynetwork.json`; 1 where a goal is missed."""
    arguments = argparse.ArgumentParser(description="measure ways through networks of each kind")
    arguments.add_argument("--rounds", type=int, default=4, help="each begins with no way known")
    arguments.add_argument("--forgets", type=int, default=8)
    given = arguments.parse_args()
    if (reason := tun.refusal()) is not None:
        print(f"bench/anynetwork.py: skipped, the data plane needs {tun.PATH}: {reason}")
        return 0
    sandbox.ensure()
    moves: dict[str, list[Registered]] = defaultdict(list)
    overhead: dict[str, int] = {}
    for seed in range(given.rounds):
        with tempfile.TemporaryDirectory() as out:
            overhead |= roam(Path(out), seed, moves)
    with tempfile.TemporaryDirectory() as out:
        rebinds = forget(Path(out), given.forgets)
    found = summary(moves, rebinds, overhead)
    show(moves, rebinds, found)
    update("anynetwork.json", **found)
    missed = misses(found)
    for line in missed:
        print(f"anynetwork: {line}", file=sys.stderr)
    return bool(missed)


def roam(out: Path, seed: int, moves: dict[str, list[Registered]]) -> dict[str, int]:
    """Visit all networks, the strange ones twice; adds to `moves`. What each way adds, octets."""
    with (
        Network(delay_ms=ONE_WAY_MS, seed=seed, networks=_NETWORKS) as network,
        Scene(out, network, reach=_REACH) as scene,
    ):
        scene.wait_until_bound_to(scene.move(_NATIVE[1]).address, _WITHIN_S)
        with network.namespace(BOARD).entered():
            arrivals = Ring(UPLINK)
        for name in _STRANGE:
            moves["fallback"].append(move(scene, arrivals, name, "udp6"))
        for at, name in enumerate(_STRANGE):
            moves["native"].append(move(scene, arrivals, _NATIVE[at % 2], "native"))
            moves["udp6"].append(move(scene, arrivals, name, "udp6"))
            moves["udp4"].append(move(scene, arrivals, _CAFE, "udp4"))
        for name in (_NATIVE[0], _STRANGE[0], _CAFE):
            move(scene, arrivals, name, "")
            ping(network)
        network.stop_capture()
        return added(scene.capture)


def move(scene: Scene, arrivals: Ring, lan: str, way: str) -> Registered:
    """Go there; how long that took, by the way wanted, or any."""
    time.sleep(_STAY_S)
    list(arrivals.frames(_RINGED))  # forget what came unasked
    left = time.time()
    usable = scene.move(lan)
    answers: dict[int, float] = {}  # number -> when the acknowledgement came to the board

    def update_of(acceptance: Signal) -> Signal | None:
        return next(
            (
                one
                for one in scene.wire.seen
                if one.is_update
                and one.time >= left
                and (one.sequence, one.way) == (acceptance.sequence, acceptance.way)
                and one.care_of_address == usable.address
            ),
            None,
        )

    accepted = scene.wire.wait_for(
        lambda one: one.is_acceptance and way in ("", one.way) and update_of(one) is not None,
        left,
        _WITHIN_S,
    )
    frames: list[tuple[int, bytes]] = []

    def answered() -> bool:
        for arrival, frame in arrivals.frames(_RINGED):
            frames.append((arrival, frame))
            came = read_signal(arrival / 1e9, frame)
            if came is not None and came.is_acceptance:
                answers[came.sequence] = came.time
        return accepted.sequence in answers

    if not until(answered, _WITHIN_S, 0.002):
        raise TimeoutError(f"{lan}: no acknowledgement came to the board")
    start = usable.time
    if scene.network.lans[lan].conditions.ipv6:
        start = min(start, next(at for at in advertisements(frames) if at > left))
    else:
        start = scene.network.given[BOARD, UPLINK]
    return Registered((accepted.time - start) * 1000, (answers[accepted.sequence] - start) * 1000)


def ping(network: Network) -> None:
    """Have some echo requests, and their answers, go the way that is in use."""
    process = network.spawn(
        "correspondent",
        ["ping", "-6", "-n", "-c3", "-i0.1", "-W2", HOME_ADDRESS],
        stdout=subprocess.DEVNULL,
    )
    if process.wait(_WITHIN_S):
        raise TimeoutError("ping had no answer")


def added(capture: Path) -> dict[str, int]:
    """Octets of each way that no plain IPv6 packet has. Raises ValueError where they differ from
    one packet to the next."""
    found: dict[str, set[int]] = defaultdict(set)
    with capture.open("rb") as file:
        for _, frame in records(file):
            octets = frame[_ETHERNET:]
            try:
                way, packet = inner(octets)
            except Violation:
                continue
            if packet.protocol == packets.ICMPV6 and packet.payload[0] in (128, 129):
                plain = packets.IPV6_HEADER_OCTETS + len(packet.payload)
                found[way].add(len(octets) - plain)
    if any(len(each) != 1 for each in found.values()):
        raise ValueError(f"octets added: {dict(found)}")
    return {way: each.pop() for way, each in found.items()}


def inner(octets: bytes) -> tuple[str, packets.Packet]:
    """By which way an IP packet goes, and what it says."""
    around = outer.ipv6(octets) if octets[0] >> 4 == 6 else outer.ipv4(octets)
    if around is not None and around.payload is not None:
        return around.way, packets.parse_encapsulated(around.payload)
    return "native", packets.parse(octets)


def forget(out: Path, times: int) -> list[float]:
    """Seconds from a NAT's forgetting until the correspondent has the board's new endpoint, for a
    board that sends keepalives alone."""
    options = ("--nat-refresh", str(REFRESH_S))
    with (
        Network(delay_ms=ONE_WAY_MS, networks={_CAFE: Conditions("ipv4")}) as network,
        Scene(out, network, reach=_REACH, options=options) as scene,
    ):
        scene.wait_until_bound_to(scene.move(_CAFE).address, _WITHIN_S)
        found = []
        for number in range(times):
            time.sleep(_ALONE_S + REFRESH_S * number / times)  # wherever in the interval
            before = endpoint(scene)
            at = time.time()
            network.forget_ports()
            accepted = scene.wire.wait_for(lambda one: one.is_acceptance, at, _WITHIN_S)
            if endpoint(scene) == before:
                raise TimeoutError("an update from the same port, after the NAT had forgotten")
            found.append(accepted.time - at)
        return found


def endpoint(scene: Scene) -> str:
    """Where the correspondent sends to."""
    binding = scene.binding()
    assert binding is not None
    return str(binding["endpoint"])


def summary(
    moves: dict[str, list[Registered]], rebinds: list[float], overhead: dict[str, int]
) -> dict[str, object]:
    """What is kept of it."""
    found: dict[str, object] = {
        "one_way_ms": ONE_WAY_MS,
        "moves": {name: len(each) for name, each in moves.items()},
    }
    for name, each in moves.items():
        found[f"{name}_ms"] = round(statistics.median(one.accepted for one in each), 2)
    for name, each in moves.items():
        found[f"{name}_answered_ms"] = round(statistics.median(one.answered for one in each), 2)
    found["keepalive_s"] = REFRESH_S
    found["forgets"] = len(rebinds)
    found["rebind_s"] = round(max(rebinds), 2)
    found["octets_overhead"] = overhead
    return found


def misses(found: dict[str, object]) -> list[str]:
    """A line for each goal that isn't reached."""
    most = {f"{way}_ms": ONE_WAY_MS + KNOWN_MS for way in ("native", "udp6", "udp4")}
    most |= {"fallback_ms": ONE_WAY_MS + UNKNOWN_MS, "rebind_s": REFRESH_S + REBOUND_S}
    return [
        f"{name} is {found[name]}, more than {limit:g}"
        for name, limit in most.items()
        if float(str(found[name])) > limit
    ]


def show(
    moves: dict[str, list[Registered]], rebinds: list[float], found: dict[str, object]
) -> None:
    """Tables for a person."""
    console = Console()
    table = Table(title=f"Address usable → accepted, {ONE_WAY_MS:g} ms one way", box=None)
    table.add_column("milliseconds")
    for heading in ("moves", "median", "90 %", "least", "most", "answered", "octets added"):
        table.add_column(heading, justify="right")
    names = {
        "native": "native",
        "udp6": "udp6, known network",
        "udp4": "udp4, behind a NAT",
        "fallback": "udp6, unknown network",
    }
    overhead = found["octets_overhead"]
    assert isinstance(overhead, dict)
    for name, text in names.items():
        ranked = sorted(one.accepted for one in moves[name])
        shown = (statistics.median(ranked), ranked[len(ranked) * 9 // 10], ranked[0], ranked[-1])
        answered = statistics.median(one.answered for one in moves[name])
        cells = [f"{value:.1f}" for value in (*shown, answered)]
        table.add_row(text, str(len(ranked)), *cells, str(overhead.get(name, "")))
    console.print(table)
    console.print(
        f"a NAT forgot, keepalives each {REFRESH_S} s: bound again after "
        f"{statistics.median(rebinds):.1f} s (median), {max(rebinds):.1f} s (most of "
        f"{len(rebinds)})"
    )


if __name__ == "__main__":
    sys.exit(main())
