"""The live page with 500 nodes, in Chromium: how soon it is there, how it keeps up while all of
them move, how high it is, and what axe-core says. Results: bench/out/page.json.

Nodes are the agent's own core before a real daemon (`roamkey.lab.crowd`); some of them are never
seen, some go quiet, and some have a key that is nearly used up. With `--pictures FOLDER` the page
is photographed: phone and desktop, light and dark, and once its daemon has gone.
"""

import argparse
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing, suppress
from ipaddress import IPv6Address
from pathlib import Path
from typing import Any

import results
import screenshots

from roamkey.correspondent.events import kinds
from roamkey.correspondent.events.file import Writer, place
from roamkey.lab import browser, sandbox
from roamkey.lab.crowd import NETWORKS, Crowd, Member
from roamkey.lab.network import CORRESPONDENT_ADDRESS
from roamkey.registry import Registry
from roamkey.waiting import until

NODES = 500
_URL = "http://[::1]:8080/"
_SIZES = {"desktop": (1280, 800), "phone": (360, 740)}
_BATCH = 25  # nodes that move at a time
_QUIET_S = 8  # lifetime of those that go quiet
_NEVER, _QUIET, _WORN, _AWAY = 6, 9, 4, 12  # so many of each
_LOADS = 5
_FLOOD_PER_S = 2_000
_READY_S = 60.0
_HEIGHT = "return document.documentElement.scrollHeight"
_FIRST_PAINT = """return performance.getEntriesByName('first-contentful-paint')[0]?.startTime"""
_ROWS = "return document.querySelectorAll('#nodes tbody tr').length"
_STALE = "return document.documentElement.hasAttribute('data-stale')"
_LISTED = "return Number(document.documentElement.dataset.listed) || null"
_WATCH = """window.draws = [];
new MutationObserver(() => draws.push(Number(document.documentElement.dataset.drawn)))
  .observe(document.documentElement, {attributeFilter: ['data-drawn']});"""
_PARTS = ("Task", "Script", "Layout", "RecalcStyle")  # of the time of the browser's main thread


def main() -> int:
    """Measure; 1 where the page isn't as it should be."""
    arguments = argparse.ArgumentParser(description="the live page with many nodes")
    arguments.add_argument("--nodes", type=int, default=NODES)
    arguments.add_argument("--seconds", type=float, default=20, help="how long all nodes move")
    arguments.add_argument("--pictures", type=Path, help="a folder")
    given = arguments.parse_args()
    sandbox.ensure()
    boards = [f"board-{number}" for number in range(1, given.nodes + 1)]
    quiet = dict.fromkeys(boards[40 : 40 + _QUIET], _QUIET_S)
    with (
        tempfile.TemporaryDirectory(prefix="roamkey-page-") as folder,
        Crowd(Path(folder), boards, quiet) as crowd,
    ):
        busy, refused = settle(crowd, [one for one in crowd.members if one.board in quiet])
        page = screenshots.start_page(crowd)
        with crowd.correspondent.entered(), browser.chromium() as driver:
            browser.show(driver, *_SIZES["desktop"])
            measured: dict[str, Any] = {"nodes": given.nodes, **loads(driver)}
            measured.update(keep_up(driver, page.pid, crowd, busy, given.seconds))
            measured["flood"] = flood(driver, page.pid, crowd, busy, given.seconds)
            for network in range(len(NETWORKS)):  # it is answered, and isn't bound for all that
                crowd.set_off(refused, network)
                with suppress(TimeoutError):
                    crowd.deliver([refused], 0.5)
            looked = look(driver, crowd, given.pictures)
            complaints = browser.console(driver)
            measured["grey_after_ms"] = silences(driver, crowd, page)
        page.terminate()
        page.wait()
    found = looked.pop("violations")
    measured.update(looked, axe_violations=len(found))
    results.update("page.json", **measured)
    print(*(f"{name}: {value}" for name, value in measured.items()), sep="\n")
    print(*found, *complaints, sep="\n")
    missed = measured["missed"] or measured["flood"]["missed"]
    return int(bool(found or complaints or missed))


