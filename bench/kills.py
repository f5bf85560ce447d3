"""Kill the daemon under load, again and again: nothing acknowledged may be lost, or happen twice.

The daemon is the real one, a correspondent's or a home agent's, over raw sockets; it is killed
(SIGKILL) at a random moment while nodes send it Binding Updates as fast as it answers. What then
must hold, after every kill:

- In the database, each node's last accepted number is at least the last one acknowledged to it,
  and its binding is the one that this number registered.
- Started again and sent every acknowledged update of the last round once more, the daemon accepts
  none of them. Refusals to one source are few on purpose, so that is proved by what comes after:
  once a later update is acknowledged, an acceptance of an earlier one would have come before it.

`make fuzz` runs it whole, `make test` briefly. Prints a line for each database; exits with 1 if
anything was lost or accepted twice.
"""

import argparse
import random
import signal
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from daemons import CARE_OF, Site
from fleet import AtHomeAgent, Node, enroll
from results import update
from sqlalchemy import select

from roamkey.lab import postgresql, sandbox
from roamkey.registry import Registry
from roamkey.registry.schema import bindings, keys

NODES = 50
LONGEST_S = 0.4  # from the first acknowledgement to the kill
_SILENT_S = 30.0


class Campaign:
    """One database, its nodes, and what they know."""

    def __init__(self, url: str, seed: int, home_agent: bool = False) -> None:
        with Registry.open(url) as registry:
            self.fleet = enroll(registry, NODES, kind=AtHomeAgent if home_agent else Node)
        self.home_agent = home_agent
        self.by_home = {node.home_address: node for node in self.fleet}
        self.url = url
        self.random = random.Random(seed)
        self.next = dict.fromkeys(self.by_home, 0)
        self.acknowledged: set[tuple[int, int]] = set()  # (node's number, sequence number)
        self.last = dict.fromkeys(self.by_home, -1)
        self.fresh: list[tuple[Node, int]] = []  # acknowledged since the daemon was started
        self.counts = {"kills": 0, "acknowledged": 0, "replayed": 0, "lost": 0, "twice": 0}

    def round(self, site: Site) -> None:
        """Start, replay, load, kill, compare."""
        site.start(self.url, home_agent=self.home_agent)
        self._replay(site)
        self._load(site, self.random.uniform(0, LONGEST_S))
        assert site.process is not None
        site.stop(signal.SIGKILL)
        self._hear(site, 0.0)
        self.counts["kills"] += 1
        self._compare()

    def _replay(self, site: Site) -> None:
        for node, sequence in self.fresh:
            site.send(node.update(sequence, care_of(sequence)))
        self.counts["replayed"] += len(self.fresh)
        self.fresh = []

    def _load(self, site: Site, seconds: float) -> None:
        """Each node sends its next number when the one before is acknowledged; at least one is,
        and then so long."""
        for node in self.fleet:
            self._send_next(site, node)
        end = None
        patience = time.monotonic() + _SILENT_S
        while end is None or time.monotonic() < end:
            heard = self._hear(site, 0.05)
            for node in heard:
                self._send_next(site, node)
            if heard and end is None:
                end = time.monotonic() + seconds
            if time.monotonic() > patience:
                sys.exit("the daemon doesn't answer")

    def _send_next(self, site: Site, node: Node) -> None:
        sequence = self.next[node.home_address]
        self.next[node.home_address] += 1
        site.send(node.update(sequence, care_of(sequence)))

    def _hear(self, site: Site, timeout_s: float) -> list[Node]:
        """The nodes that got an acceptance."""
        heard = []
        for payload, to in site.received(timeout_s):
            node = self.by_home[payload[8:24]]
            answer = node.read(payload, to)
            if answer is None:
                sys.exit("an acknowledgement that isn't authentic")
            status, sequence = answer
            if status == 0:
                self.counts["acknowledged"] += 1
                self.counts["twice"] += (node.number, sequence) in self.acknowledged
                self.acknowledged.add((node.number, sequence))
                self.last[node.home_address] = max(sequence, self.last[node.home_address])
                self.fresh.append((node, sequence))
                heard.append(node)
        return heard

    def _compare(self) -> None:
        """The database against what was acknowledged."""
        query = select(keys.c.pair_id, keys.c.last_sequence, bindings.c.care_of_address)
        query = query.outerjoin(bindings, bindings.c.key_id == keys.c.id)
        with Registry.open(self.url) as registry, registry.reading() as c:
            rows = {row[0] - 1: row[1:] for row in c.execute(query)}
        for node in self.fleet:
            acknowledged = self.last[node.home_address]
            last, bound = rows[node.number]
            kept = -1 if last is None else last
            if kept < acknowledged or (kept >= 0 and bound != care_of(kept)):
                self.counts["lost"] += 1


def care_of(sequence: int) -> bytes:
    """Each number from the other address than the one before."""
    return CARE_OF[sequence & 1]


def main() -> int:
    """Run the campaigns."""
    arguments = argparse.ArgumentParser(description="kill the daemon under load")
    arguments.add_argument("--kills", type=int, default=200, help="for each database")
    arguments.add_argument("--database", choices=("sqlite", "postgresql", "both"), default="both")
    arguments.add_argument(
        "--daemon", choices=("correspondent", "home-agent"), default="correspondent"
    )
    arguments.add_argument("--seed", type=int, default=1)
    arguments.add_argument("--no-save", action="store_true", help="leave bench/out alone")
    given = arguments.parse_args()
    kinds = ("sqlite", "postgresql") if given.database == "both" else (given.database,)
    failed = False
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="roamkey-kills-")))
        urls = {"sqlite": f"sqlite:///{folder / 'registry.sqlite'}"}
        if "postgresql" in kinds:
            # Outside of the sandbox, where there is an ordinary user to run it.
            urls["postgresql"] = stack.enter_context(postgresql.Server()).url()
        sandbox.ensure()
        for kind in kinds:
            campaign = Campaign(urls[kind], given.seed, given.daemon == "home-agent")
            with Site() as site:
                for _ in range(given.kills):
                    campaign.round(site)
            counts = campaign.counts
            print(
                given.daemon,
                kind,
                *(f"{count:,} {name}" for name, count in counts.items()),
                sep=", ",
            )
            if not given.no_save:
                name = "kills.json" if given.daemon == "correspondent" else "home_kills.json"
                update(name, **{kind: counts})
            failed |= bool(counts["lost"] or counts["twice"])
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
