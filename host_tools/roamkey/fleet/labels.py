"""Labels: a QR code for each board (PNG) and a sheet of all to print (HTML). No secret is in them.

A code holds `roamkey:BOARD?home=ADDRESS`.
"""

import html
import io
import re
from collections.abc import Sequence
from pathlib import Path

import segno

from roamkey import privatefiles
from roamkey.errors import BadInputError, SystemRefusedError
from roamkey.fleet.results import DONE, Outcome

SHEET = "labels.html"
_OCTETS_MAX = 1 << 28
_BOARD = re.compile("<span>([0-9a-f]+)</span>")
_TITLE = "<title>Labels</title>\n"
_SCALE = 8  # pixels of the PNG to a module
_BORDER = 4  # modules: the quiet zone that ISO/IEC 18004 asks for

_PAGE = (
    f"""<!DOCTYPE html>
<html lang="en">
<meta charset="utf-8">
{_TITLE}"""
    + """<style>
@page { margin: 10mm }
body { margin: 0; font: 9pt/1.3 sans-serif; display: grid;
       grid-template-columns: repeat(3, 1fr); gap: 3mm }
div { border: 0.2mm dashed #999; padding: 2mm; break-inside: avoid;
      display: grid; grid-template-columns: 25mm 1fr; gap: 2mm; align-items: center }
svg { width: 25mm; height: 25mm }
b { font-size: 10pt } span { font-family: monospace; font-size: 7.5pt; overflow-wrap: anywhere }
</style>
"""
)


def text_of(outcome: Outcome) -> str:
    """What the QR code of a board holds."""
    return f"roamkey:{outcome.board}?home={outcome.home_address}"


def write_labels(folder: Path, outcomes: Sequence[Outcome]) -> list[Path]:
    """Write `BOARD.png` for each board that is done, and the sheet; the files written.

    What is on the sheet of other boards, from earlier runs, stays. Raises SystemRefusedError, and
    BadInputError where what is there is no sheet.
    """
    done = [outcome for outcome in outcomes if outcome.result == DONE]
    files: dict[str, bytes | str] = {}
    lines = _on_sheet(folder / SHEET)
    for outcome in done:
        board = re.sub("[^0-9a-f]", "_", outcome.board)
        code = segno.make(text_of(outcome), error="m", micro=False)
        picture = io.BytesIO()
        code.save(picture, kind="png", scale=_SCALE, border=_BORDER)
        files[f"{board}.png"] = picture.getvalue()
        lines[board] = _label(outcome, code)
    files[SHEET] = f"{_PAGE}{''.join(lines.values())}</html>\n"
    try:
        privatefiles.write_each(folder, files)
    except OSError as error:
        raise SystemRefusedError(f"{folder}: {error.strerror}") from None
    return [folder / name for name in files]


def _label(outcome: Outcome, code: segno.QRCode) -> str:
    """A label on the sheet: one line of it, whatever its name is."""
    texts = [f"<b>{html.escape(outcome.name)}</b>"] if outcome.name else []
    texts += [f"<span>{html.escape(outcome.board)}</span>"]
    texts += [f"<span>{html.escape(outcome.home_address)}</span>"]
    drawing = code.svg_inline(scale=1, border=_BORDER, omitsize=True)
    return f"<div>{drawing}<p>{'<br>'.join(texts)}</p></div>\n"


def _on_sheet(sheet: Path) -> dict[str, str]:
    """The labels that are on a sheet, by board."""
    if not sheet.exists():
        return {}
    text = privatefiles.read_regular(sheet, _OCTETS_MAX).decode("utf-8", "replace")
    if _TITLE not in text:
        raise BadInputError(f"{sheet} is there, and no sheet of labels")
    lines = [line for line in text.splitlines(keepends=True) if line.startswith("<div>")]
    found = [(_BOARD.search(line), line) for line in lines]
    return {match[1]: line for match, line in found if match}
