"""Everything that can happen to a correspondent, while 200 nodes move: each of them is answered.

The daemon is the real one, over raw sockets, with a data plane where there are TUN devices. Every
other move takes a node to a network from where it speaks inside UDP, or back. Beside
it, one after the other and some together: floods of each kind, a database that hangs and one that
is killed (for SQLite: another writer that doesn't end), a full disk, a reader of the log that
stops reading, routes and links taken away, clock steps, `retire`, `import`, reloads, silent
visitors of /metrics, a data plane's process that is killed or stands still.

Every move must be answered within a second, but for those made while the database itself, or the
network, was gone. In the end no acknowledged number may be lost from the database, none may have
been accepted twice, and none of them is accepted again.

The clock is the daemon's own idea of it (time.time_ns and time.time in its process are shifted):
a sandbox has no other. `make fuzz` runs it for ten minutes, five on each database; --quick for
some seconds. Prints a table; exits with 1 where anything was lost, accepted twice or late.
"""

import argparse
import mmap
import os
import random
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from daemons import Site
from fleet import CORRESPONDENT, LATER, Node, enroll
from floods import KINDS, Flood, Honest, care_of, drained
from results import update
from scripts import table
from sqlalchemy import select

from roamkey.correspondent.dataplane import tun
from roamkey.errors import RoamkeyError
from roamkey.lab import postgresql, sandbox
from roamkey.registry import Registry
from roamkey.registry.records import MovedPair
from roamkey.registry.schema import bindings, keys, nodes

HONEST = 200
RETIRED = 400  # further nodes, which are retired one by one
IMPORTED = 2000
PAUSE_S = 1.0  # between moves of a node
CALM_S = 2.0
LONG_S = 4.0
SHORT_S = 1.0
NETWORK_GRACE_S = 2.0
DATABASE_GRACE_S = 8.0  # until the daemon has cut it off, and reached it again
ON_TIME_S = 1.0
DISK_OCTETS = 256 << 20
YEAR_NS = 365 * 86_400 * 1_000_000_000
GOAL_PERCENT = 99.9  # a shared machine may sleep for a second

_SHIFTED = """
import mmap, struct, sys, time
with open(sys.argv[1], "r+b") as file:
    shift = mmap.mmap(file.fileno(), 8)
real = time.time_ns
time.time_ns = lambda: real() + struct.unpack("q", shift[:])[0]
time.time = lambda: time.time_ns() / 1e9
sys.argv[1:] = sys.argv[2:]
from roamkey.cli import main
main()
"""


