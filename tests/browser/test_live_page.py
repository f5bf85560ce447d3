"""The live page in a real browser, over a real daemon and nodes with the agent's own core."""

import importlib.util
import subprocess
import sys
import time
from pathlib import Path

import pytest
from json_output import checked

from roamkey import waiting
from roamkey.correspondent.events import kinds
from roamkey.lab import browser
from roamkey.registry import Registry

_FILE = Path(__file__).parents[2] / "bench" / "screenshots.py"
_SPEC = importlib.util.spec_from_file_location("screenshots", _FILE)
screenshots = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(screenshots)

NODES = 100
TABLE = """return [...document.querySelectorAll('#nodes tbody tr')].map(
  (row) => [...row.children].map((cell) => cell.innerText.trim()))"""


def until(condition, timeout=30.0):
    """Seconds until it held."""
    start = time.monotonic()
    assert waiting.until(condition, timeout), "it never came to pass"
    return time.monotonic() - start


def text(driver, ident):
    return driver.execute_script("return document.getElementById(arguments[0]).textContent", ident)


@pytest.mark.lab
def test_a_hundred_nodes(tmp_path):
    from roamkey.lab.crowd import NETWORKS, Crowd, Member

    boards = [f"board-{number}" for number in range(1, NODES + 1)]
    with Crowd(tmp_path, boards) as crowd:
        members = crowd.members
        page = screenshots.start_page(crowd)
        with crowd.correspondent.entered(), browser.chromium() as driver:
            browser.show(driver, 1280, 800)
            driver.get("http://[::1]:8080/")
            screenshots.wait(driver)
            # the daemon tells of them in its own time; the page needs no reload
            until(lambda: text(driver, "total-nodes") == str(NODES))
            until(lambda: len(driver.execute_script(TABLE)) == NODES)

            # they all join, and move, and move
            for network in range(3):
                for member in members:
                    crowd.move(member, (member.number + network) % 3)
            until(lambda: text(driver, "total-updates") == str(updates(members)))
            data = driver.execute_script("return {...document.documentElement.dataset}")
            # counted one by one: none lost, none twice
            assert data["updates"] == str(updates(members))
            assert text(driver, "total-moves") == str(2 * NODES)
            rows = {row[0].split("\n")[0]: row for row in driver.execute_script(TABLE)}
            for member in members:
                row = rows[member.board]
                assert row[1] == "bound" and row[6] == f"{65536 - updates([member]):,}"
                assert row[2] == NETWORKS[(member.number + 2) % 3] + "/64"
                assert row[3] == str(member.care_of((member.number + 2) % 3))
                assert row[4] == "native"
            recorded = events(crowd, "--limit", "10000")
            told = [event for event in recorded if event["kind"] in kinds.UPDATES]
            assert len(told) == updates(members) and int(data["last"]) == told[-1]["id"]
            moved = [event for event in told if event["kind"] != kinds.REFRESHED]
            assert len(moved) == 3 * NODES

            # a move appears within a second, in the row and in the node's timeline
            first = members[0]
            screenshots.choose(driver, first)
            assert text(driver, "timeline-heading") == first.board
            seen = []
            for network in range(3):  # the machine may be busy, but not each time
                place = NETWORKS[(first.number + network) % 3] + "/64"
                before = moves_to(driver, place)
                crowd.move(first, (first.number + network) % 3)
                seen.append(until(lambda p=place, n=before: moves_to(driver, p) > n))
                assert driver.execute_script(TABLE)[0][2] == place
            assert min(seen) < 1.0, seen
            print(f"a move appeared after {min(seen):.2f} s")

            # the daemon goes and comes back; so does the page
            crowd.stop()
            until(lambda: "No correspondent daemon runs" in text(driver, "warning"))
            page.terminate()
            page.wait()
            until(lambda: text(driver, "link") != "live")
            assert all(  # what a browser says of a server that went
                "ERR_CONNECTION_REFUSED" in line or "ERR_INCOMPLETE_CHUNKED" in line
                for line in browser.console(driver)
            )
            crowd.start()
            crowd.move(members[1], members[1].number % 3)  # while nobody looks
            page = screenshots.start_page(crowd)
            until(lambda: text(driver, "link") == "live")
            until(lambda: text(driver, "total-updates") == str(updates(members)))
            driver.execute_script("document.getElementById('all').click()")
            until(lambda: f"{members[1].board} moved" in text(driver, "events"))
            browser.console(driver)

            look_closely(driver)

            # provisioned meanwhile: a row of its own, though nothing happened
            with Registry.open(crowd.registry_path) as registry:
                Member(0x101 + NODES, "latecomer", registry)
            driver.find_element("id", "find").send_keys("\ue003" * len("board-77"))  # Backspace
            until(lambda: len(driver.execute_script(TABLE)) >= NODES)
            until(lambda: text(driver, "total-nodes") == str(NODES + 1))
            until(lambda: len(driver.execute_script(TABLE)) == NODES + 1)
            assert "latecomer" in driver.find_element("id", "nodes").text
        page.terminate()
        page.wait()


def updates(members):
    """How many they sent: a slow answer has an update repeated, under its next number."""
    return sum(member.bindings.bindings[0].sequence + 1 for member in members)


def moves_to(driver, place):
    """How often the timeline says so."""
    return text(driver, "events").count(f"moved to {place}")


def look_closely(driver):
    """Widths, schemes, keyboard, search; nothing may be complained about."""
    for width in (360, 390, 820, 1280):
        for dark in (False, True):
            browser.show(driver, width, 800, dark)
            wide = driver.execute_script("return document.documentElement.scrollWidth")
            assert wide <= width, f"{wide} px wide on a screen of {width}"
    find = driver.find_element("id", "find")
    find.send_keys("board-77")
    until(lambda: len(driver.execute_script(TABLE)) == 1)
    find.send_keys("\t")  # to the table, whose rows are buttons
    focused = driver.switch_to.active_element
    assert focused.get_attribute("class") == "who"
    focused.send_keys("\n")
    until(lambda: text(driver, "timeline-heading") == "board-77")
    assert driver.execute_script("return document.activeElement.id") in ("", "timeline-heading")
    driver.switch_to.active_element.send_keys("\ue00c")  # Escape
    until(lambda: text(driver, "timeline-heading") == "All nodes")
    unnamed = """return [...document.querySelectorAll('button, input')].filter(
      (e) => !e.hidden && !(e.innerText || e.getAttribute('aria-label'))).length"""
    assert driver.execute_script(unnamed) == 0
    assert browser.console(driver) == []


def events(crowd, *arguments):
    command = [sys.executable, "-m", "roamkey", "correspondent", "events", "--json"]
    command += ["--registry", str(crowd.registry_path), *arguments]
    done = subprocess.run(command, capture_output=True, check=True, text=True)
    return checked("correspondent-events", done.stdout)
