"""The page of a report: one HTML file that needs nothing else, no script and no network."""

from collections.abc import Sequence
from datetime import datetime, timezone
from html import escape
from importlib.resources import files
from string import Template

from roamkey.field import charts, shown, values
from roamkey.field import palette as colours
from roamkey.field.figures import USES, Spread
from roamkey.field.handovers import PHASES, Handover
from roamkey.field.report import MEASURES, SHOWN, WHY, Report
from roamkey.field.values import NATIVE

_DASH = "–"


def render(report: Report) -> str:
    """The page of one walk."""
    sections = [
        _figure(report, "timeline", "Where it was", _about_timeline(report)),
        _figure(
            report, "handovers", "What each handover cost",
            shown.about_costs(report),
        ),
        _figure(
            report, "spread", "How handovers spread",
            "The share that took no longer; the dots are median and 95th percentile.",
            _spread_table(report),
        ),
        section("every", "Handovers" if shown.count(report) > shown.ROWS_MAX else "Every handover",
                 shown.about_handovers(report), _handover_table(report)),
        section("keys", "Sequence numbers and keys",
                 "Each update uses a number, and a key has 65,536 of them. Numbers are skipped "
                 "where an update was lost, and after a power cut.", _key_table(report)),
    ]  # fmt: skip
    return fill(
        report.name, _lead(report), _tiles(report), sections, _clock(report), _notes(report)
    )


def fill(
    title: str, lead: str, tiles: str, sections: Sequence[str], clock: str, notes: str = ""
) -> str:
    """The template with its parts; `title` and `lead` as text, the others as HTML."""
    template = Template((files("roamkey.field") / "page.html").read_text(encoding="utf-8"))
    return template.substitute(
        title=escape(title), lead=escape(lead), tiles=tiles, sections="\n".join(sections),
        clock=clock, notes=notes, light=colours.as_css(colours.LIGHT),
        dark=colours.as_css(colours.DARK),
    )  # fmt: skip


def tile(name: str, value: str, unit: str, beneath: str) -> str:
    """A figure at the top of the page."""
    return (
        f"<div><dt>{escape(name)}</dt><dd>{escape(value)} <small>{escape(unit)}</small></dd>"
        f"<dd>{escape(beneath)}</dd></div>"
    )


def table(
    head: Sequence[str],
    rows: Sequence[Sequence[str]],
    caption: str,
    texts: int,
    wrap: bool = False,
    broad: bool = False,
) -> str:
    """A table; the first `texts` columns are text (which may `wrap`), the others numbers.

    `broad`: it may be wider than the text around it. On a phone each row is a card, whose cells
    say what they are; roles keep it a table for those who listen.
    """
    heads = "".join(
        f'<th scope="col" role="columnheader"{_class(i < texts)}>{escape(name)}</th>'
        for i, name in enumerate(head)
    )
    body = "".join(
        '<tr role="row">'
        + "".join(_cell(i, cell, texts, head[i]) for i, cell in enumerate(row))
        + "</tr>"
        for row in rows
    )
    return (
        f'<div class="scroll{" broad" if broad else ""}" tabindex="0" role="region" '
        f'aria-label="{escape(caption)}">'
        f'<table role="table"{" class=wrap" if wrap else ""}><thead role="rowgroup">'
        f'<tr role="row">{heads}</tr></thead><tbody role="rowgroup">{body}</tbody></table></div>'
    )


def _cell(index: int, cell: str, texts: int, name: str) -> str:
    if index == 0:
        return f'<th scope="row" role="rowheader" class="text">{escape(cell)}</th>'
    kinds = ["text"] if index < texts else ["none"] if cell in (_DASH, "0") else []
    kinds += ["unknown"] if cell == _DASH else []
    named = f' data-name="{escape(name)}"'
    return f'<td role="cell"{named}{_classes(kinds)}>{escape(cell)}</td>'


def _classes(names: Sequence[str]) -> str:
    return f' class="{" ".join(names)}"' if names else ""


def _class(text: bool) -> str:
    return _classes(["text"] if text else [])


def _figure(report: Report, name: str, title: str, about: str, more: str = "") -> str:
    draw, words = charts.CHARTS[name]
    drawn = "".join(
        f'<div class="{kind}" role="img" aria-label="{escape(words)}">'
        f"{charts.svg(draw, report, kind == 'narrow', f'{name}-{kind}-')}</div>"
        for kind in ("wide", "narrow")
    )
    return section(name, title, about, f"<figure>{drawn}</figure>{more}")


