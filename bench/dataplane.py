"""How fast data go over the data plane, beside the same way without it. Run it with `make bench`.

A node with the agent's core under CPython has its home address on a TUN device (`lab/tun_node`); a
plain host on the same network is beside it. Both serve the same file over HTTP, and a program on
the correspondent's host fetches it from one and the other in turn, so that whatever else this
machine does hits both alike. The way between, with router and user-space bridge, is the same.

With the data plane, each packet goes through two more programs, on the machine's same processors:
the ratio is that of two ends, not of one. How signalling fares meanwhile is measured as well: from
sending a Binding Update to having its acknowledgement, for another node than the one with data.

Then each data plane beside the plain path, in one kernel that has Mobile IPv6: see `planes`.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import results

from roamkey.correspondent.dataplane import tun
from roamkey.lab import sandbox
from roamkey.lab.network import Network
from roamkey.lab.tun_node import TunNode
from roamkey.registry import Registry

TESTS = Path(__file__).parent.parent / "tests"
sys.path.insert(0, str(TESTS))
from support import uml  # noqa: E402
from support.daemons import Daemon, Visitor  # noqa: E402
from support.nodes import MobileNode  # noqa: E402

HOME = "2001:db8:a::77"
PLAIN = "plain"
OCTETS = 50_000_000
LIFETIME = 3600
_PORT = 8000


def main() -> int:
    """Measure, print, write `throughput_ratio` into bench/out/correspondent.json, and
    bench/out/dataplane.json."""
    arguments = argparse.ArgumentParser(description="measure the data plane in the laboratory")
    arguments.add_argument("--runs", type=int, default=7)
    arguments.add_argument("--planes", action="store_true", help="each plane in one kernel alone")
    chosen = arguments.parse_args()
    code = planes()
    return code if chosen.planes else measure_here(chosen.runs) or code


def planes() -> int:
    """Each plane in one kernel; the exit code."""
    reason = uml.refusal()
    if reason is not None:
        print(f"bench/dataplane.py: planes skipped: {reason}")
        return 0
    results.OUT.mkdir(exist_ok=True)
    program = str(Path(__file__).parent / "planes.py")
    return uml.run([sys.executable, program, f"{uml.SHARED}/dataplane.json"], 600, results.OUT)


def measure_here(runs: int) -> int:
    """The data plane of this host's kernel; the exit code."""
    reason = tun.refusal()
    if reason is not None:
        print(f"bench/dataplane.py: skipped, the data plane needs {tun.PATH}: {reason}")
        return 0
    sandbox.ensure()
    with tempfile.TemporaryDirectory() as folder, Network() as network:
        path = Path(folder) / "registry.sqlite"
        with (
            Registry.open(path) as registry,
            TunNode(network, registry, Path(folder), HOME) as node,
        ):
            return measure(network, registry, path, node, Path(folder), runs)


def measure(
    network: Network, registry: Registry, path: Path, node: TunNode, folder: Path, runs: int
) -> int:
    """The whole measurement; the exit code."""
    signaller = MobileNode(0x100)
    registry.add_sent(b"bench-00", "bench", [signaller.pair_keys()], LIFETIME)
    daemon = Daemon(network, path, data_plane=True)
    daemon.ready()
    network.attach(node.name, node.uplink, "visited1", dad=False)
    network.wait_for_address(node.name, node.uplink, "visited1")
    network.attach(PLAIN, "wlan0", "visited1", dad=False)
    plain = network.wait_for_address(PLAIN, "wlan0", "visited1")
    daemon.event("accepted")
    (folder / "file").write_bytes(bytes(OCTETS))
    for name, address in ((node.name, HOME), (PLAIN, plain)):
        serve(network, name, address, folder)
    time.sleep(1.5)
    rates: dict[str, list[float]] = {HOME: [], plain: []}
    for _ in range(runs):
        for address, found in rates.items():
            found.append(OCTETS / json.loads(fetch(network, address).communicate()[0])["seconds"])
    over, beside = (statistics.median(found) for found in rates.values())
    ratio = statistics.median(a / b for a, b in zip(*rates.values(), strict=True))
    visitor = Visitor(network, "visited2")
    idle = signalling(visitor, signaller, range(100))
    fetching = [fetch(network, HOME) for _ in range(2)]
    time.sleep(0.4)
    busy = signalling(visitor, signaller, range(100, 200))
    if any(process.poll() is not None for process in fetching):
        print("the downloads ended before the signalling was measured: see OCTETS")
    print(f"an HTTP download of {OCTETS // 1_000_000} MB, median of {runs}")
    print(f"  to the home address, over the data plane  {over / 1e6:7.1f} MB/s")
    print(f"  to a plain host beside it                 {beside / 1e6:7.1f} MB/s")
    print(f"  ratio, median of pairs                    {ratio:7.2f}")
    print("a Binding Update and its acknowledgement, median (95th percentile)")
    print(f"  without data                              {shown(idle)} ms")
    print(f"  while two downloads run over it           {shown(busy)} ms")
    results.update("correspondent.json", throughput_ratio=round(ratio, 3))
    return daemon.end()[0]


def serve(network: Network, name: str, address: str, folder: Path) -> None:
    """An HTTP server at a node."""
    network.spawn(
        name,
        [sys.executable, "-m", "http.server", "--bind", address, str(_PORT), "-d", str(folder)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def fetch(network: Network, address: str) -> "subprocess.Popen[str]":
    """A program on the correspondent's host that downloads the file."""
    return network.spawn(
        "correspondent",
        [
            sys.executable,
            str(TESTS / "support" / "programs.py"),
            "download",
            f"http://[{address}]:{_PORT}/file",
        ],
        stdout=subprocess.PIPE,
        text=True,
    )


def signalling(visitor: Visitor, node: MobileNode, sequences: range) -> list[float]:
    """Seconds from each update to its acknowledgement."""
    took = []
    for sequence in sequences:
        update = node.update(sequence, visitor.address)
        start = time.perf_counter()
        visitor.send(update)
        visitor.receive(43)
        took.append(time.perf_counter() - start)
        time.sleep(0.005)
    return took


def shown(took: list[float]) -> str:
    """Median and 95th percentile in ms."""
    return (
        f"{statistics.median(took) * 1e3:7.2f} ({sorted(took)[len(took) * 95 // 100] * 1e3:.2f})"
    )


if __name__ == "__main__":
    sys.exit(main())
