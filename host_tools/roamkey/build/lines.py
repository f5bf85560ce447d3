"""Where a line of a board's traceback stands in the sources.

A traceback from a board names a unit and a line of the text that was compiled: `File
"mip6.bindings@1a2b3c", line 745, in _send`. The six digits say which text. For every unit that
this host ever compiled for a board, which lines are of which source file is kept in
`board-lines.json` of the user's data folder; for those of the present sources it is worked out.
"""

import contextlib
import json
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from platformdirs import user_data_path

from roamkey.build import UnitText, units

_FILE = "board-lines.json"
_KEPT = 1000  # units of the newest builds
_PLACE = re.compile(r'File "(mip6[\w.]*@[0-9a-f]{6})", line (\d+)')

Starts = Mapping[str, int]


def remember(made: Mapping[str, UnitText]) -> None:
    """Keep where the lines of these units come from; a failure costs nothing but that."""
    path = _path()
    known = _kept(path)
    added = {unit.name: dict(unit.starts) for unit in made.values()}
    if added.keys() <= known.keys():
        return
    newest = list({**known, **added}.items())[-_KEPT:]
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh = path.with_suffix(".new")
        fresh.write_text(json.dumps(dict(newest)))
        fresh.replace(path)


def resolve(text: str) -> str:
    """A board's traceback (or any text with lines of one) with files and lines of the sources.

    What isn't known stays as it is.
    """
    return _PLACE.sub(_source, text)


def _source(found: re.Match[str]) -> str:
    starts = _starts(found[1])
    if starts is None:
        return found[0]
    line = int(found[2])
    module, start = max(
        ((one, start) for one, start in starts.items() if start < line),
        key=lambda pair: pair[1],
        default=("", 0),
    )
    if not module:
        return found[0]
    return f'File "{module.replace(".", "/")}.py", line {line - start}'


@cache
def _starts(unit: str) -> Starts | None:
    """Of a unit that was compiled here, or would be now: the latter takes seconds to find out,
    so it is kept."""
    kept = _kept(_path()).get(unit)
    if kept is not None:
        return kept
    for platform in ("rp2", "esp32", "linux"):
        made = _units(platform)
        for one in made.values():
            if one.name == unit:
                remember(made)
                return one.starts
    return None


@cache
def _units(platform: str) -> Mapping[str, UnitText]:
    return units(platform)


def _path() -> Path:
    return user_data_path("roamkey") / _FILE


def _kept(path: Path) -> dict[str, Starts]:
    """What the file holds, nothing where it is absent or isn't ours."""
    try:
        found = json.loads(path.read_text())
        return {
            str(name): {str(module): int(start) for module, start in starts.items()}
            for name, starts in found.items()
        }
    except (OSError, ValueError, AttributeError, TypeError):
        return {}
