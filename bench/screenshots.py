"""The live page's picture in the docs, made by the page itself: `make screenshots`.

A daemon, some nodes on the move, the page, Chromium. Of the folder given there are more: phone and
desktop, light and dark.
"""

import argparse
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from roamkey.lab import apart, browser, sandbox
from roamkey.lab.crowd import NETWORKS, Crowd, Member
from roamkey.waiting import until

_OCTETS_MAX = 200_000
_URL = "http://[::1]:8080/"
_READY_S = 20.0
_BOARDS = ("bicycle", "bus-7", "ferry", "kite", "tram-12", "van-1", "van-2", "weather-3")
_SIZES = {"phone": (360, 740), "desktop": (1280, 800)}
_QUIET = 20  # lifetime of what goes quiet, in seconds


def main() -> int:
    """Make them; 1 where the picture is too large or the browser complains."""
    arguments = argparse.ArgumentParser(description="take pictures of the live page")
    arguments.add_argument("--picture", type=Path, default=Path("docs/page.png"))
    arguments.add_argument("--all", type=Path, help="a folder for phone and desktop, light, dark")
    arguments.add_argument("--seconds", type=float, default=40, help="how long nodes move before")
    arguments.add_argument("--nodes", type=int, default=len(_BOARDS))
    given = arguments.parse_args()
    picture = given.picture.absolute()
    apart.stand_apart()
    sandbox.ensure()
    boards = _BOARDS if given.nodes == len(_BOARDS) else [f"board-{n}" for n in range(given.nodes)]
    with (
        tempfile.TemporaryDirectory(prefix="roamkey-page-") as folder,
        Crowd(Path(folder), boards, {boards[-2]: _QUIET}) as crowd,
    ):
        walk(crowd, given.seconds)
        page = start_page(crowd)
        with crowd.correspondent.entered(), browser.chromium() as driver:
            take(driver, crowd, given.all)
            browser.show(driver, *_SIZES["desktop"])
            choose(driver, crowd.members[0])
            browser.save(driver, picture)
            complaints = browser.console(driver)
        page.terminate()
        page.wait()
    print(f"{picture}: {picture.stat().st_size} octets", *complaints, sep="\n")
    return int(bool(complaints) or picture.stat().st_size > _OCTETS_MAX)


def start_page(crowd: Crowd) -> subprocess.Popen[str]:
    """The page's process, ready."""
    command = [sys.executable, "-m", "roamkey", "correspondent", "page", "--no-token"]
    command += ["--registry", str(crowd.registry_path)]
    page = crowd.correspondent.popen(command, stdout=subprocess.PIPE, text=True)
    assert "http" in page.stdout.readline()
    return page


def walk(crowd: Crowd, seconds: float) -> None:
    """Nodes join, move, lose data; one goes home, one quiet; some packets are no good."""
    chance = random.Random(4449)
    for member in crowd.members[:-1]:
        crowd.move(member, chance.randrange(len(NETWORKS)))
        crowd.send_data(member)
    crowd.move(crowd.members[2], None)
    moving = [*crowd.members[:2], *crowd.members[3:-2]]
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        time.sleep(chance.uniform(0.3, 1.5))
        member = chance.choice([moving[0], *moving])
        now = NETWORKS.index(network_of(member))
        crowd.send_data(member)
        crowd.move(member, chance.choice([n for n in range(len(NETWORKS)) if n != now]))
        time.sleep(chance.uniform(0.05, 0.3))
        crowd.send_data(member)
        crowd.refresh(chance.choice(moving[1:]))
        if chance.random() < 0.3:  # a header that says how long it is and isn't
            crowd.send_raw(member, bytes((135, 9)) + os.urandom(chance.choice((30, 78))))


def network_of(member: Member) -> str:
    """The one of the `NETWORKS` that a node is in."""
    care_of = member.bindings.care_of
    return next(name for n, name in enumerate(NETWORKS) if member.care_of(n).packed == care_of)


def take(driver: object, crowd: Crowd, folder: Path | None) -> None:
    """Open the page; the pictures at all sizes, if they are wanted."""
    driver.get(_URL)
    wait(driver)
    if folder is None:
        return
    folder.mkdir(parents=True, exist_ok=True)
    for name, size in _SIZES.items():
        for dark in (False, True):
            browser.show(driver, *size, dark)
            time.sleep(0.3)
            browser.save(driver, folder / f"{name}-{'dark' if dark else 'light'}.png")
    browser.show(driver, 390, 3000)
    time.sleep(0.3)
    browser.save(driver, folder / "phone-whole.png")


def choose(driver: object, member: Member) -> None:
    """Look at a node's timeline."""
    names = driver.find_elements("css selector", "#nodes .who b")
    next(one for one in names if one.text == member.board).click()
    time.sleep(3)


def wait(driver: object) -> None:
    """Until the page is live."""
    script = "return document.getElementById('link').dataset.state"
    if not until(lambda: driver.execute_script(script) == "live", _READY_S, 0.1):
        raise TimeoutError(f"the page isn't live: {browser.console(driver)}")
    time.sleep(0.5)


if __name__ == "__main__":
    sys.exit(main())