class Campaign:
    """One database, its daemon, and what is done to them."""

    def __init__(
        self, folder: Path, url: str, server: postgresql.Server | None, seed: int
    ) -> None:
        self.folder, self.url, self.server = folder, url, server
        self.random = random.Random(seed)
        self.gone: list[tuple[float, float]] = []  # the database or the network was
        self.done: dict[str, int] = {}
        self.times: list[tuple[float, float, str]] = []
        self.late: Counter[str] = Counter()  # moves that waited too long, by what was done then
        self.found: dict[str, float] = {}
        with Registry.open(url) as registry:
            self.fleet = enroll(registry, HONEST + RETIRED, LATER)
        self._to_retire = self.fleet[HONEST:]
        self._to_import = imported(folder)
        self._children: list[int] = []
        self.reads = True
        self.with_plane = tun.refusal() is None
        shift = folder / "shift"
        shift.write_bytes(bytes(8))
        with shift.open("r+b") as file:
            self._shift = mmap.mmap(file.fileno(), 8)
        os.mkfifo(folder / "log")
        self._log = os.open(folder / "log", os.O_RDONLY | os.O_NONBLOCK)
        self.site = Site()

    def start(self) -> None:
        """The daemon, with everything that it can serve."""
        self.site.start(
            self.url,
            log="json",
            data_plane=self.with_plane,
            more=("--log-file", str(self.folder / "log"), "--events", str(self.folder / "events")),
            roamkey=("-c", _SHIFTED, str(self.folder / "shift")),
        )
        self.honest = Honest(self.site, self.fleet[:HONEST], PAUSE_S, 1, inside=True)

    def close(self) -> None:
        """Let go of all."""
        for child in self._children:
            with suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
        self.site.close()
        os.close(self._log)

    def run(self, seconds: float, shorter: float) -> None:
        """All that there is, round after round, in another order each; `shorter`: how much."""
        end = time.monotonic() + seconds
        self.calm(CALM_S * shorter)
        while time.monotonic() < end:
            faults = list(self.faults().items())
            self.random.shuffle(faults)
            for name, fault in faults:
                if time.monotonic() >= end:
                    break
                started = time.monotonic()
                with fault():
                    self.calm((SHORT_S if name in _SHORT else LONG_S) * shorter)
                self.times.append((started, time.monotonic() + ON_TIME_S, name))
                self.done[name] = self.done.get(name, 0) + 1
                self.calm(CALM_S * shorter)
        self.honest.settle(20.0)

    def calm(self, seconds: float) -> None:
        """Nodes move."""
        self.honest.run(seconds, self._read)
        process = self.site.process
        if process is None or process.poll() is not None:
            sys.exit("the daemon has ended")

    def faults(self) -> dict[str, Callable[[], object]]:
        """What can be done, by name."""
        found: dict[str, Callable[[], object]] = {
            f"flood: {kind}": lambda kind=kind: Flood(self.site, kind, self.fleet[:HONEST])
            for kind in KINDS
        }
        found |= {
            "full disk": self.full_disk,
            "reader stops": self.reader_stops,
            "link down": self.link_down,
            "route gone": self.route_gone,
            "a year ahead": lambda: self.clock(YEAR_NS),
            "an hour back": lambda: self.clock(-3_600 * 1_000_000_000),
            "retire": self.retire,
            "import": self.take_over,
            "reload": self.reload,
            "silent visitors": self.silent_visitors,
        }
        if self.with_plane:
            found["data plane killed"] = lambda: self.data_plane(signal.SIGKILL)
            found["data plane stands still"] = lambda: self.data_plane(signal.SIGSTOP)
        if self.server is None:
            found["another writer"] = self.another_writer
        else:
            found |= {"server hangs": self.server_hangs, "server killed": self.server_killed}
        return found

    # --- what is done

    @contextmanager
    def without(self, grace_s: float) -> Iterator[None]:
        """Whoever moves meanwhile, or soon after, may have to wait."""
        started = time.monotonic() - ON_TIME_S
        yield
        self.gone.append((started, time.monotonic() + grace_s))

    @contextmanager
    def full_disk(self) -> Iterator[None]:
        """The folder of events, and of an SQLite registry, takes no octet more."""
        path = self.folder / "full"
        with ExitStack() as stack:
            if self.server is None:
                stack.enter_context(self.without(DATABASE_GRACE_S))
            with path.open("wb", 0) as file, suppress(OSError):
                while file.write(bytes(1 << 20)):
                    pass
            with path.open("ab", 0) as file, suppress(OSError):
                while file.write(bytes(1)):
                    pass
            try:
                yield
            finally:
                path.unlink()

    @contextmanager
    def reader_stops(self) -> Iterator[None]:
        """Nobody takes what the log says."""
        self.reads = False
        yield
        self.reads = True

    @contextmanager
    def link_down(self) -> Iterator[None]:
        """The cable is pulled."""
        with self.without(NETWORK_GRACE_S):
            self.site.take_down()
            try:
                yield
            finally:
                self.site.restore()

    @contextmanager
    def route_gone(self) -> Iterator[None]:
        """The host has no way to anybody."""
        with self.without(NETWORK_GRACE_S):
            self.site.lose_route()
            try:
                yield
            finally:
                self.site.restore()

    @contextmanager
    def clock(self, shift_ns: int) -> Iterator[None]:
        """The daemon's clock makes a step, and one back."""
        self._shift[:] = struct.pack("q", shift_ns)
        yield
        self._shift[:] = bytes(8)

    @contextmanager
    def retire(self) -> Iterator[None]:
        """Other nodes are retired, one by one."""
        self._fork(self._retire, self._to_retire[:20])
        self._to_retire = self._to_retire[20:]
        yield

    @contextmanager
    def take_over(self) -> Iterator[None]:
        """Pairs of another registry come in."""
        self._fork(self._import, self._to_import[: IMPORTED // 10])
        self._to_import = self._to_import[IMPORTED // 10 :]
        yield

    @contextmanager
    def reload(self) -> Iterator[None]:
        """SIGHUP."""
        assert self.site.process is not None
        self.site.process.send_signal(signal.SIGHUP)
        yield

    @contextmanager
    def silent_visitors(self) -> Iterator[None]:
        """Connections to /metrics, of which nothing comes."""
        with ExitStack() as stack:
            for _ in range(300):
                made = self.site.host.socket(socket.AF_INET6, socket.SOCK_STREAM)
                one = stack.enter_context(made)
                one.setblocking(False)
                one.connect_ex(("::1", 9464))
            yield

    @contextmanager
    def data_plane(self, how: signal.Signals) -> Iterator[None]:
        """Its process ends, or doesn't run for a while."""
        assert self.site.process is not None
        pid = self.site.process.pid
        children_of = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        for child in children_of:
            os.kill(int(child), how)
        try:
            yield
        finally:
            for child in children_of if how == signal.SIGSTOP else ():
                with suppress(ProcessLookupError):
                    os.kill(int(child), signal.SIGCONT)

    @contextmanager
    def another_writer(self) -> Iterator[None]:
        """Somebody holds the file's write lock."""
        with ExitStack() as stack:
            stack.enter_context(self.without(DATABASE_GRACE_S))
            registry = stack.enter_context(Registry.open(self.url))
            stack.enter_context(registry.writing())
            yield

    @contextmanager
    def server_hangs(self) -> Iterator[None]:
        """Its processes are stopped, and go on."""
        assert self.server is not None
        with self.without(DATABASE_GRACE_S):
            stopped = self.server.processes()
            for pid in stopped:
                os.kill(pid, signal.SIGSTOP)
            try:
                yield
            finally:
                for pid in stopped:
                    os.kill(pid, signal.SIGCONT)

    @contextmanager
    def server_killed(self) -> Iterator[None]:
        """It is gone as by a power cut, and started again."""
        assert self.server is not None
        with self.without(DATABASE_GRACE_S):
            self.server.stop(signal.SIGQUIT)
            try:
                yield
            finally:
                self.server.start()

    # --- meanwhile

    def _read(self) -> None:
        if self.reads:
            with suppress(BlockingIOError):
                while os.read(self._log, 1 << 16):
                    pass
        for child in list(self._children):
            if os.waitpid(child, os.WNOHANG)[0]:
                self._children.remove(child)

    def _fork(self, work: Callable[[Registry, list], None], given: list) -> None:
        child = os.fork()
        if child:
            self._children.append(child)
            return
        with suppress(RoamkeyError), Registry.open(self.url) as registry:
            work(registry, given)
        os._exit(0)

    def _retire(self, registry: Registry, given: list[Node]) -> None:
        for node in given:
            registry.retire(node.home_address)
            time.sleep(0.05)

    def _import(self, registry: Registry, given: list[MovedPair]) -> None:
        registry.take_pairs(CORRESPONDENT.packed, given)

    # --- what came of it

    def result(self) -> dict[str, float]:
        """After the last answer: the numbers, as they are printed."""
        on_time = late = 0
        for moved, took in self.honest.latencies:
            if took <= ON_TIME_S:
                on_time += 1
            elif not self._excused(moved):
                late += 1
                during = (name for start, end, name in self.times if start <= moved <= end)
                self.late[next(during, "nothing")] += 1
        lost = sum(not self._excused(moved) for moved in self.honest.unanswered)
        twice = sum(count > 1 for count in self.honest.accepted.values())
        replayed = self._replay()
        moves = on_time + late + lost
        return {
            "honest_updates": moves,
            "answered_in_1s_percent": round(100 * on_time / max(1, moves), 2),
            "lost": lost + self._missing(),
            "accepted_twice": twice + replayed,
            "acknowledged": len(self.honest.accepted),
        }

    def _excused(self, moved: float) -> bool:
        return any(start <= moved <= end for start, end in self.gone)

    def _replay(self) -> int:
        """How many recorded updates are accepted once more."""
        drained(self.site)
        before = dict(self.honest.accepted)
        chosen = self.random.sample(sorted(before), min(2000, len(before)))
        by_home = {node.home_address: node for node in self.fleet}
        for home, number in chosen:
            self.site.send(self.honest.update(by_home[home], number))
        self.honest.settle(1.0)
        self.honest.run(0.0)
        end = time.monotonic() + 2.0
        while time.monotonic() < end:
            self.honest.hear(0.05)
        return sum(self.honest.accepted[one] != count for one, count in before.items())

    def _missing(self) -> int:
        """How many nodes the database knows less of than was acknowledged to them."""
        query = select(nodes.c.home_address, keys.c.last_sequence, bindings.c.care_of_address)
        query = query.select_from(bindings.join(keys, bindings.c.key_id == keys.c.id))
        query = query.where(nodes.c.id == keys.c.pair_id)
        with Registry.open(self.url) as registry, registry.reading() as c:
            rows = {row[0]: row[1:] for row in c.execute(query)}
        missing = 0
        for home, acknowledged in self.honest.acknowledged.items():
            last, bound = rows.get(home, (-1, b""))
            if acknowledged >= 0 and (last < acknowledged or bound != care_of(last)):
                missing += 1
        return missing


_SHORT = ("link down", "route gone", "reload")


def imported(folder: Path) -> list[MovedPair]:
    """Pairs of another registry, whose nodes are unknown here."""
    with Registry.open(folder / "other.sqlite") as other:
        enroll(other, HONEST + RETIRED + IMPORTED)
        return other.give_pairs(CORRESPONDENT.packed)[HONEST + RETIRED :]


@contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    """A file system of its own, in memory: to be filled."""
    place = folder / "disk"
    place.mkdir()
    options = ["-t", "tmpfs", "-o", f"size={DISK_OCTETS}", "tmpfs", place]
    subprocess.run(["mount", *options], check=True)  # the sandbox's own
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", place], check=True)


def campaign_on(kind: str, seconds: float, given: argparse.Namespace) -> Campaign:
    """Run one; what it then knows."""
    with ExitStack() as stack:
        temporary = tempfile.TemporaryDirectory(prefix="roamkey-chaos-")
        folder = Path(stack.enter_context(temporary))
        server = stack.enter_context(postgresql.Server()) if kind == "postgresql" else None
        disk = stack.enter_context(small_disk(folder))
        url = server.url() if server else f"sqlite:///{disk / 'registry.sqlite'}"
        campaign = Campaign(disk, url, server, given.seed)
        stack.callback(campaign.close)
        campaign.start()
        campaign.run(seconds, 0.2 if given.quick else 1.0)
        campaign.found = campaign.result()
        return campaign


def main() -> int:
    """Run the campaigns, print what came of them, write bench/out/chaos.json."""
    arguments = argparse.ArgumentParser(description="everything at once, while nodes move")
    arguments.add_argument("--minutes", type=float, default=10.0, help="for both databases")
    arguments.add_argument("--quick", action="store_true", help="20 s each, shorter faults")
    arguments.add_argument("--database", choices=("sqlite", "postgresql", "both"), default="both")
    arguments.add_argument("--seed", type=int, default=1)
    arguments.add_argument("--no-save", action="store_true", help="leave bench/out alone")
    given = arguments.parse_args()
    sandbox.ensure()
    kinds = ("sqlite", "postgresql") if given.database == "both" else (given.database,)
    seconds = 20.0 if given.quick else 60 * given.minutes / len(kinds)
    campaigns = {kind: campaign_on(kind, seconds, given) for kind in kinds}
    for title, counts in (
        ("What was done, how often", {kind: one.done for kind, one in campaigns.items()}),
        ("Moves answered late, by what was done then", {k: c.late for k, c in campaigns.items()}),
    ):
        names = sorted({name for each in counts.values() for name in each})
        table(title, ["", *counts], [[n, *(c.get(n, 0) for c in counts.values())] for n in names])
    found = {kind: one.found for kind, one in campaigns.items()}
    rows = [[name, *(each[name] for each in found.values())] for name in found[kinds[0]]]
    table("What came of it", ["", *found], rows)
    total = {
        name: sum(int(each[name]) for each in found.values())
        for name in ("honest_updates", "lost", "accepted_twice")
    }
    total["answered_in_1s_percent"] = min(
        each["answered_in_1s_percent"] for each in found.values()
    )
    if not given.no_save:
        update("chaos.json", minutes=round(seconds * len(kinds) / 60, 1), **total, **found)
    late = total["answered_in_1s_percent"] < GOAL_PERCENT and not given.quick
    return int(late or bool(total["lost"] or total["accepted_twice"]))


if __name__ == "__main__":
    sys.exit(main())
