"""The demo's chart: where the board was, and what each handover's signalling took."""

from pathlib import Path

import matplotlib

matplotlib.use("Agg")

from matplotlib import pyplot
from matplotlib.axes import Axes

from roamkey.lab.demo.facts import Facts, Handover

# Colours that stay apart for colour-blind eyes (Okabe and Ito).
_COLOURS = {"visited1": "#0072b2", "visited2": "#e69f00", "home": "#009e73"}
_NAMES = {"visited1": "visited network 1", "visited2": "visited network 2", "home": "home network"}
_MARK = "#d55e00"


def draw(facts: Facts, path: Path) -> None:
    """Write the chart of a run as PNG."""
    figure, (above, below) = pyplot.subplots(
        2, 1, figsize=(9, 6.2), height_ratios=(1.15, 1), layout="constrained"
    )
    _draw_networks(above, facts)
    _draw_signalling(below, facts)
    figure.savefig(path, dpi=120)
    pyplot.close(figure)


def _draw_networks(axes: Axes, facts: Facts) -> None:
    ends = [handover.left for handover in facts.handovers[1:]] + [facts.ended]
    rows = ["home", "visited2", "visited1"]
    for handover, end in zip(facts.handovers, ends, strict=True):
        row = rows.index(handover.network)
        start = handover.left - facts.started
        bound = handover.update.time + handover.one_way - facts.started
        colour = _COLOURS[handover.network]
        axes.barh(row, bound - start, left=start, height=0.5, color=colour, alpha=0.3)
        axes.barh(row, end - facts.started - bound, left=bound, height=0.5, color=colour)
        axes.annotate(
            f"sequence {handover.update.sequence}",
            (bound, row + 0.29),
            fontsize=8,
            ha="left",
            va="bottom",
        )
    for at, text in facts.marks:
        axes.axvline(at - facts.started, color=_MARK, linewidth=1, linestyle="--")
        axes.annotate(
            text, (at - facts.started, len(rows) - 0.42), fontsize=8, color=_MARK,
            rotation=30, ha="left", va="bottom", annotation_clip=False,
        )  # fmt: skip
    axes.set_yticks(range(len(rows)), [_NAMES[row] for row in rows])
    axes.set_ylim(-0.5, len(rows) - 0.4)
    axes.set_xlim(0, facts.ended - facts.started)
    axes.set_xlabel("seconds since the start (pale: joining, solid: bound at the correspondent)")
    axes.set_title("Where the board was, and the number that bound it there", loc="left", pad=46)
    axes.spines[["top", "right"]].set_visible(False)


def _draw_signalling(axes: Axes, facts: Facts) -> None:
    plain = [handover.signalling for handover in facts.handovers if not handover.sent_again]
    limit = max(plain) * 1000 * 1.25
    labels = []
    for row, handover in enumerate(reversed(facts.handovers)):
        left = 0.0
        for length, colour, name in _phases(handover):
            shown = min(length, max(0.0, limit * 0.8 - left)) if length > limit * 0.8 else length
            axes.barh(row, shown, left=left, height=0.6, color=colour, label=None if row else name)
            left += shown
        total = f" {handover.signalling * 1000:.1f} ms"
        if handover.sent_again:
            total = f" // {total}: its acknowledgement was lost, sent again"
        axes.annotate(total, (left, row), fontsize=8, va="center", annotation_clip=False)
        labels.append(f"{_LABELS[handover.reason]} {_NAMES[handover.network]}")
    axes.set_yticks(range(len(labels)), labels, fontsize=9)
    axes.set_xlim(0, limit)
    axes.set_xlabel("milliseconds from a usable care-of address to the acknowledgement")
    axes.set_title("What each handover's signalling took", loc="left")
    axes.legend(fontsize=8, ncols=2, loc="upper center", bbox_to_anchor=(0.4, -0.2), frameon=False)
    axes.spines[["top", "right"]].set_visible(False)


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
