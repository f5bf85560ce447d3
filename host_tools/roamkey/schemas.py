"""The JSON Schemas (draft 2020-12) of what commands print with `--json`: data/schemas/*.json."""

import json
from pathlib import Path
from typing import Any

_FOLDER = Path(__file__).parent / "data" / "schemas"


def names() -> list[str]:
    """The commands whose output has a schema."""
    return sorted(path.stem for path in _FOLDER.glob("*.json"))


def schema(command: str) -> dict[str, Any]:
    """The schema of a command's output; raises FileNotFoundError where there is none."""
    found: dict[str, Any] = json.loads((_FOLDER / f"{command}.json").read_text())
    return found
