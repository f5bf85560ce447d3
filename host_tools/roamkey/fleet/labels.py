"""Labels: a QR code for each board (PNG) and a sheet of all to print (HTML). No secret is in them.

A code holds `roamkey:BOARD?home=ADDRESS`.
"""

import html
import re
from collections.abc import Sequence
from pathlib import Path

import segno

from roamkey.errors import SystemRefusedError
from roamkey.fleet.rows import DONE, Outcome

SHEET = "labels.html"
_SCALE = 8  # pixels of the PNG to a module
_BORDER = 4  # modules: the quiet zone that ISO/IEC 18004 asks for

_PAGE = """<!DOCTYPE html>
<html lang="en">
<meta charset="utf-8">
<title>Labels</title>
<style>
@page { margin: 10mm }
body { margin: 0; font: 9pt/1.3 sans-serif; display: grid;
       grid-template-columns: repeat(3, 1fr); gap: 3mm }
div { border: 0.2mm dashed #999; padding: 2mm; break-inside: avoid;
      display: grid; grid-template-columns: 25mm 1fr; gap: 2mm; align-items: center }
svg { width: 25mm; height: 25mm }
b { font-size: 10pt } span { font-family: monospace; font-size: 7.5pt; overflow-wrap: anywhere }
</style>
"""


def text_of(outcome: Outcome) -> str:
    """What the QR code of a board holds."""
    return f"roamkey:{outcome.board}?home={outcome.home_address}"


def write_labels(folder: Path, outcomes: Sequence[Outcome]) -> list[Path]:
    """Write `BOARD.png` for each board that is done, and the sheet; the files written."""
    done = [outcome for outcome in outcomes if outcome.result == DONE]
    written = []
    page = [_PAGE]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for outcome in done:
            code = segno.make(text_of(outcome), error="m", micro=False)
            path = folder / f"{re.sub('[^0-9a-f]', '_', outcome.board)}.png"
            code.save(str(path), kind="png", scale=_SCALE, border=_BORDER)
            written.append(path)
            lines = [f"<b>{html.escape(outcome.name)}</b>"] if outcome.name else []
            lines += [f"<span>{html.escape(outcome.board)}</span>"]
            lines += [f"<span>{html.escape(outcome.home_address)}</span>"]
            drawing = code.svg_inline(scale=1, border=_BORDER, omitsize=True)
            page.append(f"<div>{drawing}<p>{'<br>'.join(lines)}</p></div>\n")
        sheet = folder / SHEET
        sheet.write_text("".join(page) + "</html>\n", encoding="utf-8")
    except OSError as error:
        raise SystemRefusedError(f"{folder}: {error.strerror}") from None
    return [*written, sheet]
