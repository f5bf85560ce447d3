"""How long a handover takes as its user feels it. Run it with `make bench`.

From the carrier's coming to the first datagram that a program at the correspondent hears. Real
parts: the board is MicroPython booting from its flash, with a program that speaks every ten
milliseconds; the correspondent is the daemon with its database and data plane, 20 ms away. The
kernel's settings are its own, duplicate address detection is on.

The board moves to and fro between two networks; then again while the way loses every tenth frame
each way; then with two uplinks that overlap, and every datagram accounted for, in both directions.

What is measured, all on this machine's one clock (tests/support/handovers.py):

link up   Just before the laboratory gives the board's interface its carrier.
router    The kernel's time stamp of the first Router Advertisement at the board.
usable    The kernel announces the new care-of address in the board's namespace. The announcement
          has no time stamp of its own, so when this program received it (late by a thread's
          wake-up, which would flatter us), or the advertisement's, where that is earlier.
update    The Binding Update's time stamp as it enters the link to the correspondent.
bound     The accepting acknowledgement's as it enters that link at the correspondent's end. It
          leaves only after the binding is committed to disk.
datagram  The kernel's time stamp of the first datagram from there, at the program's socket.

Beside it stands return routability at the same distances, sent over the wire by a script
(return_routability.py), at its least. What Mobile IPv6 itself takes, from a usable address to
"bound", is `signalling_ms`.
"""

import argparse
import statistics
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from results import OUT
from return_routability import measure
from rich.console import Console
from rich.table import Table
from scripts import save
from support.handovers import (  # bench/scripts.py finds it
    ONE_WAY_MS,
    Join,
    Losses,
    Travel,
    overlapping,
    spread,
)

from roamkey.correspondent.dataplane import tun
from roamkey.lab import sandbox

BOUND_MS = 10.0  # more than one way that signalling may take
DATAGRAM_MS = {"median": 120.0, "p95": 250.0}  # at most
LOSSY_MS = {"median": 150.0, "p95": 700.0}  # with LOSS_PERCENT each way
LOSS_PERCENT = 10.0
_RETURN_ROUTABILITY_RUNS = 20
_FILE = OUT / "handover.json"

#: (what, whose, from, to)
_PHASES: "tuple[tuple[str, str, Callable[[Join], float], Callable[[Join], float]], ...]" = (
    ("link up → router heard", "kernel, router", lambda j: j.link_up, lambda j: j.heard),
    ("router heard → address announced", "kernel", lambda j: j.heard, lambda j: j.announced),
    ("address usable → update on the link", "roamkey", lambda j: j.usable, lambda j: j.updated),
    ("update on the link → bound", "one way, disk", lambda j: j.updated, lambda j: j.bound),
    ("bound → first datagram heard", "there and back", lambda j: j.bound, lambda j: j.accepted),
    ("link up → bound", "", lambda j: j.link_up, lambda j: j.bound),
    ("link up → first datagram heard", "", lambda j: j.link_up, lambda j: j.accepted),
)


def main() -> int:
    """Measure, print tables, write `bench/out/handover.json`; 1 where it takes too long."""
    arguments = argparse.ArgumentParser(description="measure handovers in the laboratory")
    arguments.add_argument("--moves", type=int, default=100)
    moves = arguments.parse_args().moves
    if (reason := tun.refusal()) is not None:
        print(f"bench/handover.py: skipped, the data plane needs {tun.PATH}: {reason}")
        return 0
    sandbox.ensure()
    joins, lossy = joined(moves, 0.0), joined(moves, LOSS_PERCENT)
    with tempfile.TemporaryDirectory() as out:
        losses = overlapping(Path(out), moves)
    routability = statistics.median(measure(ONE_WAY_MS, _RETURN_ROUTABILITY_RUNS))
    found = summary(joins, lossy, losses, routability)
    show(joins, lossy, losses, found)
    save(_FILE, found)
    missed = misses(found)
    for line in missed:
        print(f"handover: {line}", file=sys.stderr)
    return bool(missed)


