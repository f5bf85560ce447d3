"""Chromium, without a screen and without a word to anybody: for the page's tests and picture."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from roamkey.errors import SystemRefusedError

_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
)


def missing() -> str | None:
    """What is to be installed, or None."""
    if _programs() is None:
        return "Chromium is not installed (Debian, Ubuntu: apt install chromium chromium-driver)"
    return None


@contextmanager
def chromium() -> Iterator[Any]:
    """A selenium driver; raises SystemRefusedError where there is no Chromium."""
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    programs = _programs()
    if programs is None:
        raise SystemRefusedError(missing() or "")
    options = webdriver.ChromeOptions()
    options.binary_location = programs[0]
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    with tempfile.TemporaryDirectory(prefix="roamkey-chromium-") as folder:
        for flag in (*_FLAGS, f"--user-data-dir={folder}"):
            options.add_argument(flag)
        driver = webdriver.Chrome(options, Service(programs[1]))
        try:
            yield driver
        finally:
            driver.quit()


def show(driver: Any, width: int, height: int, dark: bool = False) -> None:
    """Have the page in a window of this size, in CSS pixels, in a colour scheme."""
    phone = width < 600
    driver.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {
            "width": width,
            "height": height,
            "deviceScaleFactor": 2 if phone else 1,
            "mobile": phone,
        },
    )
    scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})


def console(driver: Any) -> list[str]:
    """What the browser complained about since last asked."""
    return [entry["message"] for entry in driver.get_log("browser")]


def _programs() -> tuple[str, str] | None:
    found = [shutil.which(name) for name in ("chromium", "chromedriver")]
    return (found[0], found[1]) if found[0] and found[1] else None


def save(driver: Any, path: Path) -> None:
    """What the window shows, as PNG."""
    path.write_bytes(driver.get_screenshot_as_png())
