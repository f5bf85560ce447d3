"""The example sensor as /app.py of a virtual board: its readings across moves and a power cut."""

import hashlib
import json
import time
from pathlib import Path

import pytest

from mip6 import packets
from roamkey.board.built import image_for
from roamkey.lab.board import VirtualBoard
from roamkey.lab.network import Network
from roamkey.lab.scene import Scene
from roamkey.lab.wire import records

pytestmark = [pytest.mark.lab, pytest.mark.timeout(120)]

EXAMPLE = Path(__file__).parents[2] / "firmware" / "examples" / "sensor.py"
PORT = 5005
SETTINGS = b'{"every": 0.1}'
ETHERNET_OCTETS = 14


def readings(capture: Path) -> list[tuple[str, dict[str, int]]]:
    """(care-of prefix, reading) of every right datagram that the capture holds."""
    found = []
    with capture.open("rb") as file:
        for _, frame in records(file):  # whole ones: the last may be just being written
            if frame[12:14] != b"\x86\xdd":
                continue
            packet = packets.parse(frame[ETHERNET_OCTETS:])
            if packet.protocol != packets.UDP:
                continue
            assert packet.checksum_ok()
            if int.from_bytes(packet.payload[2:4], "big") == PORT:
                found.append((packet.source[:6].hex(), json.loads(bytes(packet.payload[8:]))))
    return found


def agent_on(board: VirtualBoard) -> dict[str, str]:
    """The SHA-256 of each file of the agent in a board's flash: there is one copy."""
    return {
        path.removeprefix("/agent/a/"): hashlib.sha256(board.read_file(path)).hexdigest()
        for path in board.list_files()
        if path.startswith(("/agent/a/", "/agent/b/", "/lib/"))
    }


def wait_for(scene: Scene, prefix: str, more_than: int) -> list[tuple[str, dict[str, int]]]:
    """The readings, once so many came from a network."""
    end = time.monotonic() + 20
    while True:
        found = readings(scene.capture)
        if sum(place == prefix for place, _ in found) > more_than:
            return found
        assert time.monotonic() < end, scene.status()
        time.sleep(0.1)


def restarted(numbers: list[int]) -> list[int]:
    """The numbers from the first one on that is lower than the one before it."""
    for at in range(1, len(numbers)):
        if numbers[at] < numbers[at - 1]:
            return numbers[at:]
    return []


def test_readings_from_wherever_the_board_is(tmp_path: Path) -> None:
    files = {"/app.py": EXAMPLE, "/sensor.json": SETTINGS}
    with Network() as network, Scene(tmp_path, network, files) as scene:
        scene.move("visited1")
        wait_for(scene, "20010db80001", 3)
        scene.move("visited2")
        wait_for(scene, "20010db80002", 3)
        scene.move("visited1")
        found = wait_for(scene, "20010db80001", 8)
        numbers = [reading["n"] for _, reading in found]
        assert numbers == sorted(set(numbers))
        assert scene.status()["node"]["application"] == "running"
        scene.board.power_cut()
        assert scene.board.read_file("/app.py") == EXAMPLE.read_bytes()
        assert agent_on(scene.board) == image_for("linux", 0x306).sums
        scene.board.start()
        before = len(found) - 1
        # What came until the cut doesn't count: numbers begin anew.
        fresh: list[int] = []
        end = time.monotonic() + 60
        while len(fresh) <= 5:
            assert time.monotonic() < end, scene.status()
            time.sleep(0.1)
            fresh = restarted([reading["n"] for _, reading in readings(scene.capture)[before:]])
        assert fresh == sorted(set(fresh))
        assert readings(scene.capture)[-1][1]["n"] < numbers[-1] + 100
        assert scene.status()["node"]["bindings"][0]["state"] == "bound"
