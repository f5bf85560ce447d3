"""Mutated packets against the correspondent: a million native ones against its judgement, a
million inside UDP, a million against return routability; a million against a home agent's, and a
million into its tunnel; as many as time gives against the whole daemon. Run it with `make fuzz`;
writes bench/out/hostile.json.

Exits with 1 where a packet crashed something, was believed, or made memory grow.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

from scripts import OUT, save, table

from roamkey.lab import sandbox
from roamkey.lab.network import Network

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from support.home_network import against_tunnel
from support.hostile import (
    against_daemon,
    against_home_agent,
    against_responder,
    against_routability,
    against_vectors,
)

GROWTH_MAX = 8 << 20  # octets; Python's allocator needs some room to breathe
_MEGA = 1 << 20


def timed(campaign, *arguments) -> dict:
    """A campaign's tally, with the time that it took."""
    start = time.monotonic()
    tally = campaign(*arguments)
    return {**tally, "seconds": round(time.monotonic() - start, 1)}


def show(tallies: dict) -> None:
    """Print what became of the packets."""
    rows = []
    for key in ("packets", "seconds", "crashes", "believed"):
        rows.append([key, *(tally[key] for tally in tallies.values())])
    for at, name in enumerate(("MiB after a tenth", "MiB at the end")):
        rows.append([name, *(f"{t['resident_octets'][at] / _MEGA:.1f}" for t in tallies.values())])
    reasons = sorted({reason for tally in tallies.values() for reason in tally["reasons"]})
    for reason in reasons:
        rows.append([reason or "data", *(t["reasons"].get(reason, 0) for t in tallies.values())])
    table("Mutated packets", ["", *tallies], rows)


def failed(tally: dict) -> bool:
    """Whether a campaign found something."""
    first, last = tally["resident_octets"]
    return bool(
        tally["crashes"]
        or tally["believed"]
        or last - first > GROWTH_MAX
        or not tally.get("good_one_accepted", True)
    )


def main() -> int:
    """Send them, print what came of it, write JSON; 1 where anything was believed or crashed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--packets", type=int, default=1_000_000)
    parser.add_argument("--seconds", type=float, default=120, help="for the whole daemon")
    parser.add_argument("--out", type=Path, default=OUT / "hostile.json")
    options = parser.parse_args()
    sandbox.ensure()
    with tempfile.TemporaryDirectory() as folder:
        half = options.packets // 2
        path = Path(folder) / "registry.sqlite"
        tallies = {
            "vectors": timed(against_vectors, half),
            "responder": timed(against_responder, options.packets - half, path),
        }
        path = Path(folder) / "udp.sqlite"
        tallies["inside UDP"] = timed(against_responder, options.packets, path, 5555, True)
        path = Path(folder) / "home.sqlite"
        tallies["home agent"] = timed(against_home_agent, options.packets, path)
        with Network() as network:
            path = Path(folder) / "tunnel.sqlite"
            tallies["tunnel"] = timed(against_tunnel, options.packets, network, path)
        tallies["no key"] = timed(against_routability, options.packets)
        with Network() as network:
            path = Path(folder) / "daemon.sqlite"
            tallies["daemon"] = against_daemon(network, path, options.seconds)
    show(tallies)
    judged = [tally for name, tally in tallies.items() if name != "daemon"]
    total = {key: sum(one[key] for one in judged) for key in ("packets", "crashes", "believed")}
    save(options.out, {**total, "accepted": total["believed"], **tallies})
    if any(failed(tally) for tally in tallies.values()):
        print("hostile: FAILED", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
