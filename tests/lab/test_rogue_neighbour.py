"""A neighbour that advertises what harms, on the link of a board whose sensor reports.

`make fuzz` sets CAMPAIGN=full in the environment: ten minutes of it.
"""

import itertools
import os
import time
from pathlib import Path

import pytest
from support.rogue import Rogue

from roamkey.lab.demo.readings import Readings
from roamkey.lab.network import CORRESPONDENT_ADDRESS, PREFIXES, Network
from roamkey.lab.scene import Scene

pytestmark = [pytest.mark.lab, pytest.mark.long, pytest.mark.timeout(1200)]

FULL = os.environ.get("CAMPAIGN") == "full"
SECONDS = 600.0 if FULL else 20.0
EACH_S = 10.0 if FULL else 3.0
GAP_S = 8.0  # the router says it is one each two seconds; a busy machine takes its time
NUMBERS = 60 if FULL else 20
EXAMPLE = Path(__file__).parents[2] / "firmware" / "examples" / "sensor.py"
SETTINGS = b'{"every": 0.2}'


def test_readings_go_on_beside_a_rogue_neighbour(tmp_path: Path) -> None:
    files = {"/app.py": EXAMPLE, "/sensor.json": SETTINGS}
    with (
        Network(advertisement_interval=2.0) as network,
        Readings(network.namespace("correspondent"), CORRESPONDENT_ADDRESS) as readings,
        Scene(tmp_path, network, files) as scene,
    ):
        scene.move("visited1")
        readings.wait_until(lambda one: one.number > 3, "readings", 40)
        before = scene.status()["node"]
        begin = time.time()
        with Rogue(network, "visited1", EACH_S) as rogue:
            time.sleep(SECONDS)
        end = time.time()
        readings.wait_until(lambda one: one.time > end, "a reading afterwards", 40)
        after = scene.status()["node"]
        came = [one for one in readings.seen if one.time >= begin]
    assert len(rogue.said) == 6, rogue.said
    times = [begin] + [one.time for one in came]
    gap = max(later - sooner for sooner, later in itertools.pairwise(times))
    numbers = [one.number for one in came]
    lost = numbers[-1] - numbers[0] + 1 - len(set(numbers))
    cost = after["bindings"][0]["sequence"] - before["bindings"][0]["sequence"]
    places = {one.care_of_address for one in came}
    print(
        f"{SECONDS:g} s, {sum(rogue.said.values())} advertisements: {len(came)} readings, {lost}"
        f" lost, {gap:.1f} s without one at most, {cost} sequence numbers, from {len(places)}"
        f" addresses; {after['faults']}"
    )
    good = PREFIXES["visited1"].partition("::")[0] + ":"
    assert gap < GAP_S
    assert lost < len(numbers) / 4
    assert cost <= NUMBERS
    assert came[-1].care_of_address.startswith(good)
    assert after["bindings"][0]["state"] == "bound" and not after.get("fault"), after
