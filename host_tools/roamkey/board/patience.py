"""How much longer than usual a board may take: ROAMKEY_PATIENCE, a factor from 1 to 100.

Times to wait are meant for boards on a cable. One that is emulated, or behind a slow tunnel, lags:
with ROAMKEY_PATIENCE=10 every wait for an answer may be ten times as long.
"""

import os

from roamkey.errors import BadInputError

_NAME = "ROAMKEY_PATIENCE"


def patient(seconds: float) -> float:
    """`seconds` times the factor; raises BadInputError where that is none."""
    text = os.environ.get(_NAME) or "1"
    try:
        factor = float(text)
    except ValueError:
        factor = 0.0
    if not 1 <= factor <= 100:
        raise BadInputError(f"{_NAME}: not a number from 1 to 100")
    return seconds * factor
