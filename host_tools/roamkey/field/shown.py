"""What a page and its charts have room for, and the words for what is left out.

A page stays a few megabytes long, and readable, however long the walk was.
"""

import heapq
from collections import Counter
from collections.abc import Sequence
from typing import TypeVar

from roamkey.field.handovers import Handover
from roamkey.field.report import Node, Report

Item = TypeVar("Item")

#: In charts (each is drawn twice, as SVG), and rows of a table.
BARS_MAX, POINTS_MAX, LANES_MAX, COSTS_MAX = 600, 1_500, 40, 60
ROWS_MAX = 1_000


def thinned(found: Sequence[Item], most: int) -> Sequence[Item]:
    """All, or evenly some, the first and the last among them."""
    if len(found) <= most:
        return found
    return [found[at * (len(found) - 1) // (most - 1)] for at in range(most)]


def networks_of(report: Report) -> list[str]:
    """Those that were joined most, in the order of their names."""
    found = Counter(one.network for node in report.nodes for one in node.handovers)
    most = [name for name, _ in found.most_common(LANES_MAX)]
    return sorted(most, key=lambda name: (name == "home", name))


def costly(report: Report) -> list[tuple[Node, int, Handover]]:
    """The handovers whose costs are drawn, with their number: those that took longest."""
    known = [
        (node, number, one)
        for node in report.nodes
        for number, one in enumerate(node.handovers, 1)
        if one.why != "start" and one.on_board
    ]
    if len(known) <= COSTS_MAX:
        return known
    longest = heapq.nlargest(COSTS_MAX, enumerate(known), key=lambda each: _took(each[1][2]))
    return [one for _, one in sorted(longest, key=lambda each: each[0])]


def _took(one: Handover) -> tuple[float, float]:
    """How long it took, as far as anybody knows: the longest come first."""
    known = (one.radio_ms, one.link_up_to_datagram_ms)
    return max(sum(part or 0.0 for part in known), one.total_ms or 0.0), one.gap_ms or 0.0


def count(report: Report) -> int:
    """All handovers."""
    return sum(len(node.handovers) for node in report.nodes)


def listed(report: Report) -> list[tuple[Node, int, Handover]]:
    """The handovers of the table, with their numbers: those that took longest of very many."""
    known = [
        (node, index, one) for node in report.nodes for index, one in enumerate(node.handovers, 1)
    ]
    if len(known) <= ROWS_MAX:
        return known
    longest = heapq.nlargest(
        ROWS_MAX,
        enumerate(known),
        key=lambda each: _took(each[1][2]),
    )
    return [one for _, one in sorted(longest, key=lambda each: each[0])]


def about_handovers(report: Report) -> str:
    """What stands above the table of handovers."""
    about = "Milliseconds. A dash: nobody wrote it down."
    all_ = count(report)
    if all_ > ROWS_MAX:
        about = f"The {ROWS_MAX} that took longest of {all_:,}; all are in handovers.csv. {about}"
    return about


def about_costs(report: Report) -> str:
    """What stands above the chart of costs."""
    about = "Left whose part is what, right the signalling phase by phase. "
    about += "Arrows mark bars that go on beyond the scale."
    known = sum(
        one.on_board and one.why != "start" for node in report.nodes for one in node.handovers
    )
    if known > COSTS_MAX:
        about = f"The {COSTS_MAX} that took longest of {known:,}. {about}"
    return about


def about_timeline(report: Report) -> str:
    """What the chart over time has no room for, said; "" where it shows all."""
    said = []
    if count(report) > BARS_MAX:
        said.append(f"of {count(report):,} registrations evenly some")
    boards = len(report.nodes)
    if boards > LANES_MAX:
        said.append(f"of {boards:,} boards the first {LANES_MAX}")
    networks = len({one.network for node in report.nodes for one in node.handovers})
    if networks > LANES_MAX:
        said.append(f"of {networks:,} networks the {LANES_MAX} most joined")
    return f" Drawn are {', '.join(said)}." if said else ""
