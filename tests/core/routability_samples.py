"""Return routability and home registrations, for the host's tests: the vectors.

CPython only, as `mobility_samples`.
"""

import json
from pathlib import Path
from typing import Any

ROUTABILITY: list[dict[str, Any]] = json.loads(
    (Path(__file__).parent.parent / "vectors" / "routability.json").read_text()
)


def routability(name: str) -> bytes:
    """The packet of the vector called `name`."""
    return next(bytes.fromhex(v["packet"]) for v in ROUTABILITY if v["name"] == name)
