"""Results of benches, as JSON in bench/out: several benches may fill one file."""

import json
from pathlib import Path

from roamkey.lab import apart

OUT = Path(__file__).parent / "out"
apart.stand_apart()  # every bench that starts commands keeps its results here


def update(file: str, **values: object) -> None:
    """Set values in a file of bench/out; the others in it stay."""
    path = OUT / file
    path.parent.mkdir(parents=True, exist_ok=True)
    found = json.loads(path.read_text()) if path.exists() else {}
    path.write_text(json.dumps({**found, **values}, indent=2) + "\n")
