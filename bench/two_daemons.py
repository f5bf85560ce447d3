"""Two daemons behind one correspondent address, over one PostgreSQL: each update is accepted once.

As behind a router that sends every packet both ways. Both daemons are the real ones, each in a
network namespace of its own with the same address; every Binding Update is sent to both, to
either first. Of each, exactly one acceptance must come, and the other daemon must know the true
last number when it refuses.

`make fuzz` runs it whole, `make test` briefly. Prints a line; exits with 1 if a number was
accepted twice or never.
"""

import argparse
import random
import sys
import time
from collections import Counter
from contextlib import ExitStack

from daemons import CARE_OF, Site
from fleet import Node, enroll
from results import update
from sqlalchemy import select

from roamkey.lab import postgresql, sandbox
from roamkey.registry import Registry
from roamkey.registry.schema import keys

_SILENT_S = 30.0
_LATE_S = 0.5  # how long a second acceptance is waited for at the end
_OUT_OF_WINDOW = 135


class Duel:
    """The nodes, and what either daemon answered them."""

    def __init__(self, sites: list[Site], fleet: list[Node], seed: int) -> None:
        self.sites = sites
        self.fleet = fleet
        self.by_home = {node.home_address: node for node in fleet}
        self.accepted: Counter[tuple[int, int]] = Counter()
        self.by_site = [0, 0]
        self.refused = self.wrong = 0
        self.random = random.Random(seed)

    def wave(self, sequence: int) -> None:
        """Every node sends this number to both; back when each was accepted once."""
        care_of = CARE_OF[sequence & 1]
        for node in self.fleet:
            made = node.update(sequence, care_of)
            for site in self.random.sample(self.sites, 2):
                site.send(made)
        waited = {(node.number, sequence) for node in self.fleet}
        end = time.monotonic() + _SILENT_S
        while waited and time.monotonic() < end:
            waited -= self.hear(0.05)
        if waited:
            sys.exit(f"{len(waited)} updates were never accepted")

    def hear(self, timeout_s: float) -> set[tuple[int, int]]:
        """What was accepted."""
        heard = set()
        for at, site in enumerate(self.sites):
            for payload, to in site.received(timeout_s / 2):
                node = self.by_home[payload[8:24]]
                answer = node.read(payload, to)
                if answer is None:
                    sys.exit("an acknowledgement that isn't authentic")
                status, sequence = answer
                if status == 0:
                    self.accepted[node.number, sequence] += 1
                    self.by_site[at] += 1
                    heard.add((node.number, sequence))
                else:
                    self.refused += 1
                    self.wrong += status != _OUT_OF_WINDOW
        return heard


def main() -> int:
    """Run it."""
    arguments = argparse.ArgumentParser(description="two daemons, one registry")
    arguments.add_argument("--nodes", type=int, default=1000)
    arguments.add_argument("--waves", type=int, default=10, help="numbers that each node uses")
    arguments.add_argument("--seed", type=int, default=1)
    arguments.add_argument("--no-save", action="store_true", help="leave bench/out alone")
    given = arguments.parse_args()
    with ExitStack() as stack:
        # Outside of the sandbox, where there is an ordinary user to run it.
        url = stack.enter_context(postgresql.Server()).url()
        sandbox.ensure()
        with Registry.open(url) as registry:
            fleet = enroll(registry, given.nodes)
        sites = [stack.enter_context(Site()) for _ in range(2)]
        for site in sites:
            site.start(url)
        duel = Duel(sites, fleet, given.seed)
        started = time.monotonic()
        for sequence in range(given.waves):
            duel.wave(sequence)
        took = time.monotonic() - started
        end = time.monotonic() + _LATE_S
        while time.monotonic() < end:
            duel.hear(0.1)
        with Registry.open(url) as registry, registry.reading() as c:
            last = set(c.scalars(select(keys.c.last_sequence)))
    found = {
        "updates": given.nodes * given.waves,
        "accepted_once": sum(count == 1 for count in duel.accepted.values()),
        "accepted_twice": sum(count > 1 for count in duel.accepted.values()),
        "by_daemon": duel.by_site,
        "refusals_sent": duel.refused,
        "other_refusals": duel.wrong,
        "per_s": round(given.nodes * given.waves / took),
    }
    print("two daemons", *(f"{value} {name}" for name, value in found.items()), sep=", ")
    if not given.no_save:
        update("two_daemons.json", **found)
    right = found["accepted_once"] == found["updates"] and not duel.wrong
    return int(not right or last != {given.waves - 1})


if __name__ == "__main__":
    sys.exit(main())
