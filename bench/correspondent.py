"""What the correspondent takes: updates a second, memory, start-up. Run it with `make bench`.

**durable, whole daemon**: `roamkey correspondent run` in a network namespace, pinned to one
processor; this program, on the others, sends it Binding Updates over raw sockets and waits for the
acknowledgements. Counted are authentic acknowledgements, each of which left after its binding was
on the disk. Every node sends its next number from the other of two care-of addresses, so that no
key derived before is of use. The window (updates without answer yet) is far below what the
socket's buffer holds.

The other rows are one process on one processor, octets in and octets out, without sockets:

durable responder      the same without sockets: judge, commit a group of 1024, lay out the answers
a commit each          the same, committing after each message
HMACs alone            the care-of token, Kbm, the update's MAC, the acknowledgement's: the limit
plainly on scapy       scapy_responder.py; nothing is durable

Both times are given: on a machine that does other work too, the clock on the wall says little. The
disk's waits are in the wall's time only.
"""

import argparse
import cProfile
import hashlib
import hmac
import os
import pstats
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from daemons import CARE_OF, Site
from fleet import CORRESPONDENT, LATER, Node, enroll
from floods import KINDS, Flood, Honest
from results import update
from scapy_responder import ScapyResponder
from scripts import table

from roamkey.correspondent.core.cache import BindingCache
from roamkey.correspondent.core.entries import Inbound
from roamkey.correspondent.core.responder import Responder
from roamkey.correspondent.store import Store
from roamkey.lab import postgresql, sandbox
from roamkey.registry import Registry

GOAL_PER_S = 10_000
_BURST = 1024
_WINDOW = 2048
_SILENT_S = 30.0
_FILE = "correspondent.json"
_PASSPHRASE = b"a passphrase for the bench\n"


class Rate:
    """So many things in so much time."""

    def __init__(self, count: int, wall_s: float, cpu_s: float) -> None:
        self.wall = round(count / wall_s)
        self.cpu = round(count / cpu_s) if cpu_s else 0


class Rates(list[Rate]):
    """Several runs; the medians count."""

    @property
    def wall(self) -> int:
        """By the clock on the wall."""
        return round(statistics.median(rate.wall for rate in self))

    @property
    def cpu(self) -> int:
        """By the time that the processor spent."""
        return round(statistics.median(rate.cpu for rate in self))


def updates_of(fleet: list[Node], sequence: int) -> list[Inbound]:
    """One update of each node."""
    return [node.update(sequence, CARE_OF[sequence & 1]) for node in fleet]


def timed(count: int, work: Callable[[], object]) -> Rate:
    """Run it once, in this process."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return Rate(count, time.perf_counter() - wall, time.process_time() - cpu)


# --- the whole daemon


def measure_daemon(url: str, fleet: list[Node], waves: int, core: int) -> Rates:
    """Waves of one update of each node; the first one, on cold memory, isn't counted."""
    rates = Rates()
    with Site() as site:
        site.start(url, core)
        for sequence in range(waves + 1):
            ready = updates_of(fleet, sequence)
            cpu, wall = site.cpu_s(), time.perf_counter()
            answers = _exchange(site, ready)
            wall, cpu = time.perf_counter() - wall, site.cpu_s() - cpu
            _check(fleet, sequence, answers)
            if sequence:
                rates.append(Rate(len(ready), wall, cpu))
    return rates


def _exchange(site: Site, ready: list[Inbound]) -> list[tuple[bytes, bytes]]:
    answers: list[tuple[bytes, bytes]] = []
    sent = 0
    end = time.monotonic() + _SILENT_S
    while len(answers) < len(ready):
        while sent < len(ready) and sent - len(answers) < _WINDOW:
            site.send(ready[sent])
            sent += 1
        answers.extend(site.received(0.01))
        if time.monotonic() > end:
            sys.exit(f"{len(ready) - len(answers)} updates were never answered")
    return answers


def _check(fleet: list[Node], sequence: int, answers: list[tuple[bytes, bytes]]) -> None:
    by_home = {node.home_address: node for node in fleet}
    good = {
        payload[8:24]
        for payload, to in answers
        if by_home[payload[8:24]].read(payload, to) == (0, sequence)
    }
    if len(good) != len(fleet):
        sys.exit(f"only {len(good)} of {len(fleet)} acknowledgements are right")