def section(anchor: str, title: str, about: str, content: str) -> str:
    """A part of the page; `content` is HTML, the others are text."""
    return (
        f'<section aria-labelledby="{anchor}"><h2 id="{anchor}">{escape(title)}</h2>'
        f'<p class="soft">{escape(about)}</p>{content}</section>'
    )


def number(value: float | None, digits: int = 0) -> str:
    """A figure for people; a dash for what isn't known."""
    return _DASH if value is None else f"{value:,.{digits}f}"


def change(value: float, digits: int = 0) -> str:
    """A difference for people, with its sign."""
    text = f"{abs(value):,.{digits}f}"
    if not text.strip("0.,"):
        return "0"
    return f"+{text}" if value > 0 else f"−{text}"


def _lead(report: Report) -> str:
    # What a damaged log makes of a time may lie where no calendar goes.
    begin = datetime.fromtimestamp(
        min(max(report.begin_ms, 0.0), values.LAST_MS) / 1000, timezone.utc
    )
    length = (report.end_ms - report.begin_ms) / 1000
    duration = f"{length / 60:.1f} minutes" if length >= 120 else f"{length:.1f} seconds"
    boards = len(report.nodes)
    who = report.nodes[0].joined.home_address if boards == 1 else f"{boards} boards"
    return f"{who} · {local(begin)} · {duration}"


def local(at: datetime) -> str:
    """A time where the report is made, and in which zone that is."""
    try:
        there = at.astimezone()
    except (OverflowError, OSError, ValueError):  # beyond what calendars know here
        there = at
    offset = f"{there:%z}"
    zone = "UTC" if offset == "+0000" else f"UTC{offset[:3]}:{offset[3:5]}"
    name = there.tzname() or zone
    shown = f"{name}, {zone}" if name[:1].isalpha() and name != zone else zone
    return f"{there:%d %B %Y, %H:%M:%S} ({shown})"


def _tiles(report: Report) -> str:
    spreads = report.spreads
    moves, loss, error = report.moves, report.loss, report.clock_error_ms
    again = sum(max(0, one.updates - 1) for one in moves)
    tiles = [
        *(_spread_tile(title, spreads[key]) for key, title, _ in SHOWN),
        tile("Handovers", str(len(moves)), "", f"{again} updates sent again"),
    ]
    if loss.sent:
        tiles.append(
            tile("Datagrams lost", f"{loss.percent:.1f}", "%", f"{loss.lost:,} of {loss.sent:,}")
        )
    tiles.append(
        tile("Clock error", _DASH if error is None else f"± {error:.0f}", "ms",
             "board against correspondent")
    )  # fmt: skip
    return "".join(tiles)


def _spread_tile(title: str, spread: Spread | None) -> str:
    if spread is None:
        return tile(title, _DASH, "", "not recorded")
    beneath = f"median; 95th {spread.p95:,.0f}, worst {spread.worst:,.0f}"
    return tile(title, f"{spread.median:,.0f}", "ms", beneath)


def _about_timeline(report: Report) -> str:
    about = "Pale: on the way; solid: registered. Below: each accepted sequence number, and when "
    about += "datagrams were lost."
    if any(not one.on_board for node in report.nodes for one in node.handovers):
        about += " Hatched: known from the correspondent alone."
    if any(one.way != NATIVE for node in report.nodes for one in node.handovers):
        about += " Named is the way that isn’t native: inside UDP, over IPv6 or over IPv4."
    return about + shown.about_timeline(report)


def _spread_table(report: Report) -> str:
    rows = []
    spreads = report.spreads
    named = [(key, title, what) for key, title, what in MEASURES]
    named += [(f"phase {name}", "", what) for name, what in PHASES]
    for key, title, what in named:
        one = spreads[key]
        figures = (one.median, one.p95, one.worst) if one else (None, None, None)
        text = f"{title}: {what}" if title else what
        rows.append([text, str(one.count if one else 0), *(number(value) for value in figures)])
    for why, spread in report.kinds.items() if len(report.kinds) > 1 else ():
        count = str(spread.count if spread else 0)
        figures = (spread.median, spread.p95, spread.worst) if spread else (None, None, None)
        text = f"Link up → first datagram, {WHY[why]}"
        rows.append([text, count, *(number(value) for value in figures)])
    for way, spread in report.ways.items() if tuple(report.ways) != (NATIVE,) else ():
        count = str(sum(one.way == way for one in report.moves))
        figures = (spread.median, spread.p95, spread.worst) if spread else (None, None, None)
        rows.append([f"Signalling, {way}", count, *(number(value) for value in figures)])
    head = ("milliseconds", "handovers", "median", "95th", "worst")
    return table(head, rows, "The spread of each measure and phase", 1, True)


