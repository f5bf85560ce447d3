"""The demo's chart: where the board was, and what each handover's signalling took."""

from pathlib import Path

import matplotlib

matplotlib.use("Agg")

from matplotlib import pyplot
from matplotlib.axes import Axes

from roamkey.lab.demo.facts import CAFE, Facts, Handover

# Colours that stay apart for colour-blind eyes (Okabe and Ito).
_COLOURS = {"visited1": "#0072b2", "visited2": "#e69f00", "home": "#009e73", CAFE: "#cc79a7"}
_NAMES = {
    "visited1": "visited network 1",
    "visited2": "visited network 2",
    "home": "home network",
    CAFE: "IPv4 behind a NAT (udp4)",  # as `facts.check` wants it
}
_MARK = "#d55e00"


def draw(facts: Facts, path: Path) -> None:
    """Write the chart of a run as PNG."""
    figure, (above, below) = pyplot.subplots(
        2, 1, figsize=(9.6, 6.4), height_ratios=(1.15, 1), layout="constrained"
    )
    _draw_networks(above, facts)
    _draw_signalling(below, facts)
    figure.savefig(path, dpi=120)
    pyplot.close(figure)


def _draw_networks(axes: Axes, facts: Facts) -> None:
    ends = [handover.left for handover in facts.handovers[1:]] + [facts.ended]
    rows = [*(["home", CAFE] if facts.ipv4 else ["home"]), "visited2", "visited1"]
    for handover, end in zip(facts.handovers, ends, strict=True):
        row = rows.index(handover.network)
        start = handover.left - facts.started
        bound = handover.update.time + handover.one_way - facts.started
        colour = _COLOURS[handover.network]
        axes.barh(row, bound - start, left=start, height=0.5, color=colour, alpha=0.3)
        axes.barh(row, end - facts.started - bound, left=bound, height=0.5, color=colour)
        axes.annotate(_number(handover), (bound, row + 0.27), fontsize=8, ha="left", va="bottom")
    for (at, text), side in zip(facts.marks, ("right", "left"), strict=True):
        axes.axvline(at - facts.started, color=_MARK, linewidth=1, linestyle="--")
        axes.annotate(
            f" {text} ", (at - facts.started, len(rows) - 0.35), fontsize=8, color=_MARK, ha=side
        )
    axes.set_yticks(range(len(rows)), [_NAMES[row] for row in rows])
    axes.set_ylim(-0.5, len(rows) - 0.15)
    axes.set_xlim(0, facts.ended - facts.started)
    axes.set_xlabel("seconds (pale: joining; solid: bound, from the sequence number above it)")
    axes.set_title("Where the board was", loc="left")
    axes.spines[["top", "right"]].set_visible(False)


def _draw_signalling(axes: Axes, facts: Facts) -> None:
    plain = [handover.signalling for handover in facts.handovers if not handover.sent_again]
    limit = max(plain) * 1000 * 1.2
    labels = []
    for row, handover in enumerate(reversed(facts.handovers)):
        left = 0.0
        total = f" {handover.signalling * 1000:.1f} ms"
        for length, colour, name in _phases(handover):
            shown, hatch = length, None
            if (
                handover.sent_again and not left
            ):  # a retransmission: a second, beside tens of milliseconds
                shown, hatch = limit * 0.2, "//"
                total += ", not to scale: an answer was lost"
            axes.barh(
                row, shown, left=left, height=0.6, color=colour, hatch=hatch, edgecolor="white",
                linewidth=0, label=None if row else name,
            )  # fmt: skip
            left += shown
        axes.annotate(total, (left, row), fontsize=8, va="center")
        labels.append(f"{_LABELS[handover.reason]} {_NAMES[handover.network]}")
    axes.set_yticks(range(len(labels)), labels, fontsize=9)
    axes.set_xlim(0, limit)
    axes.set_xlabel("milliseconds from a usable care-of address to the acknowledgement")
    axes.set_title("What each handover's signalling took", loc="left")
    axes.legend(
        fontsize=8, ncols=2, loc="upper center", bbox_to_anchor=(0.4, -0.22), frameon=False
    )
    axes.spines[["top", "right"]].set_visible(False)


def _number(handover: Handover) -> str:
    """The sequence number, and the way where it is news."""
    update = handover.update
    usual = update.way == "native" or handover.network == CAFE
    return str(update.sequence) if usual else f"{update.sequence}, {update.way}"


def _phases(handover: Handover) -> list[tuple[float, str, str]]:
    """Milliseconds, colour and name of each part of a handover's signalling, in order."""
    to_update = (handover.update.time - handover.usable) * 1000
    way = handover.one_way * 1000
    answering = (handover.acknowledgement.time - handover.update.time) * 1000 - way
    return [
        (to_update, "#56b4e9", "board: address usable (or power back) → BU sent"),
        (way, "#bbbbbb", "way there"),
        (answering, "#cc79a7", "correspondent: check, commit, answer"),
        (way, "#dddddd", "way back"),
    ]


_LABELS = {
    "joined": "first join:",
    "moved": "move:",
    "power": "power back:",
    "home": "return:",
}
