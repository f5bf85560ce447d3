"""Tests in a real Chromium: skipped where there is none, or failed if CI is set."""

import os

import pytest

from roamkey.lab import browser


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    missing = browser.missing()
    if missing is None or os.environ.get("CI"):
        return
    for item in items:
        if "tests/browser" in item.nodeid:
            item.add_marker(pytest.mark.skip(reason=missing))
