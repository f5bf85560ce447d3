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
ROWS = 25  # on a page of the list


def until(condition, timeout=30.0):
    """Seconds until it held."""
    start = time.monotonic()
    assert waiting.until(condition, timeout), "it never came to pass"
    return time.monotonic() - start


def text(driver, ident):
    return driver.execute_script("return document.getElementById(arguments[0]).textContent", ident)


def click(driver, ident):
    driver.execute_script("document.getElementById(arguments[0]).click()", ident)


def table(driver):
    """The rows of all pages of the list: [[text of each cell]]."""
    time.sleep(0.4)
    rows = driver.execute_script(TABLE)
    while not driver.execute_script("return document.getElementById('page-on').disabled"):
        click(driver, "page-on")
        rows += driver.execute_script(TABLE)
    while not driver.execute_script("return document.getElementById('page-back').disabled"):
        click(driver, "page-back")
    return rows


def state(driver, name):
    """How many nodes the list says are in a state."""
    script = "return document.querySelector(`[data-state=${arguments[0]}] span`).textContent"
    return driver.execute_script(script, name)


def is_stale(driver):
    return driver.execute_script("return document.documentElement.hasAttribute('data-stale')")


@pytest.mark.slow
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
            until(lambda: state(driver, "never") == str(NODES))
            assert len(driver.execute_script(TABLE)) == ROWS and len(table(driver)) == NODES

            # they all join, and move, and move
            for network in range(3):
                for member in members:
                    crowd.move(member, (member.number + network) % 3)
            until(lambda: text(driver, "total-updates") == str(updates(members)))
            data = driver.execute_script("return {...document.documentElement.dataset}")
            # counted one by one: none lost, none twice
            assert data["updates"] == str(updates(members))
            assert text(driver, "total-moves") == str(2 * NODES)
            rows = {row[0].split("\n")[0]: row for row in table(driver)}
            for member in members:
                row = rows[member.board]
                assert row[1] == "bound" and row[5] == f"{65536 - updates([member]):,}"
                assert row[2] == NETWORKS[(member.number + 2) % 3] + "/64"
                assert row[3] == "native"
            recorded = events(crowd, "--limit", "10000")
            told = [event for event in recorded if event["kind"] in kinds.UPDATES]
            assert len(told) == updates(members) and int(data["last"]) == told[-1]["id"]
            moved = [event for event in told if event["kind"] != kinds.REFRESHED]
            assert len(moved) == 3 * NODES

            # a move appears within a second, in the row and in the node's timeline
            first = members[0]
            screenshots.choose(driver, first)
            assert text(driver, "node-heading") == first.board
            assert str(first.care_of((first.number + 2) % 3)) in text(driver, "node-facts")
            seen = []
            for network in range(3):  # the machine may be busy, but not each time
                place = NETWORKS[(first.number + network) % 3] + "/64"
                before = moves_to(driver, place)
                crowd.move(first, (first.number + network) % 3)
                seen.append(until(lambda p=place, n=before: moves_to(driver, p) > n))
                assert driver.execute_script(TABLE)[0][2] == place
            assert min(seen) < 1.0, seen
            print(f"a move appeared after {min(seen):.2f} s")

            # the daemon goes and comes back; so does the page: what is shown then is grey
            assert not is_stale(driver)
            crowd.stop()
            until(lambda: "No daemon serves" in text(driver, "warning"))
            until(lambda: is_stale(driver))
            assert text(driver, "link").startswith("as of ")
            row = driver.execute_script(TABLE)[0]
            assert row[1] == "was bound" and colour_of_state(driver) == GREY
            assert " ago" in text(driver, "warning-age")
            page.terminate()
            page.wait()
            until(lambda: "The page's server doesn't answer" in text(driver, "warning"))
            assert text(driver, "link") == "reconnecting …"
            assert all(  # what a browser says of a server that went
                "ERR_CONNECTION_REFUSED" in line or "ERR_INCOMPLETE_CHUNKED" in line
                for line in browser.console(driver)
            )
            crowd.start()
            crowd.move(members[1], members[1].number % 3)  # while nobody looks
            page = screenshots.start_page(crowd)
            until(lambda: text(driver, "link") == "live")
            assert not is_stale(driver) and colour_of_state(driver) != GREY
            until(lambda: text(driver, "total-updates") == str(updates(members)))
            click(driver, "node-close")
            until(lambda: f"{members[1].board} moved" in text(driver, "events"))
            browser.console(driver)

            look_closely(driver)

            # provisioned meanwhile: a row of its own, though nothing happened
            with Registry.open(crowd.registry_path) as registry:
                Member(0x101 + NODES, "latecomer", registry)
            driver.find_element("id", "find").send_keys("\ue003" * len("board-77"))  # Backspace
            until(lambda: state(driver, "all") == str(NODES + 1))
            assert text(driver, "total-nodes") == str(NODES + 1)
            assert "latecomer" in driver.find_element("id", "nodes").text
        page.terminate()
        page.wait()


