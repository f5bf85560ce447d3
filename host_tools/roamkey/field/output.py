"""What a report leaves in its folder: page, charts, JSON and CSV."""

import csv
import io
import json
from pathlib import Path

from PIL import Image

from roamkey.errors import SystemRefusedError
from roamkey.field import charts, page, report
from roamkey.field.report import Report


def _stack(pictures: list[bytes], path: Path) -> None:
    """One picture of several, each below the other."""
    opened = [Image.open(io.BytesIO(octets)).convert("RGB") for octets in pictures]
    size = max(one.width for one in opened), sum(one.height for one in opened)
    whole = Image.new("RGB", size, opened[0].getpixel((0, 0)))
    top = 0
    for one in opened:
        whole.paste(one, (0, top))
        top += one.height
    whole.quantize(128).save(path, optimize=True)


def write(made: Report, out: Path) -> Path:
    """Write everything below the folder `out`; returns the page. Raises SystemRefusedError."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        (out / "report.json").write_text(json.dumps(report.plain(made), indent=2) + "\n")
        with (out / "handovers.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(report.COLUMNS)
            writer.writerows(report.rows(made))
        drawn = {name: charts.png(draw, made) for name, (draw, _) in charts.CHARTS.items()}
        for name, octets in drawn.items():
            (out / f"{name}.png").write_bytes(octets)
        _stack([drawn["timeline"], drawn["handovers"]], out / "walk.png")
        place = out / "index.html"
        place.write_text(page.render(made), encoding="utf-8")
    except OSError as error:
        raise SystemRefusedError(f"{out}: {error.strerror}") from error
    return place
