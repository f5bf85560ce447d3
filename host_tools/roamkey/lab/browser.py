"""Chromium, without a screen and without a word to anybody: for the page's tests and picture."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files
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

# Colours in the middle of an animation are nobody's.
_RUN_AXE = """const done = arguments[0];
document.getAnimations().forEach((one) => one.finish());
axe.run(document, {resultTypes: ["violations"]}).then(
  (found) => done(found.violations.flatMap((one) => one.nodes.map((node) => [one.id, node.html]))),
  (error) => done(String(error)));"""


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


def violations(driver: Any) -> list[str]:
    """What axe-core says about the page as it stands: rule, and where, of each element.

    Environment: AXE_CORE is an axe.min.js that is newer than the one installed."""
    driver.execute_script(_axe())
    found = driver.execute_async_script(_RUN_AXE)
    if isinstance(found, str):
        raise RuntimeError(found)
    return [f"{rule}: {where}" for rule, where in found]


def _axe() -> str:
    given = os.environ.get("AXE_CORE")
    if given:
        return Path(given).read_text(encoding="utf-8")
    return (files("axe_core_python") / "axe.min.js").read_text(encoding="utf-8")


def _programs() -> tuple[str, str] | None:
    found = [shutil.which(name) for name in ("chromium", "chromedriver")]
    return (found[0], found[1]) if found[0] and found[1] else None


def save(driver: Any, path: Path) -> None:
    """What the window shows, as PNG."""
    path.write_bytes(driver.get_screenshot_as_png())