def updates(members):
    """How many they sent: a slow answer has an update repeated, under its next number."""
    return sum(member.bindings.bindings[0].sequence + 1 for member in members)


def moves_to(driver, place):
    """How often the open timeline says so."""
    return text(driver, "node-events").count(f"moved to {place}")


GREY = "rgba(0, 0, 0, 0)"  # an empty circle


def colour_of_state(driver):
    """What the first row's state is filled with."""
    return driver.execute_script(
        "return getComputedStyle(document.querySelector('#nodes .state'), '::before')"
        ".backgroundColor"
    )


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
    assert "find=board-77" in driver.current_url  # to be sent to others, and for the next time
    driver.find_element("css selector", "#nodes .who").send_keys("\n")
    until(lambda: text(driver, "node-heading") == "board-77")
    assert driver.execute_script("return document.activeElement.id") == "node-heading"
    driver.switch_to.active_element.send_keys("\ue00c")  # Escape
    until(lambda: not driver.execute_script("return document.getElementById('node').open"))
    assert driver.switch_to.active_element.get_attribute("class") == "who"
    unnamed = """return [...document.querySelectorAll('button, input, select')].filter(
      (e) => !e.hidden && !(e.textContent || e.getAttribute('aria-label'))).length"""
    assert driver.execute_script(unnamed) == 0
    assert browser.console(driver) == []


@pytest.mark.slow
@pytest.mark.lab
def test_those_in_need_come_first(tmp_path):
    """Quiet, refused, nearly without numbers, never seen; the rest by name, a page at a time."""
    from roamkey.lab.crowd import Crowd

    boards = [f"board-{number}" for number in range(1, 41)]
    with Crowd(tmp_path, boards, {"board-30": 4, "board-9": 4}) as crowd:
        worn, refused, never = crowd.members[11], crowd.members[16], crowd.members[-1]
        worn.wear(65000)
        for member in crowd.members[:-1]:
            crowd.move(member, member.number % 3)
        with Registry.open(crowd.registry_path) as registry:
            registry.refuse(refused.home.packed)
        page = screenshots.start_page(crowd)
        with crowd.correspondent.entered(), browser.chromium() as driver:
            browser.show(driver, 1280, 800)
            driver.get("http://[::1]:8080/")
            until(lambda: state(driver, "quiet") == "3")
            crowd.set_off(refused, (refused.number + 1) % 3)
            with pytest.raises(TimeoutError):  # it is answered that it may not
                crowd.deliver([refused], 1)
            until(lambda: "refused by the administrator" in text(driver, "nodes"))
            until(lambda: text(driver, "total-problems") == "4")
            rows = table(driver)
            assert [row[0].split("\n")[0] for row in rows[:8]] == [
                "board-9", refused.board, "board-30", worn.board, never.board,
                "board-1", "board-2", "board-3",
            ]  # fmt: skip
            assert rows[0][1] == "quiet\nno update in time"
            assert rows[3][1] == "bound\nkey nearly used up"
            assert rows[4][1] == "never seen" and text(driver, "total-problems") == "4"

            # what is open to everybody puts no node that is bound among them
            forged = bytearray(64)
            forged[0:2] = bytes((135, 7))
            crowd.send_raw(crowd.members[0], bytes(forged))
            until(lambda: text(driver, "total-dropped") not in ("–", "0", "1"))
            assert text(driver, "total-problems") == "4"

            # a name is shown as soon as it is given, beside the address
            with Registry.open(crowd.registry_path) as registry:
                registry.rename(crowd.members[1].home.packed, "a-ferry")
            until(lambda: f"a-ferry\n{crowd.members[1].home}" in str(table(driver)[5][0]))

            # filters: by state, way, and what a problem is called
            driver.find_element("css selector", "[data-state=problems]").click()
            until(lambda: len(driver.execute_script(TABLE)) == 4)
            driver.find_element("id", "find").send_keys("administrator")
            until(lambda: len(driver.execute_script(TABLE)) == 1)
            driver.get("http://[::1]:8080/#way=udp4")  # nobody
            driver.refresh()
            until(lambda: text(driver, "nodes-note") == "No node is like that.")
            driver.get("http://[::1]:8080/#")
            driver.refresh()
            until(lambda: len(driver.execute_script(TABLE)) == ROWS)
            height = driver.execute_script("return document.documentElement.scrollHeight")
            assert height < 2500

            keyboard(driver)
            accessible(driver, crowd)
        page.terminate()
        page.wait()


