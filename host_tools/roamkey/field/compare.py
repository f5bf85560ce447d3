"""Two walks side by side: the same measures of both, and how far apart they are.

How much of a difference is chance can't be seen from two medians: so each comes with the interval
in which it lies with 95 % confidence, by order statistics (no shape of distribution is assumed).
"""

import json
from collections.abc import Sequence
from math import comb, sqrt
from pathlib import Path
from statistics import NormalDist
from typing import Any

from matplotlib import pyplot
from matplotlib.figure import Figure

from roamkey import privatefiles
from roamkey.errors import SystemRefusedError
from roamkey.field import charts, page, report
from roamkey.field.figures import Spread
from roamkey.field.handovers import PHASES
from roamkey.field.palette import Palette
from roamkey.field.report import MEASURES, SHOWN, Report
from roamkey.field.values import NATIVE, WAYS

_PAGE = "compare.html"
_EXACT_MAX = 500
_CONFIDENCE = 0.95


def interval(ordered: Sequence[float]) -> tuple[float, float] | None:
    """Where the median lies with 95 % confidence; None for fewer than six values.

    The number of values below the median is binomial with p = 1/2: of the values in ascending
    order, those around which 2.5 % or less lie on either side bound it.
    """
    count = len(ordered)
    if count > _EXACT_MAX:  # then it is normal, as near as nobody could tell
        z = NormalDist().inv_cdf((1 + _CONFIDENCE) / 2)
        below = int((count - z * sqrt(count)) / 2) - 1
        return ordered[below], ordered[count - 1 - below]
    tail, below = 0.0, -1
    for successes in range(count):
        tail += comb(count, successes) / 2**count
        if tail > (1 - _CONFIDENCE) / 2:
            break
        below = successes
    if below < 0:
        return None
    return ordered[below], ordered[count - 1 - below]


def verdict(first: Sequence[float], second: Sequence[float]) -> str:
    """Whether the second walk's values (in ascending order) are better, which is less, than the
    first's, worse, or neither for sure: where the intervals of the medians overlap."""
    one, other = interval(first), interval(second)
    if one is None or other is None:
        return "too few to tell"
    if other[1] < one[0]:
        return "better"
    return "worse" if other[0] > one[1] else "no clear difference"


def said(first: Report, second: Report) -> list[str]:
    """A line for each measure that both have: before, after, and whether that is better."""
    lines = []
    for key, title, _ in SHOWN:
        one, other = first.spreads[key], second.spreads[key]
        if one is not None and other is not None:
            change = page.change(other.median - one.median)
            judged = verdict(first.measured(key), second.measured(key))
            lines.append(
                f"{title}: {one.median:,.0f} → {other.median:,.0f} ms ({change}, {judged})"
            )
    if first.loss.sent and second.loss.sent:
        before, after = first.loss.percent, second.loss.percent
        lines.append(f"Lost: {before:.1f} → {after:.1f} % ({page.change(after - before, 1)})")
    return lines


def plain(first: Report, second: Report) -> dict[str, Any]:
    """Both reports, the earlier or compared one first, and their differences (second minus first:
    less is better) in plain values."""
    differences = {}
    ours, theirs = first.spreads, second.spreads
    for name, one in ours.items():
        other = theirs[name]
        if one is not None and other is not None:
            differences[name] = {
                key: getattr(other, key) - getattr(one, key) for key in ("median", "p95", "worst")
            }
    return {
        "first": report.plain(first),
        "second": report.plain(second),
        "differences": differences,
    }


def write(first: Report, second: Report, out: Path) -> Path:
    """Write compare.html, compare.json and compare.png; the page. Raises SystemRefusedError."""
    files: dict[str, bytes | str] = {
        "compare.json": json.dumps(plain(first, second), indent=2) + "\n",
        "compare.png": charts.png(_draw_against(second), first),
        _PAGE: render(first, second),
    }
    try:
        privatefiles.write_each(out, files)
    except OSError as error:
        raise SystemRefusedError(f"{out}: {error.strerror}") from error
    return out / _PAGE


