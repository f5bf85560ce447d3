"""The charts of a report, by matplotlib: as PNG, and for the page as SVG, wide and narrow."""

import io
import re
from collections.abc import Callable, Sequence
from typing import Any

import matplotlib

matplotlib.use("Agg")

from matplotlib import pyplot, ticker
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from roamkey.field import bars
from roamkey.field import palette as colours
from roamkey.field.handovers import Handover
from roamkey.field.palette import Palette
from roamkey.field.report import SHOWN, WHY, Node, Report
from roamkey.field.shown import BARS_MAX, LANES_MAX, POINTS_MAX, costly, networks_of, thinned
from roamkey.field.values import NATIVE

WIDE, NARROW = 9.6, 4.2  # inches
_WAYS_MAX = 40  # as many bars of a lane have room for a word
_LEAST_MS = 1.0  # on a logarithmic scale there is no zero
_STYLE: Any = {
    "font.family": ["DejaVu Sans"], "font.size": 8.5, "svg.fonttype": "none", "svg.hashsalt": "r",
    "axes.linewidth": 0.6, "hatch.linewidth": 0.6,
}  # fmt: skip
SPREAD_COLOURS = {
    "link_up_to_datagram": "n2", "radio": "down", "network": "address", "roamkey": "roamkey",
    "gap": "n4",
}  # fmt: skip
Draw = Callable[[Report, Palette, bool], Figure]


def png(draw: Draw, report: Report, dark: bool = False, dpi: int = 120) -> bytes:
    """A chart as PNG."""
    chosen = colours.DARK if dark else colours.LIGHT
    with pyplot.rc_context(_STYLE):
        figure = draw(report, chosen, False)
        out = io.BytesIO()
        figure.savefig(out, format="png", dpi=dpi, facecolor=chosen["paper"])
        pyplot.close(figure)
    return out.getvalue()


def svg(draw: Draw, report: Report, narrow: bool, prefix: str) -> str:
    """A chart as an SVG element in the page's variables; `prefix` keeps its ids apart."""
    with pyplot.rc_context(_STYLE):
        figure = draw(report, colours.NAMES, narrow)
        out = io.StringIO()
        figure.savefig(out, format="svg", transparent=True, metadata={"Date": None})
        pyplot.close(figure)
    text = out.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r'\bid="', f'id="{prefix}', text)
    text = re.sub(r'(href="#|url\(#)', rf"\g<1>{prefix}", text)
    # The page's own font, and its size: what the figure says in points.
    text = re.sub(r"font: ([\d.]+)px [^;\"]*", r"font-size: \1px", text)
    return colours.to_variables(text)


# Where the boards were