def keyboard(driver):
    """All that a mouse does, without one: events can be scrolled, nodes be walked through."""
    active = driver.switch_to
    events = driver.find_element("css selector", "#everything .scroll")
    assert events.get_attribute("tabindex") == "0"
    driver.execute_script("arguments[0].focus()", events)
    active.active_element.send_keys("\ue015" * 3)  # down
    until(lambda: driver.execute_script("return arguments[0].scrollTop > 0", events))
    first = driver.find_element("css selector", "#nodes .who")
    driver.execute_script("arguments[0].focus()", first)
    active.active_element.send_keys("\ue015")
    assert active.active_element.text.startswith(driver.execute_script(TABLE)[1][0].split()[0])
    active.active_element.send_keys("\n")
    until(lambda: driver.execute_script("return document.activeElement.id") == "node-heading")
    time.sleep(0.6)  # drawn anew, and nothing has taken the focus
    assert driver.execute_script("return document.activeElement.id") == "node-heading"
    browser.show(driver, 360, 740)  # now it covers all, and the rest can't be reached
    assert driver.execute_script("return document.getElementById('node').matches(':modal')")
    driver.back()  # as a phone closes it
    until(lambda: not driver.execute_script("return document.getElementById('node').open"))


def accessible(driver, crowd):
    """axe-core finds nothing, in any view."""
    found = []

    def look(view, *more):
        for width, dark in ((1280, False), (360, True), *more):
            browser.show(driver, width, 800, dark)
            time.sleep(0.3)
            found.extend((view, width, dark, one) for one in browser.violations(driver))

    look("list", (1280, True), (360, False))
    browser.show(driver, 1280, 800)
    driver.find_element("css selector", "#nodes .who").click()
    until(lambda: driver.execute_script("return document.getElementById('node').open"))
    look("node")
    click(driver, "node-close")
    crowd.hang()  # as grey as if it had gone
    until(lambda: is_stale(driver))
    assert text(driver, "warning-text").startswith("The daemon of 2001:db8:c::2")
    look("stale")
    crowd.hang(False)
    until(lambda: not is_stale(driver))
    assert found == []
    # and it does look: a colour that nobody can read is found
    browser.show(driver, 1280, 800)
    driver.execute_script("document.querySelector('h1').style.color = '#ccc'")
    assert "color-contrast" in str(browser.violations(driver))


def events(crowd, *arguments):
    command = [sys.executable, "-m", "roamkey", "correspondent", "events", "--json"]
    command += ["--registry", str(crowd.registry_path), *arguments]
    done = subprocess.run(command, capture_output=True, check=True, text=True)
    return checked("correspondent-events", done.stdout)
