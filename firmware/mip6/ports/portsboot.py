"""The /boot.py that MicroPython's ESP32 port writes at a board's first start: comments alone."""

import os

_OCTETS_MAX = 512  # it has 139; more needn't fit into memory
_SIZE = 6  # in what stat() tells

# ports/esp32/modules/inisetup.py, 1.9 to 1.28
_LINES = (
    "",
    "# This file is executed on every boot (including wake-boot from deepsleep)",
    "#import esp",
    "#esp.osdebug(None)",
    "#import webrepl",
    "#webrepl.start()",
)


def drop(path: str) -> bool:
    """Remove the file if it is that one; whether it is gone. What can't be read stays."""
    try:
        if os.stat(path)[_SIZE] > _OCTETS_MAX:
            return False
        with open(path) as file:
            for line in file:
                if line.strip() not in _LINES:
                    return False
        os.remove(path)
    except (OSError, ValueError):  # UnicodeError
        return False
    return True
