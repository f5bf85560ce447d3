"""These tests need MicroPython for the Pico W: PICO_W_UF2 names the file (see docs/LIMITS.md).

Those of the agent in the firmware need one that holds it (boards/RPI_PICO_W): PICO_W_FROZEN_UF2.
"""

import os

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "pico_w" not in item.path.parts:
            continue
        frozen = item.path.name == "test_frozen.py"
        name = "PICO_W_FROZEN_UF2" if frozen else "PICO_W_UF2"
        what = "RPI_PICO_W firmware with the agent in it" if frozen else "RPI_PICO_W firmware"
        if not os.environ.get(name):
            reason = f"{name} names no {what}: make test-pico-w"
            item.add_marker(pytest.mark.skip(reason=reason))
