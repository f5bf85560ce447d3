"""Damaged and endless inputs: mutated captures, logs and firmware files; decoding in constant
memory; the report of a long walk. Run it with `make fuzz`; writes bench/out/edges.json.

Exits with 1 where anything was a traceback, or took more than it may.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

from scripts import OUT, save, table

from mip6 import packets

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "core"))
sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "field"))

import mobility_samples
from mobility_samples import CARE_OF, HOME, PEER
from support import edges

GROWTH_MAX = 16 << 10  # kilobytes from a tenth to the whole: allocators breathe
REPORT_S = 60.0
PAGE_MAX = 4 << 20
_SHARES = {"captures": 6, "logs": 2, "images": 2}  # tenths of the mutated inputs


def mutate(count: int, folder: Path) -> dict:
    """The campaigns, with the time that each took."""
    campaigns = {
        "captures": edges.Captures(),
        "logs": edges.Logs(folder / "walk", drawn=0.005),
        "images": edges.Images(folder / "images"),
    }
    tallies = {}
    for name, one in campaigns.items():
        begun = time.monotonic()
        tally = edges.campaign(one, count * _SHARES[name] // 10)
        tallies[name] = {**tally, "seconds": round(time.monotonic() - begun, 1)}
    rows = [
        [name, t["tried"], t["outcomes"].get("refused", 0), t["crashes"], t["longest_s"]]
        for name, t in tallies.items()
    ]
    table("Mutated inputs", ["", "tried", "refused", "crashes", "longest s"], rows)
    for tally in tallies.values():
        print(*tally["some"], sep="\n", end="\n" if tally["some"] else "")
    return tallies


def write_input(path: Path, octets: int, as_text: bool) -> None:
    """Mobility messages of each kind and data of a mobile node, so many octets in a file."""
    datagram = packets.udp(HOME, PEER, 1, 2, bytes(1_200))
    option = packets.home_address_option(HOME, packets.UDP)
    body = option + datagram
    data = packets.ipv6_header(CARE_OF, PEER, packets.DESTINATION_OPTIONS, len(body)) + body
    some = [*mobility_samples.one_of_each(), *[data] * 20]
    once = path.with_suffix(".once")
    if as_text:
        once.write_text("".join(f"{one.hex()}\n" for one in some))
    else:
        with once.open("wb") as file:
            mobility_samples.write_capture(file, some)
    content = once.read_bytes()
    head = 0 if as_text else 24
    with path.open("wb") as file:
        file.write(content[:head])
        for _ in range(octets // (len(content) - head) + 1):
            file.write(content[head:])


def memory(megabytes: int, folder: Path) -> dict:
    """Peaks for a tenth and for all, of captures and hexadecimal, as text and JSON."""
    found, rows = {}, []
    for as_text in (False, True):
        path = folder / "input"
        peaks: dict[bool, list] = {False: [], True: []}
        for octets in (megabytes << 20) // 10, megabytes << 20:
            write_input(path, octets, as_text)
            for as_json, taken in peaks.items():
                taken.append(edges.decode(path, as_text, as_json))
        for as_json, ((small, _), (large, seconds)) in peaks.items():
            name = f"{'hexadecimal' if as_text else 'capture'} as {'JSON' if as_json else 'text'}"
            found[name] = {
                "octets": path.stat().st_size, "tenth_kilobytes": small,
                "kilobytes": large, "cpu_s": round(seconds, 1),
            }  # fmt: skip
            rows.append(
                [name, path.stat().st_size >> 20, small >> 10, large >> 10, round(seconds, 1)]
            )
    table("Decoding", ["", "MiB", "peak of a tenth, MiB", "peak, MiB", "CPU s"], rows)
    return found


def main() -> int:
    """All of it; 1 where a bound didn't hold."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--inputs", type=int, default=100_000)
    parser.add_argument("--megabytes", type=int, default=200)
    parser.add_argument("--moves", type=int, default=65_000, help="nine events each, and more")
    parser.add_argument("--out", type=Path, default=OUT / "edges.json")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        tallies = mutate(options.inputs, folder)
        decoded = memory(options.megabytes, folder)
        walk = edges.report_of(folder / "long", options.moves, page_too=True)
    walk.pop("page")
    table("A long walk", list(walk), [list(walk.values())])
    tracebacks = sum(tally["crashes"] for tally in tallies.values())
    growth = max(one["kilobytes"] - one["tenth_kilobytes"] for one in decoded.values())
    save(options.out, {
        "mutated": sum(tally["tried"] for tally in tallies.values()), "tracebacks": tracebacks,
        "decode_megabytes": options.megabytes, "decode_growth_kilobytes": growth,
        "report_events": walk["events"], "report_cpu_s": walk["cpu_s"],
        "report_page_octets": walk["page_octets"], **tallies, "decode": decoded,
    })  # fmt: skip
    allowed_s = REPORT_S * max(1.0, walk["events"] / 1e6)
    if (
        tracebacks or growth > GROWTH_MAX
        or walk["page_octets"] > PAGE_MAX or walk["cpu_s"] > allowed_s
    ):  # fmt: skip
        print("edges: FAILED", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
