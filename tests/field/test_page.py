"""The page in a real browser: nothing sticks out, nothing is missing, no error is logged."""

import os
import re
import shutil
import subprocess

import pytest
import samples

from roamkey.field import boardlog, compare, folder, output, report
from roamkey.lab import browser as chromium
from roamkey.waiting import until

_MEASURE = """<script>
document.title = [document.documentElement.scrollWidth, innerWidth,
  document.querySelectorAll("svg").length,
  getComputedStyle(document.body).backgroundColor].join(" ");
</script></body>"""


@pytest.fixture(scope="module")
def browser():
    found = shutil.which("chromium") or shutil.which("google-chrome")
    if found is None:
        text = "Chromium is not installed: the report's page can't be looked at"
        if os.environ.get("CI"):
            pytest.fail(text)
        pytest.skip(text)
    return found


@pytest.fixture
def pages(tmp_path):
    log = boardlog.pull(samples.answers(samples.BOOT_1), "aa", samples.HOME)
    boardlog.write(tmp_path / "board.jsonl", log)
    (tmp_path / "correspondent.log").write_text(samples.correspondent_log())
    made = report.make(folder.read(tmp_path))
    out = tmp_path / "out"
    output.write(made, out)
    compare.write(made, made, out)
    return out


def look(browser, page, width, profile):
    """(width of the content, of the window, charts, background) and what the console said."""
    probe = page.with_name(f"probe-{page.name}")
    probe.write_text(page.read_text().replace("</body>", _MEASURE))
    command = [
        browser, "--headless=new", "--no-sandbox", "--disable-gpu", f"--window-size={width},1000",
        f"--user-data-dir={profile}", "--enable-logging=stderr", "--dump-dom", f"file://{probe}",
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    title = re.search(r"<title>(.*?)</title>", done.stdout).group(1)
    content, window, charts, colour = title.split(" ", 3)
    console = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    return int(content), int(window), int(charts), colour, console


@pytest.mark.slow
def test_it_fits_phone_and_desk_and_logs_no_error(browser, pages, tmp_path):
    for name, charts, width in (
        ("index.html", 6, 500),
        ("index.html", 6, 1280),
        ("compare.html", 2, 500),
    ):
        content, window, found, colour, console = look(
            browser, pages / name, width, tmp_path / "profile"
        )
        assert content <= window, (name, content, window)
        assert found == charts and colour == "rgb(252, 251, 248)"
        assert not console


_SIDEWAYS = """return [document.documentElement, ...document.querySelectorAll('.scroll')]
  .filter((one) => one.scrollWidth > one.clientWidth + 1).length"""


@pytest.mark.slow
def test_on_a_phone_nothing_scrolls_sideways_and_axe_finds_nothing(browser, pages):
    with chromium.chromium() as driver:
        for name in ("index.html", "compare.html"):
            driver.get(f"file://{pages / name}")
            chromium.show(driver, 1280, 900, dark=True)
            assert chromium.violations(driver) == []
            chromium.show(driver, 360, 740)
            assert until(lambda: driver.execute_script(_SIDEWAYS) == 0, 10), name
            assert chromium.violations(driver) == []
            # each cell says what it is
            label = "getComputedStyle(document.querySelector('td'), '::before').content"
            assert driver.execute_script(f"return {label}") not in ("none", '""')