def measure_flooded(url: str, fleet: list[Node], seconds: float, core: int) -> list[list[object]]:
    """Nodes that move beside a flood of each kind: packets of it a second, the median answer in
    milliseconds, and how many per cent of the moves were answered within a second."""
    rows: list[list[object]] = []
    with Site() as site:
        site.start(url, core)
        honest = Honest(site, fleet, 1.0)
        for kind in (None, *KINDS):
            honest.latencies.clear()
            honest.unanswered.clear()
            flood = ExitStack() if kind is None else Flood(site, kind, fleet)
            started = time.monotonic()
            with flood:
                honest.run(seconds)
                honest.settle(2.0)
            lasted = time.monotonic() - started
            found = [took for _, took in honest.latencies]
            moves = len(found) + len(honest.unanswered)
            rate = flood.sent / lasted if isinstance(flood, Flood) else 0
            answered = 100 * sum(took <= 1 for took in found) / moves
            median = 1000 * statistics.median(found)
            rows.append([kind or "none", round(rate), round(median, 1), round(answered, 1)])
    return rows


# --- in this process


def responder_over(registry: Registry) -> Responder:
    """A responder with everything read."""
    store = Store(registry, CORRESPONDENT.packed)
    made = Responder(BindingCache(CORRESPONDENT.packed), store, sys.exit)
    made.start(_now())
    return made


def measure_responder(
    responder: Responder, fleet: list[Node], sequences: range, burst: int
) -> Rates:
    """Waves fed in bursts; the first one isn't counted."""
    rates = Rates()
    for sequence in sequences:
        ready = updates_of(fleet, sequence)
        rates.append(timed(len(ready), lambda ready=ready: feed(responder, ready, burst)))
    return Rates(rates[1:])


def feed(responder: Responder, ready: list[Inbound], burst: int) -> None:
    """All of them, answered."""
    for at in range(0, len(ready), burst):
        for verdict in responder.process(ready[at : at + burst], _now()):
            if verdict.reply is None or verdict.status:
                sys.exit(f"not accepted: {verdict}")


def measure_hmacs(fleet: list[Node]) -> Rate:
    """The cryptography of an update and its answer, and nothing else."""
    octets = bytes(52)  # two addresses and what of the message is covered
    given = [(node.secrets.kcn, node.secrets.care_of_nonce, bytes(8)) for node in fleet]

    def work() -> None:
        for kcn, nonce, home_token in given:
            token = hmac.digest(kcn, CARE_OF[0] + nonce + b"\1", "sha1")[:8]
            kbm = hashlib.sha1(home_token + token).digest()
            hmac.digest(kbm, octets, "sha1")
            hmac.digest(kbm, octets, "sha1")

    return timed(len(fleet), work)


def measure_scapy(fleet: list[Node]) -> Rate:
    """The same updates, one by one."""
    secrets = {node.home_address: node.secrets for node in fleet}
    responder = ScapyResponder(CORRESPONDENT, secrets)
    ready = updates_of(fleet, 0)
    answers: list[tuple[bytes, bytes]] = []

    def work() -> None:
        for one in ready:
            answers.append((responder.answer(one.payload, one.source) or b"", one.source))

    rate = timed(len(ready), work)
    _check(fleet, 0, answers)
    return rate


def profile(responder: Responder, fleet: list[Node], sequence: int) -> list[list[object]]:
    """The five functions that most time is spent in: share, calls, name."""
    ready = updates_of(fleet, sequence)
    profiler = cProfile.Profile(time.process_time)
    profiler.runcall(feed, responder, ready, _BURST)
    stats = pstats.Stats(profiler)
    entries = stats.stats.items()  # type: ignore[attr-defined]
    total = sum(values[2] for _, values in entries)
    top = sorted(entries, key=lambda entry: -entry[1][2])[:5]
    return [
        [f"{Path(file).name}:{line} {name}" if line else name, calls, f"{100 * own / total:.0f} %"]
        for (file, line, name), (_, calls, own, *_) in top
    ]


# --- growth


def measure_growth(folder: Path, count: int, encrypted: bool) -> tuple[int, float]:
    """Resident octets of a daemon with so many nodes, and seconds until it was ready."""
    path = folder / f"growth-{count}-{encrypted}.sqlite"
    passphrase = folder / "passphrase"
    passphrase.write_bytes(_PASSPHRASE)
    passphrase.chmod(0o600)
    with Registry.open(path, passphrase_file=passphrase if encrypted else None) as registry:
        enroll(registry, count)
    if encrypted:
        os.environ["ROAMKEY_PASSPHRASE_FILE"] = str(passphrase)
    try:
        with Site() as site:
            took = site.start(f"sqlite:///{path}")
            return site.resident_octets(), took
    finally:
        os.environ.pop("ROAMKEY_PASSPHRASE_FILE", None)


def _now() -> int:
    return time.time_ns() // 1_000_000