def settle(crowd: Crowd, quiet: list[Member]) -> tuple[list[Member], Member]:
    """All nodes where they shall be at first; those that go on moving, and one that is refused."""
    rest = [member for member in crowd.members if member not in quiet]
    never, rest = rest[-_NEVER:], rest[:-_NEVER]
    chance = random.Random(4449)
    for number, member in enumerate(rest[:_WORN]):
        member.wear(65535 - 900 * (number + 1))
    busy = [member for member in crowd.members if member not in never]
    for batch in batches(busy):
        for member in batch:
            crowd.set_off(member, chance.randrange(len(NETWORKS)))
        crowd.deliver(batch)
    for member in rest[-_AWAY:]:
        crowd.move(member, None)
    refused = rest[_WORN]
    with Registry.open(crowd.registry_path) as registry:
        registry.refuse(refused.home.packed)
    return rest[_WORN + 1 : -_AWAY], refused


def batches(members: list[Member]) -> list[list[Member]]:
    """Some of them at a time."""
    return [members[at : at + _BATCH] for at in range(0, len(members), _BATCH)]


def loads(driver: Any) -> dict[str, Any]:
    """How long the page takes to be there, by the browser's own clock: medians of some loads."""
    paints, lists = [], []
    for _ in range(_LOADS):
        driver.get("about:blank")
        driver.get(_URL)
        assert until(lambda: driver.execute_script(_LISTED), _READY_S, 0.05)
        assert until(lambda: driver.execute_script(_FIRST_PAINT), _READY_S, 0.05)
        paints.append(driver.execute_script(_FIRST_PAINT))
        lists.append(driver.execute_script(_LISTED))
    return {
        "first_paint_ms": round(statistics.median(paints)),
        "listed_ms": round(statistics.median(lists)),
    }


def keep_up(
    driver: Any, server: int, crowd: Crowd, busy: list[Member], seconds: float
) -> dict[str, Any]:
    """All move, as fast as they can; what the page makes of it."""
    network = 0

    def go_on() -> int:
        nonlocal network
        network += 1
        done = 0
        for batch in batches(busy):
            for member in batch:
                crowd.set_off(member, (member.number + network) % len(NETWORKS))
            before = sum(map(used, batch))
            crowd.deliver(batch)
            done += sum(map(used, batch)) - before
            if time.monotonic() > deadline:
                break
        return done

    screenshots.wait(driver)
    deadline = time.monotonic() + seconds
    return measure(driver, server, go_on, seconds)


def used(member: Member) -> int:
    """Updates that it sent."""
    return member.bindings.bindings[0].sequence + 1


def flood(
    driver: Any, server: int, crowd: Crowd, busy: list[Member], seconds: float
) -> dict[str, Any]:
    """More than so many nodes send on this machine, as the daemon's recorder would write it."""
    correspondent = IPv6Address(CORRESPONDENT_ADDRESS).packed
    begun, done = time.monotonic(), 0
    with closing(Writer(place(str(crowd.registry_path)), correspondent)) as writer:

        def go_on() -> int:
            nonlocal done
            due = int((time.monotonic() - begun) * _FLOOD_PER_S) - done
            now = time.time_ns() // 1_000_000
            events, nodes = [], []
            for number in range(done, done + due):
                member = busy[number % len(busy)]
                places = [
                    member.care_of(which % len(NETWORKS)).packed for which in (number, number + 1)
                ]
                home, ends = member.home.packed, now + 600_000
                rest = (1, 0, 600, None, None, None, "native", None)
                events.append((now, kinds.MOVED, home, *places, *rest))
                numbers = (None, None, now, ends, 1, 1, "native", None)
                nodes.append((home, "bound", places[0], *numbers))
            writer.add(events, nodes)
            done += due
            time.sleep(0.1)
            return due

        return measure(driver, server, go_on, seconds)


