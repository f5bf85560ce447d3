"""Have every call that leaves the agent raise once, and functions find no memory: it recovers.

tests/faults/story.py leads the lives, under MicroPython, each with one fault; well afterwards the
node must be bound, answer its console and carry data. `make fuzz` runs it whole, `make test` with
--quick. Prints a table, writes bench/out/faults.json, and exits with 1 where one did not recover.
"""

import argparse
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from scripts import OUT, PROJECT, save, table

from roamkey.lab.interpreter import micropython

KINDS = ("os", "memory", "unforeseen", "heap")
SHARE = 40  # lives a process
PATHS = ("tests/faults", "tests/core", "tests/support", "firmware")


def story(kind: str, *numbers: int) -> dict:
    """Run the program; its last line."""
    environment = {
        **os.environ,
        "MICROPYPATH": ":".join([*(str(PROJECT / path) for path in PATHS), ".frozen"]),
    }
    done = subprocess.run(
        [micropython(), "-X", "heapsize=8M", str(PROJECT / "tests/faults/story.py"), kind]
        + [str(number) for number in numbers],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    lines = done.stdout.strip().splitlines()
    if done.returncode or not lines:
        sys.exit(f"story.py {kind} {numbers}: failed\n{done.stdout}{done.stderr}")
    return json.loads(lines[-1])


def campaign(kind: str, step: int, pool: ThreadPoolExecutor) -> dict:
    """Each `step`-th call of a kind in its turn."""
    calls = story(kind, 0, 0, 1)["calls"]
    starts = range(1, calls + 1, SHARE * step)
    parts = list(
        pool.map(
            lambda first: story(kind, first, min(SHARE * step, calls + 1 - first), step), starts
        )
    )
    struck: dict[str, int] = {}
    for part in parts:
        for name, times in part["struck"].items():
            struck[name] = struck.get(name, 0) + times
    return {
        "injected": sum(part["injected"] for part in parts),
        "lost": [lost for part in parts for lost in part["lost"]],
        "struck": struck,
    }


def main() -> int:
    """Try them, print the table, write JSON; 1 where a node was lost."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="each 37th call only")
    parser.add_argument("--out", type=Path, default=OUT / "faults.json")
    options = parser.parse_args()
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        tallies = {kind: campaign(kind, 37 if options.quick else 1, pool) for kind in KINDS}
    rows = [[kind, tally["injected"], len(tally["lost"])] for kind, tally in tallies.items()]
    table("One fault a life", ["raised", "injected", "not recovered"], rows)
    injected = sum(tally["injected"] for tally in tallies.values())
    lost = sum(len(tally["lost"]) for tally in tallies.values())
    save(options.out, {"injected": injected, "not_recovered": lost, **tallies})
    print(f"\n{injected:,} faults injected, {lost} nodes not bound again")
    return 1 if lost else 0


if __name__ == "__main__":
    raise SystemExit(main())
