"""Bars of what each handover took: whose part is what, and the signalling phase by phase."""

from collections.abc import Callable, Sequence

from matplotlib.axes import Axes

from roamkey.field.handovers import PHASES, Handover
from roamkey.field.palette import Palette

#: What the bars consist of: colour, words. Of the whole by whose part it is; of the signalling.
COST = {
    "down": "radio: link lost → link up", "router": "network: link up → router heard",
    "address": "network: → address usable", "roamkey": "roamkey: → first datagram",
}  # fmt: skip
SIGNALLING = {
    name: words for name, words in PHASES if name in ("test", "send", "again", "there", "back")
}


def parts(one: Handover) -> list[tuple[str, float | None]]:
    """Colour and length of each part; where nobody saw data, of what is known instead."""
    phases = one.phases()
    ours = one.signalling_ms if one.roamkey_ms is None else one.roamkey_ms
    return [
        ("down", phases["link down"]), ("router", phases["router"]),
        ("address", phases["address"]), ("roamkey", ours),
    ]  # fmt: skip


def signalling(one: Handover) -> list[tuple[str, float | None]]:
    """The same of the signalling, phase by phase."""
    phases = one.phases()
    return [(name, phases[name]) for name in SIGNALLING]


def draw(
    axes: Axes, shown: Sequence[Handover], palette: Palette,
    lengths: Callable[[Handover], list[tuple[str, float | None]]],
) -> None:  # fmt: skip
    """A bar for each handover, of what `lengths` gives."""
    rows = [lengths(one) for one in shown]
    totals = [sum(length or 0 for _, length in row) for row in rows]
    limit = _limit(totals)
    for index, row in enumerate(rows):
        left = 0.0
        for key, length in row:
            length = length or 0.0
            shown_length = max(0.0, min(length, limit - left))
            axes.barh(index, shown_length, left=left, height=0.66, color=palette[key], lw=0)
            left += shown_length
        beyond = totals[index] > limit
        text = f"{totals[index]:,.0f}" + (" →" if beyond else "")
        text += "" if shown[index].acknowledged_ms is not None else " †"
        axes.annotate(
            text, (left, index), xytext=(3, 0), textcoords="offset points", va="center",
            fontsize=7.5, color=palette["alarm" if beyond else "soft"],
        )  # fmt: skip
    axes.set_xlim(0, limit * 1.14)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.grid(axis="x", color=palette["line"], lw=0.6)
    axes.set_axisbelow(True)


def _limit(totals: list[float]) -> float:
    """Where bars end: at the longest, unless few are far longer than the rest."""
    ordered = sorted(totals) or [1.0]
    usual = ordered[(len(ordered) - 1) * 3 // 4] * 2.2
    return max(1.0, usual if ordered[-1] > 1.8 * usual else ordered[-1])