def main() -> int:
    """Measure, print tables, write bench/out/correspondent.json; 1 where the goal is missed."""
    arguments = argparse.ArgumentParser(description="measure the correspondent")
    arguments.add_argument("--nodes", type=int, default=10_000)
    arguments.add_argument("--waves", type=int, default=5)
    arguments.add_argument("--growth", type=int, nargs="*", default=[1_000, 10_000, 100_000])
    given = arguments.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="roamkey-bench-")))
        urls = {"SQLite": f"sqlite:///{folder / 'registry.sqlite'}"}
        if postgresql.programs() is not None:
            urls["PostgreSQL"] = stack.enter_context(postgresql.Server()).url()
        sandbox.ensure()
        return run(folder, urls, given.nodes, given.waves, given.growth)


def run(folder: Path, urls: dict[str, str], nodes: int, waves: int, growth: list[int]) -> int:
    """In the sandbox."""
    first, *others = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, others or {first})
    rows: list[tuple[str, Rates]] = []
    for kind, url in urls.items():
        with Registry.open(url) as registry:
            fleet = enroll(registry, nodes)
        rows.append((f"durable, whole daemon, {kind}", measure_daemon(url, fleet, waves, first)))
    flooded_url = f"sqlite:///{folder / 'flooded.sqlite'}"
    with Registry.open(flooded_url) as registry:
        honest = enroll(registry, 200, LATER)
    flooded = measure_flooded(flooded_url, honest, 5.0, first)
    os.sched_setaffinity(0, {first})
    with Registry.open(urls["SQLite"]) as registry:
        responder = responder_over(registry)
        spent = waves + 1
        rates = measure_responder(responder, fleet, range(spent, 2 * spent), _BURST)
        rows.append(("durable responder", rates))
        few = fleet[: nodes // 10]
        rates = measure_responder(responder, few, range(2 * spent, 2 * spent + 3), 1)
        rows.append(("a commit each", rates))
        top = profile(responder, fleet, 3 * spent)
    rows.append(("HMACs alone", Rates([measure_hmacs(fleet) for _ in range(waves)])))
    rows.append(("plainly on scapy", Rates([measure_scapy(few) for _ in range(2)])))
    by_name = dict(rows)
    durable = by_name["durable, whole daemon, SQLite"]
    table(
        f"Binding Updates a second on one processor, {nodes:,} nodes",
        ["", "by the wall's clock", "by processor time"],
        [[name, rates.wall, rates.cpu] for name, rates in rows],
    )
    headings = ["a flood of", "packets a second", "median answer, ms", "answered in 1 s, %"]
    table(
        "200 nodes that move each second, beside a flood of one processor's worth",
        headings,
        flooded,
    )
    table("Where the responder's time goes, as profiled", ["", "calls", "share"], top)
    found = {
        "durable_bu_per_s": durable.wall,
        "durable_bu_per_cpu_s": durable.cpu,
        "responder_bu_per_s": by_name["durable responder"].wall,
        "hmac_only_per_s": by_name["HMACs alone"].wall,
        "scapy_per_s": by_name["plainly on scapy"].wall,
        "flooded_median_ms": max(row[2] for row in flooded[1:]),
        "flooded_answered_percent": min(row[3] for row in flooded[1:]),
        "commit_each_per_s": by_name["a commit each"].wall,
    }
    if "PostgreSQL" in urls:
        found["postgresql_bu_per_s"] = by_name["durable, whole daemon, PostgreSQL"].wall
    update(_FILE, **found)
    os.sched_setaffinity(0, {first, *others})
    report_growth(folder, growth)
    if durable.wall < GOAL_PER_S:
        print(f"correspondent: less than {GOAL_PER_S:,} a second", file=sys.stderr)
        return 1
    return 0


def report_growth(folder: Path, counts: list[int]) -> None:
    """Memory and start-up over the number of nodes."""
    rows: list[list[object]] = []
    for count, encrypted in [*((count, False) for count in counts), (max(counts), True)]:
        octets, seconds = measure_growth(folder, count, encrypted)
        name = f"{count:,} nodes" + (", encrypted" if encrypted else "")
        rows.append([name, f"{octets / 1e6:.0f} MB", f"{seconds:.2f} s"])
        if count == 100_000:
            kind = "start_encrypted_100k_s" if encrypted else "start_100k_s"
            update(_FILE, **{kind: round(seconds, 2)})
            if not encrypted:
                update(_FILE, rss_100k_octets=octets)
    table("The daemon with its nodes read", ["", "resident", "ready after"], rows)


if __name__ == "__main__":
    sys.exit(main())
