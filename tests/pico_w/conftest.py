"""These tests need MicroPython for the Pico W: PICO_W_UF2 names the file (see docs/LIMITS.md)."""

import os

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if os.environ.get("PICO_W_UF2"):
        return
    skip = pytest.mark.skip(reason="PICO_W_UF2 names no RPI_PICO_W firmware: make test-pico-w")
    for item in items:
        if "pico_w" in item.path.parts:
            item.add_marker(skip)