def render(first: Report, second: Report) -> str:
    """The page."""
    draw = _draw_against(second)
    drawn = "".join(
        f'<div class="{kind}" role="img" aria-label="The share of handovers that took no longer, '
        f'for both walks">{charts.svg(draw, first, kind == "narrow", f"compare-{kind}-")}</div>'
        for kind in ("wide", "narrow")
    )
    about = f"Solid: {first.name}. Dashed: {second.name}. The share that took no longer."
    sections = [
        page.section("spread", "How handovers spread", about, f"<figure>{drawn}</figure>"),
        page.section(
            "figures", "Figures",
            "Milliseconds, less is better; in brackets where the median lies with 95 % "
            "confidence. Where these overlap there is no clear difference.",
            _table(first, second),
        ),
    ]  # fmt: skip
    clock = (
        f"Clock error at most ± {page.number(first.clock_error_ms, 1)} ms and "
        f"± {page.number(second.clock_error_ms, 1)} ms; it concerns only the phases “sent → "
        "accepted” and “accepted → acknowledgement”."
    )
    title = f"{first.name} and {second.name}"
    lead = f"{len(first.moves)} and {len(second.moves)} handovers"
    return page.fill(title, lead, _tiles(first, second), sections, clock)


def _tiles(first: Report, second: Report) -> str:
    tiles = []
    ours, theirs = first.spreads, second.spreads
    for key, title, _ in SHOWN:
        one, other = ours[key], theirs[key]
        if one is None or other is None:
            continue
        change = page.change(other.median - one.median)
        judged = verdict(first.measured(key), second.measured(key))
        beneath = f"{one.median:,.0f} → {other.median:,.0f}: {judged}"
        tiles.append(page.tile(title, change, "ms", beneath))
    losses = first.loss.percent, second.loss.percent
    if first.loss.sent and second.loss.sent:
        change = page.change(losses[1] - losses[0], 1)
        tiles.append(page.tile("Lost", change, "points", f"{losses[0]:.1f} → {losses[1]:.1f} %"))
    return "".join(tiles)


def _table(first: Report, second: Report) -> str:
    ours, theirs = first.spreads, second.spreads
    named = [(key, title) for key, title, _ in MEASURES]
    named += [(f"phase {name}", what) for name, what in PHASES]
    rows = []
    for key, title in named:
        one, other = ours[key], theirs[key]
        measured = key in {name for name, _, _ in MEASURES}
        bounds = [interval(walk.measured(key)) if measured else None for walk in (first, second)]
        rows.append([
            title, *_cells(one, bounds[0]), *_cells(other, bounds[1]),
            page.change(other.median - one.median) if one and other else page.number(None),
            verdict(*(walk.measured(key) for walk in (first, second)))
            if measured and one and other else page.number(None),
        ])  # fmt: skip
    ways = [way for way in WAYS if way in first.ways or way in second.ways]
    for way in ways if ways != [NATIVE] else ():
        one, other = first.ways.get(way), second.ways.get(way)
        rows.append([
            f"Signalling, {way}", *_cells(one, None), *_cells(other, None),
            page.change(other.median - one.median) if one and other else page.number(None),
            page.number(None),
        ])  # fmt: skip
    names = [first.name, second.name]
    head = [
        "milliseconds",
        *(f"{name}: {what}" for name in names for what in ("median", "95th")),
        "change",
        "second walk",
    ]
    return page.table(head, rows, "Both walks", 1, True)


def _cells(one: Spread | None, bounds: tuple[float, float] | None) -> list[str]:
    if one is None:
        return [page.number(None)] * 2
    within = f" ({bounds[0]:,.0f}–{bounds[1]:,.0f})" if bounds else ""
    return [f"{one.median:,.0f}{within}", f"{one.p95:,.0f}"]


def _draw_against(second: Report) -> charts.Draw:
    def draw(first: Report, palette: Palette, narrow: bool) -> Figure:
        figure, axes = pyplot.subplots(
            figsize=(charts.NARROW if narrow else charts.WIDE, 3.0), layout="constrained"
        )
        for key, title, _ in SHOWN:
            for walk, style in ((first, "-"), (second, (0, (3, 1.6)))):
                charts.cumulative(
                    axes, walk.measured(key), palette[charts.SPREAD_COLOURS[key]], style,
                    title if walk is first else None,
                )  # fmt: skip
        charts.dress_cumulative(axes, palette)
        return figure

    return draw