def joined(moves: int, loss_percent: float) -> list[Join]:
    """So many moves over a way that loses so much. Raises TimeoutError where one doesn't end."""
    with (
        tempfile.TemporaryDirectory() as out,
        Travel(Path(out), loss_percent=loss_percent) as travel,
    ):
        return travel.joins(moves)


def summary(
    joins: list[Join], lossy: list[Join], losses: Losses, routability: float
) -> dict[str, Any]:
    """What goes into the file; milliseconds."""
    signalling = statistics.median(join.signalling_ms for join in joins)
    with_loss = spread([join.datagram_ms for join in lossy])
    return {
        "one_way_ms": ONE_WAY_MS,
        "moves": len(joins),
        "signalling_ms": round(signalling, 2),
        "link_up_to_bound_ms": spread([join.bound_ms for join in joins]),
        "link_up_to_datagram_ms": spread([join.datagram_ms for join in joins]),
        "phases_ms": {
            what: round(1000 * statistics.median(end(join) - start(join) for join in joins), 1)
            for what, _, start, end in _PHASES
        },
        "loss10": {"link_up_to_datagram_ms": with_loss},
        "make_before_break": {
            "moves": losses.moves,
            "datagrams_lost": losses.up + losses.down,
            "said": losses.said,
            "cut": {"up": losses.cut_up, "down": losses.cut_down},
        },
        "return_routability_ms": round(routability, 2),
        "ratio": round(routability / signalling, 2),
    }


def misses(found: dict[str, Any]) -> list[str]:
    """A line for each bound that isn't kept."""
    lines = []
    if found["signalling_ms"] > ONE_WAY_MS + BOUND_MS:
        lines.append(f"signalling: the median exceeds one way + {BOUND_MS:g} ms")
    for title, values, bounds in (
        ("link up to datagram", found["link_up_to_datagram_ms"], DATAGRAM_MS),
        ("the same with loss", found["loss10"]["link_up_to_datagram_ms"], LOSSY_MS),
    ):
        for name, at_most in bounds.items():
            if values[name] > at_most:
                lines.append(f"{title}: {name} {values[name]:g} ms, more than {at_most:g}")
    if found["make_before_break"]["datagrams_lost"]:
        lines.append("make before break: datagrams were lost")
    return lines


def show(joins: list[Join], lossy: list[Join], losses: Losses, found: dict[str, Any]) -> None:
    """Print it."""
    console = Console()
    table = Table(title=f"Handover, {ONE_WAY_MS:g} ms one way, {len(joins)} moves", box=None)
    table.add_column("milliseconds")
    table.add_column("whose")
    for heading in ("median", "95 %", "least", "most"):
        table.add_column(heading, justify="right")
    for what, whose, start, end in _PHASES:
        _add(table, what, whose, [1000 * (end(join) - start(join)) for join in joins])
    felt = [join.datagram_ms for join in lossy]
    _add(table, f"the same, {LOSS_PERCENT:g} % lost each way", "", felt)
    table.add_row("return routability alone", "", f"{found['return_routability_ms']:.1f}")
    console.print(table)
    console.print(
        f"signalling: one way + {found['signalling_ms'] - ONE_WAY_MS:.1f} ms (wanted: at most "
        f"{BOUND_MS:g}); return routability takes {found['ratio']:.1f} times as long"
    )
    console.print(
        f"two uplinks that overlap, {losses.moves} moves, {losses.said:,} datagrams: "
        f"{losses.up} lost from the board, {losses.down} to it; at cuts that nobody told of "
        f"{losses.cut_up} and {losses.cut_down}"
    )


def _add(table: Table, what: str, whose: str, values: list[float]) -> None:
    of = spread(values)
    shown = (of["median"], of["p95"], min(values), of["worst"])
    table.add_row(what, whose, *(f"{value:.1f}" for value in shown))


if __name__ == "__main__":
    sys.exit(main())
