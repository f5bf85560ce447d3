"""These tests need firmware for the ESP32-C3 with roamkey's board definition, ESP32_FIRMWARE, some
upstream's, ESP32_STOCK_FIRMWARE, and the emulator, ESP32_QEMU (see docs/LIMITS.md).
"""

import os

import pytest

_NEEDED = {
    "ESP32_QEMU": "emulator of the ESP32-C3",
    "ESP32_FIRMWARE": "ESP32_GENERIC_C3 firmware with the agent in it",
    "ESP32_STOCK_FIRMWARE": "ESP32_GENERIC_C3 firmware as upstream has it",
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "esp32" not in item.path.parts:
            continue
        stock = item.path.name == "test_stock.py"
        for name in ("ESP32_QEMU", "ESP32_STOCK_FIRMWARE" if stock else "ESP32_FIRMWARE"):
            if not os.environ.get(name):
                reason = f"{name} names no {_NEEDED[name]}: make test-esp32"
                item.add_marker(pytest.mark.skip(reason=reason))
