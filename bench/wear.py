"""What the sequence counter costs in flash and in numbers, over the life of a key.

Runs the real counter on MicroPython's own littlefs, on a simulated flash with each board's
parameters. Prints tables and writes bench/out/wear.json. `--quick` uses a sixteenth of a key.
"""

import argparse
from pathlib import Path

from scripts import OUT, PROJECT, run, run_all, save, table

GEOMETRIES = ("rp2", "esp32")
KEY = 65536
PATTERNS = {
    "naive": "naive: a record rewritten at each use",
    "long_session": "long session",
    "nearly_full": "long session, nearly full flash",
    "deep_sleep": "deep sleep, one BU a wake",
    "rtc_sleep": "deep sleep, RTC memory",
    "unclean": "power fails every 10 uses",
    "short": "power fails after 1 to 9 uses",
}
NVS_ENTRIES = 126  # of a page, one a write: docs of ESP-IDF; computed here, not run
ENDURANCE = 100_000  # erases a block is specified for, both boards' flash chips
YEAR = 365.25
REPORTS = (24, 96, 288, 1440, 8640)  # a day: hourly, quarter-hourly, 5 min, minute, 10 s


def measure(uses: int) -> dict:
    """Run every pattern on every geometry."""
    jobs = [("wear.py", name, pattern, uses) for name in GEOMETRIES for pattern in PATTERNS]
    results = iter(run_all(jobs))
    return {name: {pattern: next(results) for pattern in PATTERNS} for name in GEOMETRIES}


def show_wear(measured: dict, uses: int) -> None:
    """Print erases, hottest block, programs, octets and numbers lost."""
    head = ["pattern", "erases", "hottest", "programs", "octets", "writes/use", "lost", "max lost"]
    for name in GEOMETRIES:
        rows = [
            [
                text,
                *(measured[name][pattern][key] for key in ("erases", "hottest_block")),
                *(measured[name][pattern][key] for key in ("programs", "octets")),
                f"{measured[name][pattern]['writes_per_use']:.3f}",
                *(measured[name][pattern][key] for key in ("lost", "max_lost")),
            ]
            for pattern, text in PATTERNS.items()
        ]
        if name == "esp32":
            for text, writes in (
                ("esp32.NVS, a write per use (computed)", uses),
                (
                    "esp32.NVS, our reservations (computed)",
                    measured[name]["long_session"]["writes"],
                ),
            ):
                erases = writes // NVS_ENTRIES
                rows.append(
                    [text, erases, "-", writes, writes * 32, f"{writes / uses:.3f}", "-", "-"]
                )
        table(f"{name}: {uses:,} uses", head, rows)


def resets(measured: dict) -> dict:
    """Numbers lost by an unclean reset and by a planned one, mean and most."""
    lost = {}
    for kind, pattern in (("planned", "deep_sleep"), ("unclean", "unclean"), ("short", "short")):
        runs = [measured[name][pattern] for name in GEOMETRIES]
        lost[kind] = {
            "mean": sum(r["lost"] for r in runs) / sum(r["resets"] for r in runs),
            "max": max(r["max_lost"] for r in runs),
        }
    return lost


def lifetimes(measured: dict) -> list[dict]:
    """Reports a day to years of one key and of the flash, for a node that stays on and a sleeper.

    years of key   = 65536 / ((1 + numbers lost a use) x reports a day x 365.25)
    years of flash = 2 x endurance / (erases a use x reports a day x 365.25)
    The 2 are the blocks of a metadata pair: littlefs moves the pair every hundred erases or so and
    spreads the wear over all free blocks, so this is the least, with no free block at all.
    """
    rows = []
    for reports in REPORTS:
        row: dict = {"reports_a_day": reports}
        for pattern in ("long_session", "deep_sleep", "unclean"):
            for name in GEOMETRIES:
                run_ = measured[name][pattern]
                yearly = reports * YEAR
                row[f"{name}_{pattern}_flash_years"] = (
                    2 * ENDURANCE / (run_["erases"] / run_["uses"] * yearly)
                )
            row[f"{pattern}_key_years"] = KEY / ((1 + run_["lost"] / run_["uses"]) * yearly)
        rows.append(row)
    return rows


def span(years: float) -> str:
    """A time in years, or in days where that says more."""
    return f"{years:,.1f} y" if years >= 1 else f"{years * YEAR:.1f} d"


def show_lifetimes(rows: list[dict]) -> None:
    """Print the table of docs/DESIGN.md."""
    head = [
        "reports a day",
        "key",
        "key, power fails",
        "flash: rp2 on",
        "rp2 sleeping",
        "esp32 on",
    ]
    head.append("esp32 sleeping")
    body = [
        [
            f"{row['reports_a_day']:,}",
            span(row["long_session_key_years"]),
            span(row["unclean_key_years"]),
            *(
                span(row[f"{name}_{pattern}_flash_years"])
                for name in GEOMETRIES
                for pattern in ("long_session", "deep_sleep")
            ),
        ]
        for row in rows
    ]
    table("How long one key generation and the flash last (flash: at least)", head, body)


def main() -> int:
    """Measure, print the tables, write JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a sixteenth of a key's life")
    parser.add_argument("--out", type=Path, default=OUT / "wear.json")
    options = parser.parse_args()
    uses = KEY // 16 if options.quick else KEY
    measured = measure(uses)
    lost, years = resets(measured), lifetimes(measured)
    shim = run(str(PROJECT / "bench" / "shim_speed.py"), PROJECT / "firmware" / "lib")
    show_wear(measured, uses)
    rows = [[kind, f"{each['mean']:.2f}", each["max"]] for kind, each in lost.items()]
    table("Numbers lost by a reset", ["reset", "mean", "most"], rows)
    show_lifetimes(years)
    print(
        f"\nsha1 of 60 octets: native {shim['native_us']:.1f} us, "
        f"firmware/lib {shim['shim_us']:.0f} us, {shim['ratio']:.0f} times as long"
    )
    result: dict = {}
    for name in GEOMETRIES:
        each = measured[name]
        each["long_session"]["naive_erases"] = each["naive"]["erases"]
        result[name] = each
    save(options.out, {**result, "lost": lost, "lifetimes": years, "sha1_shim": shim})
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
