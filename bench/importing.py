"""Nodes that move while thousands of others are imported beside the daemon, and their answers.

`roamkey import` and the daemon write to the same SQLite file, where one at a time can. Prints the
median and the longest answer, and the longest time without any; writes them to
bench/out/correspondent.json. Exits with 1 where nobody was answered for more than a second.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path

from daemons import Site
from fleet import CORRESPONDENT, enroll
from floods import Honest
from results import update
from scripts import table

from roamkey import children
from roamkey.enroll import transferfile
from roamkey.lab import sandbox
from roamkey.registry import Registry

HONEST = 200
GOAL_S = 1.0
_PASSPHRASE = b"a passphrase for the bench"
_BEFORE_S = 3.0
_PAUSE_S = 1.0  # between moves of a node
_AT_MOST_S = 600.0


def exported(folder: Path, count: int) -> tuple[Path, Path]:
    """A file of so many pairs, and the file of its passphrase."""
    secret = folder / "passphrase"
    secret.write_bytes(_PASSPHRASE + b"\n")
    secret.chmod(0o600)
    with Registry.open(folder / "other.sqlite") as other:
        enroll(other, HONEST + count)
        transferfile.export_to(other, CORRESPONDENT.packed, folder / "pairs", _PASSPHRASE)
    return folder / "pairs", secret


def measure(folder: Path, count: int) -> dict[str, float]:
    """Seconds that the import took, and how nodes were answered meanwhile (milliseconds)."""
    pairs, secret = exported(folder, count)
    path = folder / "registry.sqlite"
    with Registry.open(path) as registry:
        fleet = enroll(registry, HONEST)
    words = ("import", "--new-only", "--file-passphrase", secret, "--registry", path, pairs)
    with Site() as site:
        site.start(f"sqlite:///{path}")
        honest = Honest(site, fleet, _PAUSE_S)
        honest.run(_BEFORE_S)
        honest.latencies.clear()
        started = time.monotonic()
        process = subprocess.Popen(children.roamkey(*words), stdout=subprocess.DEVNULL)
        while process.poll() is None and time.monotonic() - started < _AT_MOST_S:
            honest.run(0.2)
        took = time.monotonic() - started
        if children.end(process):
            sys.exit("the import failed")
        honest.settle(2.0)
    answered = sorted(moved + waited for moved, waited in honest.latencies)
    gaps = [after - before for before, after in pairwise(answered)]
    waits = [waited for _, waited in honest.latencies]
    return {
        "import_s": round(took, 1),
        "import_median_ms": round(1000 * statistics.median(waits), 1),
        "import_worst_ms": round(1000 * max(waits)),
        "import_silent_ms": round(1000 * max(gaps)),
        "import_answered_in_1s_percent": round(
            100 * sum(one <= 1 for one in waits) / (len(waits) + len(honest.unanswered)), 2
        ),
    }


def main() -> int:
    """Measure and print."""
    arguments = argparse.ArgumentParser(description="nodes move while others are imported")
    arguments.add_argument("--pairs", type=int, default=20_000)
    arguments.add_argument("--no-save", action="store_true", help="leave bench/out alone")
    given = arguments.parse_args()
    sandbox.ensure()
    with tempfile.TemporaryDirectory(prefix="roamkey-import-") as folder:
        found = measure(Path(folder), given.pairs)
    table(
        f"{HONEST} nodes that move each second, while {given.pairs:,} others are imported",
        ["import, s", "median answer, ms", "longest, ms", "nobody answered, ms", "in 1 s, %"],
        [list(found.values())],
    )
    if not given.no_save:
        update("correspondent.json", import_pairs=given.pairs, **found)
    return int(found["import_silent_ms"] > 1000 * GOAL_S)


if __name__ == "__main__":
    sys.exit(main())
