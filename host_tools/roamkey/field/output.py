"""What a report leaves in its folder: page, charts, JSON and CSV."""

import csv
import json
from pathlib import Path

from roamkey.errors import SystemRefusedError
from roamkey.field import charts, page, report
from roamkey.field.report import Report


def write(made: Report, out: Path) -> Path:
    """Write everything below the folder `out`; returns the page. Raises SystemRefusedError."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        (out / "report.json").write_text(json.dumps(report.plain(made), indent=2) + "\n")
        with (out / "handovers.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(report.COLUMNS)
            writer.writerows(report.rows(made))
        for name, (draw, _) in charts.CHARTS.items():
            (out / f"{name}.png").write_bytes(charts.png(draw, made))
        place = out / "index.html"
        place.write_text(page.render(made), encoding="utf-8")
    except OSError as error:
        raise SystemRefusedError(f"{out}: {error.strerror}") from error
    return place