def measure(driver: Any, server: int, go_on: Callable[[], int], seconds: float) -> dict[str, Any]:
    """Whether the page counts each update that `go_on` makes, time and again; and what that costs:
    of a processor in the browser's main thread, and in the page's `server`, a process."""
    driver.execute_cdp_cmd("Performance.enable", {"timeDomain": "threadTicks"})
    driver.execute_script(_WATCH)
    counted = "return Number(document.documentElement.dataset.updates)"
    before, sent = driver.execute_script(counted), 0
    spent, served = browser_seconds(driver), cpu_seconds(server)
    started = time.monotonic()
    while time.monotonic() < started + seconds:
        sent += go_on()
    took = time.monotonic() - started
    until(lambda: driver.execute_script(counted) - before >= sent, 30.0, 0.05)
    whole = time.monotonic() - started
    draws = driver.execute_script("return draws")
    parts = browser_seconds(driver)
    return {
        "updates_per_s": round(sent / took),
        "missed": sent - (driver.execute_script(counted) - before),
        "behind_ms": round(1000 * (whole - took)),
        "draws_per_s": round(len(draws) / whole, 1),
        "draw_ms": round(statistics.median(draws), 1),
        "draw_max_ms": round(max(draws), 1),
        "browser_percent": {
            name.lower(): round(100 * (parts[name] - spent[name]) / whole, 1) for name in _PARTS
        },
        "server_percent": round(100 * (cpu_seconds(server) - served) / whole, 1),
    }


def browser_seconds(driver: Any) -> dict[str, float]:
    """What the browser's main thread has worked so far, by `_PARTS`."""
    metrics = driver.execute_cdp_cmd("Performance.getMetrics", {})["metrics"]
    found = {one["name"]: one["value"] for one in metrics}
    return {name: found[f"{name}Duration"] for name in _PARTS}


def cpu_seconds(process: int) -> float:
    """Of processor time that a process has used."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def look(driver: Any, crowd: Crowd, folder: Path | None) -> dict[str, Any]:
    """Sizes and axe-core's findings, in all views; pictures, if they are wanted."""
    heights: dict[str, int] = {}
    found: list[str] = []
    for size in (30, 31, 78):  # some that are no good
        crowd.send_raw(crowd.members[5], bytes((135, 9)) + bytes(size))
    script = "return Number(document.querySelector('[data-state=quiet] span').textContent)"
    until(lambda: driver.execute_script(script) > _QUIET, _READY_S, 0.5)

    def seen(view: str) -> None:
        for name, size in _SIZES.items():
            for scheme in ("light", "dark"):
                browser.show(driver, *size, dark=scheme == "dark")
                time.sleep(0.6)
                if view == "list":
                    heights[f"{name}_height_px"] = driver.execute_script(_HEIGHT)
                if folder is not None:
                    folder.mkdir(parents=True, exist_ok=True)
                    browser.save(driver, folder / f"{view}-{name}-{scheme}.png")
                found.extend(
                    f"{view} {name} {scheme}: {one}" for one in browser.violations(driver)
                )

    seen("list")
    browser.show(driver, *_SIZES["desktop"])
    driver.execute_script("document.querySelector('#nodes .who').click()")
    time.sleep(1)
    seen("node")
    driver.execute_script("document.getElementById('node-close').click()")
    crowd.stop()
    assert until(lambda: driver.execute_script(_STALE), _READY_S, 0.05)
    seen("stale")
    crowd.start()
    return {
        "height_px": heights["desktop_height_px"],
        "phone_height_px": heights["phone_height_px"],
        "violations": found,
    }


def silences(driver: Any, crowd: Crowd, page: subprocess.Popen[str]) -> dict[str, int]:
    """How soon all is grey, in ms, after what it stands on has gone or hangs."""
    turns = {
        "daemon_gone": (crowd.stop, crowd.start),
        "daemon_hangs": (crowd.hang, lambda: crowd.hang(False)),
        "page_hangs": (
            lambda: page.send_signal(signal.SIGSTOP), lambda: page.send_signal(signal.SIGCONT),
        ),
    }  # fmt: skip
    took = {}
    for name, (end, go_on) in turns.items():
        assert until(lambda: not driver.execute_script(_STALE), _READY_S, 0.05)
        end()
        started = time.monotonic()
        assert until(lambda: driver.execute_script(_STALE), _READY_S, 0.05)
        took[name] = round(1000 * (time.monotonic() - started))
        go_on()
    return took


if __name__ == "__main__":
    sys.exit(main())
