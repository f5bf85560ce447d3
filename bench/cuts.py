"""Cut power at every flash operation of a board's life, fail its flash, search it for old keys.

`make fuzz` runs it whole, `make test` with --quick. Prints tables, writes bench/out/cuts.json, and
exits with 1 if a sequence number was used twice or a committed key set was lost.
"""

import argparse
from pathlib import Path

from scripts import OUT, run_all, save, table

GEOMETRIES = ("rp2", "esp32")


def summed(results: list[dict]) -> dict:
    """The tallies of several runs as one."""
    total = {
        key: sum(r[key] for r in results)
        for key in ("tried", "reused", "lost_sets", "crashed", "uses")
    }
    total["most_lost"] = max(result["most_lost"] for result in results)
    steps: dict[str, int] = {}
    statuses: dict[str, int] = {}
    for result in results:
        for name, tried in result["steps"]:
            steps[name] = steps.get(name, 0) + tried
        for name, seen in result["statuses"].items():
            statuses[name] = statuses.get(name, 0) + seen
    return {**total, "steps": steps, "statuses": statuses}


def cuts(scale: float, seeds: int, thin: int) -> dict:
    """Tell the story with cuts, once a seed on each geometry; returns the tally of each."""
    jobs = [
        ("cuts.py", name, scale, 1 + seed, thin) for seed in range(seeds) for name in GEOMETRIES
    ]
    results = run_all(jobs)
    return {
        name: summed([result for job, result in zip(jobs, results, strict=True) if job[1] == name])
        for name in GEOMETRIES
    }


def show_cuts(tallies: dict) -> None:
    """Print what each geometry's cuts showed."""
    rows = [
        [step, *(tallies[name]["steps"][step] for name in GEOMETRIES)]
        for step in tallies["rp2"]["steps"]
    ]
    for key in ("tried", "uses", "reused", "lost_sets", "crashed", "most_lost"):
        rows.append([key.replace("_", " "), *(tallies[name][key] for name in GEOMETRIES)])
    table("Power cuts: boots from what a cut left, by step of the story", ["", *GEOMETRIES], rows)


def show_faults(faults: dict, remains: dict) -> None:
    """Print how failing flash was borne, and what old keys left behind."""
    rows = []
    for kind in faults["rp2"]:
        if kind != "geometry":
            cells = [faults[name][kind] for name in GEOMETRIES]
            rows.append([kind.replace("_", " "), *(str(cell) for cell in cells)])
    table("Failing flash: lives led, calls refused; no number twice", ["", *GEOMETRIES], rows)
    rows = []
    for kind in remains["rp2"]:
        cells = [remains[name][kind] for name in GEOMETRIES]
        rows.append([kind.replace("_", " "), *(str(cell) for cell in cells)])
    table("Old keys found in the flash image", ["", *GEOMETRIES], rows)


def main() -> int:
    """Try them, print the table, write JSON; 1 where a cut cost what it must not."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="seconds instead of minutes")
    parser.add_argument("--out", type=Path, default=OUT / "cuts.json")
    options = parser.parse_args()
    scale, seeds, thin, step = (0.05, 1, 40, 23) if options.quick else (1, 3, 5, 1)
    tallies = cuts(scale, seeds, thin)
    checks = [("faults.py", name, step) for name in GEOMETRIES]
    checks += [("remains.py", name, 5 * step) for name in GEOMETRIES]
    results = run_all(checks)
    faults = dict(zip(GEOMETRIES, results[:2], strict=True))
    remains = dict(zip(GEOMETRIES, results[2:], strict=True))
    show_cuts(tallies)
    show_faults(faults, remains)
    both = tallies.values()
    total = {key: sum(t[key] for t in both) for key in ("tried", "reused", "lost_sets", "crashed")}
    total["most_lost"] = max(tally["most_lost"] for tally in both)
    save(options.out, {**total, **tallies, "faults": faults, "remains": remains})
    left = sum(kind["left"] for each in remains.values() for kind in each.values())
    print(
        f"\n{total['tried']:,} cuts tried: {total['reused']} numbers used twice, "
        f"{total['lost_sets']} key sets lost, at most {total['most_lost']} numbers lost by a cut; "
        f"{left} old keys left after erasing"
    )
    return 1 if total["reused"] or total["lost_sets"] or total["crashed"] or left else 0


if __name__ == "__main__":
    raise SystemExit(main())
