"""The node on real interfaces and raw sockets, against a script.

Under MicroPython it is what `roamkey install` puts on a board, under CPython its sources.
"""

import hashlib
import time
from pathlib import Path

import pytest
from support.agents import TIMEOUT_S, Lab, bound_at

from roamkey.board.built import image_for
from roamkey.lab.interpreter import micropython

pytestmark = pytest.mark.lab


def test_the_node_under_micropython_is_what_a_board_gets(lab: Lab, tmp_path: Path) -> None:
    lab.network.add_node("board")
    node = lab.node(micropython())
    assert node.status()["state"] == "detached"
    found = {
        str(path.relative_to(tmp_path)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in tmp_path.rglob("*.*")
    }
    beside = {"agent_node.py", "peer.py", "sensor.py"}
    assert {path: found[path] for path in found if path not in beside} == (
        image_for("linux", 0x306).sums
    )
    node.say("stop")
    assert node.process.wait(30) == 0


def test_registers_moves_and_says_goodbye(lab: Lab, interpreter: str) -> None:
    cn = lab.correspondent()
    lab.network.attach("board", "eth0", "visited1", dad=False)
    node = lab.node(interpreter)
    assert bound_at(cn, "2001:db8:1:")["sequence"] == 0
    node.event("state", "bound")
    for number, network in enumerate(("visited2", "visited1", "visited2"), 1):
        lab.network.move("board", "eth0", network, dad=False)
        prefix = {"visited1": "2001:db8:1:", "visited2": "2001:db8:2:"}[network]
        assert bound_at(cn, prefix)["sequence"] == number
        node.event("state", "bound")
    status = node.status()
    assert status["state"] == "away"
    assert status["bindings"][0]["state"] == "bound"
    assert status["unsent"] == 0
    node.say("stop")
    assert cn.wait(lambda line: "sequence" in line)["lifetime"] == 0
    assert node.wait(lambda line: "status" in line)["status"]["bindings"][0]["state"] == "closed"
    assert node.process.wait(30) == 0


def test_waits_for_duplicate_address_detection(lab: Lab, interpreter: str) -> None:
    cn = lab.correspondent()
    lab.network.attach("board", "eth0", "visited1", dad=True)
    node = lab.node(interpreter)
    assert bound_at(cn, "2001:db8:1:")["sequence"] == 0
    node.event("state", "bound")
    assert node.status()["unsent"] == 0


def test_another_network_at_the_same_plug(lab: Lab, interpreter: str) -> None:
    """The kernel keeps the old address; what is advertised after the carrier's return counts."""
    cn = lab.correspondent()
    lab.network.attach("board", "eth0", "visited1", dad=False)
    node = lab.node(interpreter)
    bound_at(cn, "2001:db8:1:")
    for network, prefix in (
        ("visited2", "2001:db8:2:"),
        ("visited1", "2001:db8:1:"),
        ("visited2", "2001:db8:2:"),
    ):
        lab.replug("eth0", network)
        bound_at(cn, prefix)
        node.wait(lambda line: line.get("event", [""])[0] == "attached")
    node.say("stop")
    node.process.wait(30)


def test_uplinks_by_priority(lab: Lab, interpreter: str) -> None:
    cn = lab.correspondent()
    lab.network.attach("board", "wlan0", "visited2", dad=False)
    node = lab.node(interpreter, ["eth0", "wlan0"])
    bound_at(cn, "2001:db8:2:")
    lab.network.attach("board", "eth0", "visited1", dad=False)  # the better one: at once
    bound_at(cn, "2001:db8:1:")
    node.event("state", "bound")
    lab.network.detach("board", "eth0")  # gone: the other one without waiting
    lost = time.monotonic()
    bound_at(cn, "2001:db8:2:")
    assert time.monotonic() - lost < 10  # far less than an update is given up after
    lab.network.attach("board", "eth0", "visited1", dad=False)
    bound_at(cn, "2001:db8:1:")
    node.say("stop")
    node.process.wait(30)


def test_returns_home(lab: Lab, interpreter: str) -> None:
    home = "2001:db8:a::ff:fe00:1"  # what autoconfiguration makes of the board's MAC at home
    cn = lab.correspondent(home)
    lab.network.attach("board", "eth0", "visited1", dad=False)
    node = lab.node(interpreter, home=home)
    bound_at(cn, "2001:db8:1:")
    lab.network.move("board", "eth0", "home", dad=False)
    assert bound_at(cn, home)["lifetime"] == 0
    node.event("state", "home")
    assert node.status()["state"] == "home"
    lab.network.move("board", "eth0", "visited2", dad=False)
    assert bound_at(cn, "2001:db8:2:")["lifetime"] == 100
    node.event("state", "bound")


@pytest.mark.slow
def test_an_uplink_that_flaps_ten_times_a_second(lab: Lab, interpreter: str) -> None:
    cn = lab.correspondent()
    lab.network.attach("board", "wlan0", "visited2", dad=False)
    lab.network.attach("board", "eth0", "visited1", dad=False)
    node = lab.node(interpreter, ["eth0", "wlan0"])
    bound_at(cn, "2001:db8:1:")
    node.event("state", "bound")
    end = time.monotonic() + 4.0
    flaps = 0
    while time.monotonic() < end:
        lab.network.detach("board", "eth0")
        time.sleep(0.05)
        lab.network.attach("board", "eth0", "visited1", dad=False)
        time.sleep(0.05)
        flaps += 1
    assert flaps > 10
    status = node.status()
    assert status["bindings"][0]["sequence"] <= 3 * 6  # the rate limit, at worst
    lab.network.detach("board", "eth0")
    deadline = time.monotonic() + TIMEOUT_S
    while status["bindings"][0]["state"] != "bound" or len(status["uplinks"]) > 1:
        assert time.monotonic() < deadline, status
        time.sleep(0.1)
        status = node.status()
    assert status["care_of_address"].startswith("2001:db8:2:")


def test_a_sensor_that_roams(lab: Lab, interpreter: str) -> None:
    """Readings arrive in order from every network; pings and answers reach the home address."""
    cn = lab.correspondent()
    lab.network.attach("board", "eth0", "visited1", dad=False)
    node = lab.node(interpreter, sensor=True)
    last = -1
    for _ in range(3):
        for network, prefix in (("visited2", "2001:db8:2:"), ("visited1", "2001:db8:1:")):
            lab.network.move("board", "eth0", network, dad=False)
            for _ in range(3):
                found = cn.wait(
                    lambda line, prefix=prefix: (
                        "data" in line  # type: ignore[misc]
                        and line["care_of"].startswith(prefix)
                    )
                )
                assert found["data"]["n"] > last
                last = found["data"]["n"]
            cn.wait(lambda line: "pong" in line)
    status = node.status()
    numbers = [line["data"]["n"] for line in cn.seen if "data" in line]
    assert numbers == sorted(set(numbers))
    missing = last + 1 - len(numbers)
    assert missing <= 6 + status["unsent"]  # one underway at a move, or refused by the interface
    assert set(status["drops"]) <= {"expected parameter problem", "old sequence"}