def timeline(report: Report, palette: Palette, narrow: bool) -> Figure:
    """Networks, sequence numbers and losses over time."""
    nodes = report.nodes
    lanes = _lanes(report)
    has_signal = any(node.joined.signal for node in nodes)
    heights = [max(0.9, 0.42 * len(lanes)), 0.75, *([0.6] if has_signal else []), 0.28]
    figure, axes = pyplot.subplots(
        len(heights), 1, sharex=True, layout="constrained", height_ratios=heights,
        figsize=(NARROW if narrow else WIDE, sum(heights) * 1.05 + 0.75),
    )  # fmt: skip
    networks = networks_of(report)
    _draw_lanes(axes[0], report, palette, lanes, networks, narrow)
    _draw_numbers(axes[1], report, palette)
    if has_signal:
        for node in nodes:
            signal = thinned(node.joined.signal, max(2, POINTS_MAX // len(nodes)))
            at = [_seconds(report, ms) for ms, _ in signal]
            axes[2].plot(at, [dbm for _, dbm in signal], color=palette["n4"], lw=1)
        axes[2].set_ylabel("dBm", color=palette["soft"])
    _draw_losses(axes[-1], report, palette)
    for one in axes:
        _tidy(one, palette)
        for step in thinned(report.steps, POINTS_MAX):
            if step["kind"] == "cut":
                at = _seconds(report, step["at_ms"])
                one.axvline(at, color=palette["alarm"], lw=0.9, ls=(0, (3, 2)))
    axes[-1].set_xlim(0, _seconds(report, report.end_ms) or 1)
    axes[-1].set_xlabel("seconds since the first record", color=palette["soft"])
    axes[-1].spines["bottom"].set_visible(True)
    return figure


def _lanes(report: Report) -> list[str]:
    """One board: a lane for each network; several: one for each board."""
    if len(report.nodes) == 1:
        return networks_of(report)
    return [one.name for one in report.nodes[:LANES_MAX]]


def _draw_lanes(
    axes: Axes, report: Report, palette: Palette, lanes: list[str], networks: list[str],
    narrow: bool,
) -> None:  # fmt: skip
    alone = len(report.nodes) == 1
    each = max(2, BARS_MAX // max(1, min(len(report.nodes), LANES_MAX)))
    for node in report.nodes[:LANES_MAX]:
        known = thinned([one for one in node.handovers if one.network in networks], each)
        for one, following in zip(known, [*known[1:], None], strict=False):
            lane = lanes.index(one.network if alone else node.name)
            colour = palette[colours.NETWORKS[networks.index(one.network) % 5]]
            left = _seconds(report, one.left_ms if one.left_ms is not None else one.at_ms)
            bound = _seconds(report, one.at_ms)
            end = report.end_ms
            if following is not None:
                end = following.left_ms if following.left_ms is not None else following.at_ms
            axes.barh(lane, bound - left, left=left, height=0.52, color=colour, alpha=0.35, lw=0)
            axes.barh(
                lane, _seconds(report, end) - bound, left=bound, height=0.52, color=colour, lw=0,
                alpha=1.0 if one.on_board else 0.7, hatch=None if one.on_board else "////",
                edgecolor=palette["paper"],
            )  # fmt: skip
            if one.way != NATIVE and len(known) <= _WAYS_MAX:
                axes.text(
                    bound, lane, f" {one.way}", va="center", fontsize=6.5, color=palette["paper"]
                )
    for step in thinned(report.steps, POINTS_MAX):
        if step["kind"] == "cut":
            at = _seconds(report, step["at_ms"])
            whose = [
                node.name
                for node in report.nodes
                if node.joined.home_address in step["home_addresses"]
            ]
            who = "" if len(whose) == len(report.nodes) else f" {', '.join(whose)}"
            axes.annotate(
                f"power cut{who}", (at, len(lanes) - 0.42), color=palette["alarm"], fontsize=7.5,
                ha="center", va="bottom", annotation_clip=False,
            )  # fmt: skip
    axes.set_yticks(range(len(lanes)), lanes)
    axes.set_ylim(-0.5, len(lanes) - 0.4)
    if not alone:
        axes.legend(
            handles=[
                Patch(color=palette[colours.NETWORKS[i % 5]], label=name)
                for i, name in enumerate(networks)
            ],
            ncols=2 if narrow else 5, loc="lower left", bbox_to_anchor=(0, 1.08), frameon=False,
            labelcolor=palette["ink"], handlelength=1, borderpad=0,
        )  # fmt: skip


def _draw_numbers(axes: Axes, report: Report, palette: Palette) -> None:
    """Each accepted number where it was accepted."""
    for node in report.nodes:
        accepted = [
            one
            for one in node.told
            if one.outcome in ("accepted", "removed") and one.sequence is not None
        ]
        accepted = list(thinned(accepted, max(2, POINTS_MAX // len(report.nodes))))
        at = [_seconds(report, one.at_ms) for one in accepted]
        axes.plot(
            at, [one.sequence or 0 for one in accepted], color=palette["soft"], lw=0.7,
            drawstyle="steps-post", marker="o", ms=2.6, mfc=palette["ink"], mew=0,
        )  # fmt: skip
    axes.yaxis.set_major_locator(ticker.MaxNLocator(3, integer=True))
    axes.set_ylabel("sequence", color=palette["soft"])
    axes.set_ylim(bottom=-2)


def _draw_losses(axes: Axes, report: Report, palette: Palette) -> None:
    lost = thinned(
        [_seconds(report, at) for node in report.nodes for at in node.lost_at], POINTS_MAX
    )
    axes.vlines(lost, 0, 1, color=palette["alarm"], lw=0.8)
    axes.set_yticks([0.5], ["lost"])
    axes.set_ylim(0, 1)


# What each handover cost


def costs(report: Report, palette: Palette, narrow: bool) -> Figure:
    """Every handover: from the lost link to data, by whose part it is; the signalling alone."""
    found = costly(report)
    shown = [one for _, _, one in found]
    height = max(1.8, 0.215 * len(shown) + 0.75)
    if narrow:
        figure, axes = pyplot.subplots(
            2, 1, figsize=(NARROW, 2 * height + 0.5), layout="constrained"
        )
    else:
        figure, axes = pyplot.subplots(
            1, 2, figsize=(WIDE, height + 0.5), layout="constrained", sharey=True
        )
    titles = ("Link lost → first datagram", "Address usable → acknowledged")
    for one, lengths, title in zip(axes, (bars.parts, bars.signalling), titles, strict=True):
        bars.draw(one, shown, palette, lengths)
        one.set_title(title, loc="left", fontsize=9, color=palette["ink"])
        unanswered = any(handover.acknowledged_ms is None for handover in shown)
        note = " († never acknowledged)" if unanswered else ""
        one.set_xlabel(f"milliseconds{note}", color=palette["soft"])
        _tidy(one, palette)
        one.spines["bottom"].set_visible(True)
    labels = [_label(report, node, number, one) for node, number, one in found]
    for one in axes:
        one.set_yticks(range(len(shown)), labels)
    handles = [
        Patch(color=palette[colour], label=words)
        for colour, words in (*bars.COST.items(), *bars.SIGNALLING.items())
    ]
    figure.legend(
        handles=handles, ncols=1 if narrow else 2, loc="outside lower left", frameon=False,
        labelcolor=palette["ink"], handlelength=1, handleheight=0.9,
    )  # fmt: skip
    return figure


def _label(report: Report, node: Node, number: int, one: Handover) -> str:
    where = one.network if one.why in ("move", "home") else f"{one.network}, {WHY[one.why]}"
    where += "" if one.way == NATIVE else f", {one.way}"
    return f"{node.name}: {number} {where}" if len(report.nodes) > 1 else f"{number}  {where}"


# How they spread


def spreads(report: Report, palette: Palette, narrow: bool) -> Figure:
    """The share of handovers that took no longer, for each measure."""
    figure, axes = pyplot.subplots(figsize=(NARROW if narrow else WIDE, 2.9), layout="constrained")
    for key, title, _ in SHOWN:
        colour = palette[SPREAD_COLOURS[key]]
        cumulative(axes, report.measured(key), colour, "-", title)
        spread = report.spreads[key]
        if spread is not None:
            marks = [max(value, _LEAST_MS) for value in (spread.median, spread.p95)]
            axes.plot(marks, [50, 95], "o", ms=4.5, color=colour, mec=palette["paper"], mew=0.8)
    dress_cumulative(axes, palette)
    return figure


def cumulative(
    axes: Axes, values: Sequence[float], colour: str, style: Any, label: str | None
) -> None:
    """One curve: `values` in ascending order, in milliseconds."""
    if values:
        some = thinned(range(len(values)), POINTS_MAX)
        shares = [100 * (i + 1) / len(values) for i in some]
        shown = [max(values[i], _LEAST_MS) for i in some]
        axes.step(
            [shown[0], *shown], [0, *shares], where="post", color=colour, lw=1.6, ls=style,
            label=label,
        )  # fmt: skip


def dress_cumulative(axes: Axes, palette: Palette) -> None:
    """Scales, lines and legend for such curves."""
    for share in (50, 95):
        axes.axhline(share, color=palette["line"], lw=0.8, zorder=0)
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(ticker.LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(ticker.FuncFormatter(lambda value, _: f"{value:,g}"))
    axes.xaxis.set_minor_formatter(ticker.NullFormatter())
    axes.set_yticks([0, 50, 95], ["0", "median", "95th"])
    axes.set_ylim(0, 104)
    axes.set_xlabel("milliseconds (logarithmic)", color=palette["soft"])
    if not axes.get_legend_handles_labels()[0]:
        axes.annotate("nothing was recorded", (0.5, 0.3), xycoords="axes fraction", ha="center")
    else:
        _legend(axes, palette)
    _tidy(axes, palette)
    axes.spines["bottom"].set_visible(True)


def _legend(axes: Axes, palette: Palette) -> None:
    axes.legend(
        frameon=False, labelcolor=palette["ink"], loc="lower left", bbox_to_anchor=(0, 1.0),
        ncols=3, borderpad=0, handlelength=1.4, columnspacing=1.2,
    )  # fmt: skip


def _tidy(axes: Axes, palette: Palette) -> None:
    axes.set_facecolor("none")
    for spine in axes.spines.values():
        spine.set_visible(False)
        spine.set_color(palette["line"])
    axes.tick_params(colors=palette["soft"], length=0, labelcolor=palette["ink"])
    axes.tick_params(axis="x", which="both", length=2, color=palette["line"])


def _seconds(report: Report, ms: float) -> Any:
    return (ms - report.begin_ms) / 1000


CHARTS: dict[str, tuple[Draw, str]] = {
    "timeline": (timeline, "Networks, sequence numbers and lost datagrams over time"),
    "handovers": (costs, "The phases of every handover"),
    "spread": (spreads, "The share of handovers that took no longer than so many milliseconds"),
}
