"""What a report leaves in its folder: page, charts, JSON and CSV."""

import csv
import io
import json
from pathlib import Path

from PIL import Image

from roamkey import privatefiles
from roamkey.errors import SystemRefusedError
from roamkey.field import charts, page, report
from roamkey.field.report import Report

_PAGE = "index.html"


def _stack(pictures: list[bytes]) -> bytes:
    """One picture of several, each below the other."""
    opened = [Image.open(io.BytesIO(octets)).convert("RGB") for octets in pictures]
    size = max(one.width for one in opened), sum(one.height for one in opened)
    whole = Image.new("RGB", size, opened[0].getpixel((0, 0)))
    top = 0
    for one in opened:
        whole.paste(one, (0, top))
        top += one.height
    made = io.BytesIO()
    whole.quantize(128).save(made, "png", optimize=True)
    return made.getvalue()


def _table(made: Report) -> str:
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(report.COLUMNS)
    writer.writerows(report.rows(made))
    return text.getvalue()


def write(made: Report, out: Path) -> Path:
    """Write everything below the folder `out`, each file whole or not at all, once all of it is
    made; returns the page. Raises SystemRefusedError."""
    drawn = {name: charts.png(draw, made) for name, (draw, _) in charts.CHARTS.items()}
    files: dict[str, bytes | str] = {
        "report.json": json.dumps(report.plain(made), indent=2) + "\n",
        "handovers.csv": _table(made),
        **{f"{name}.png": octets for name, octets in drawn.items()},
        "walk.png": _stack([drawn["timeline"], drawn["handovers"]]),
        _PAGE: page.render(made),
    }
    try:
        privatefiles.write_each(out, files)
    except OSError as error:
        raise SystemRefusedError(f"{out}: {error.strerror}") from error
    return out / _PAGE