def _handover_table(report: Report) -> str:
    names = [name for name, _ in PHASES]
    head = [
        "#", "why", "network", "way", "at s", "sequence", "updates", *names,
        "link up → datagram", "gap", "lost", "clock ±", "care-of address",
    ]  # fmt: skip
    if any(one.signal_dbm is not None for one in report.moves):
        head.append("dBm")
    several = len(report.nodes) > 1
    rows = []
    for node, index, one in shown.listed(report):
        row = [f"{node.name} · {index}" if several else str(index), *_row(report, one, names)]
        rows.append(row[: len(head)])
    return table(head, rows, "Every handover, its phases in milliseconds", 4, broad=True)


def _row(report: Report, one: Handover, names: Sequence[str]) -> list[str]:
    phases = one.phases()
    return [
        WHY[one.why],
        one.network,
        one.way,
        number((one.at_ms - report.begin_ms) / 1000, 1),
        number(one.sequence),
        number(one.updates or None),
        *(number(phases[name]) for name in names),
        number(one.link_up_to_datagram_ms),
        number(one.gap_ms),
        number(one.lost),
        number(one.error_ms),
        one.care_of_address,
        number(one.signal_dbm),
    ]


def _key_table(report: Report) -> str:
    rows: list[list[str]] = []
    for node in report.nodes:
        for key in node.keys[: shown.ROWS_MAX - len(rows)]:
            rows.append([
                node.name, str(key.generation), f"{key.first:,} to {key.last:,}",
                f"{key.updates:,}",
                f"{key.skipped:,}", f"{key.left:,}", f"{100 * (USES - key.left) / USES:.2f} %",
            ])  # fmt: skip
    head = ("board", "key", "numbers", "accepted", "skipped", "left", "used")
    return table(head, rows, "Keys and their use", 1)


def _clock(report: Report) -> str:
    error = report.clock_error_ms
    text = (
        "Where both clocks meet (update sent → accepted, accepted → acknowledgement), the board’s "
    )
    text += (
        "is aligned with the correspondent’s by every update and its acknowledgement, as in NTP: "
    )
    if error is None:
        return text + "here there was none."
    text += (
        f"to ± {error:.1f} ms at worst, half a round trip, since nothing says how it is shared "
    )
    text += "between there and back. Drift of up to 100 ppm is allowed for."
    if report.by_host:
        text += (
            " A boot without such a pair is aligned by the host that pulled the log, as far as "
        )
        text += "that host’s clock is the correspondent’s."
    return text


def _notes(report: Report) -> str:
    missing = sum(not one.on_board for node in report.nodes for one in node.handovers)
    unaligned = sum(len(node.joined.unaligned) for node in report.nodes)
    lines = []
    if missing:
        lines.append(
            ("One handover is" if missing == 1 else f"{missing} handovers are")
            + " not in any board’s log: known from the correspondent alone. "
            "A power cut costs the events of the last ten seconds."
        )
    contradicted = sum(
        alignment.contradicted for node in report.nodes for _, alignment in node.joined.alignments
    )
    if contradicted:
        lines.append(
            f"Starts whose clock contradicts the correspondent’s: {contradicted}. One of them was "
            "set meanwhile, or drifts by more than 100 ppm: there the clock error stated doesn’t "
            "hold, nor do “there” and “back”."
        )
    if not report.moves_with_data and any(one.gap_ms is not None for one in report.moves):
        lines.append(
            "Data gaps are as the correspondent recorded them, without numbers of datagrams: what "
            "the application keeps between two is in them."
        )
    if unaligned:
        lines.append(f"Starts without a clock, left out of the time line: {unaligned}.")
    return "".join(f'<p class="note">{escape(line)}</p>' for line in lines)
