"""Power cut from ESP32-C3 firmware that has the agent, at random moments: it comes back by itself.

EmulatedEsp32.power_cut leaves in the flash file what was in flash at that instant.
"""

import itertools
import random
import time
from pathlib import Path

import pytest
from support.cuts import kept_open, through_cuts
from support.trial import HOME_ADDRESS, Trial
from support.under_keys import UnderKeys

from mip6 import addresses
from roamkey.enroll import deliver
from roamkey.enroll.plan import Plan
from roamkey.lab.lans import CORRESPONDENT_ADDRESS
from roamkey.lab.network import Network
from roamkey.registry import Registry

from .station import Station

VISITED = {f"visited{n}": f"2001:db8:{n}:0:{Station.interface_id}" for n in (1, 2)}
PLAN = Plan(
    addresses.parse(HOME_ADDRESS), (addresses.parse(CORRESPONDENT_ADDRESS),), generations=2
)
_CUTS = 12
_AWAY_S = 12.0
_EACH_S = 2.5


@pytest.mark.lab
@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("rekey", [False, True])
def test_while_its_keys_change(lab_network: Network, tmp_path: Path, rekey: bool) -> None:
    station = Station(lab_network, "ESP32_FIRMWARE", tmp_path / "flash.bin")
    signers = UnderKeys()
    with (
        Trial(lab_network, station, tmp_path) as trial,
        Registry.open(trial.registry_file) as registry,
    ):
        trial.make_ready(1, {"visited1": 0}, station.find_agent)

        port = station.board.repl

        def change(connect: deliver.Connect) -> str:
            try:
                if rekey:
                    return deliver.rekey(registry, port, 2, connect=connect, ask_again_s=0).set_id
                return deliver.provision(
                    registry, port, PLAN, replace=True, connect=connect, ask_again_s=0
                ).set_id
            finally:
                signers.learn(registry)

        def comes_back(since: float) -> None:
            trial.registered(since, care_of=VISITED["visited1"])
            signers.numbers(trial.wire.seen)

        signers.learn(registry)
        since = time.time()
        station.power_on()
        comes_back(since)
        outcomes = through_cuts(station, port, registry, change, _CUTS, kept_open, comes_back)
        print(dict(outcomes))
        assert outcomes.total() == _CUTS
        assert len(signers.numbers(trial.wire.seen)) > _CUTS
        status = station.roamkey("status")
        assert status["keystore"]["status"] == "ready" and status["node"]["faults"] == {}


def move_about(station: Station, seconds: float) -> None:
    """Carry it to and fro between its networks, from the first, for so long."""
    end = time.monotonic() + seconds
    for here, there in itertools.cycle(itertools.permutations(VISITED)):
        left = end - time.monotonic()
        if left <= 0:
            return
        station.regain(there)
        station.lose(here)
        time.sleep(min(left, _EACH_S))


@pytest.mark.lab
@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_while_it_starts_and_moves(lab_network: Network, tmp_path: Path) -> None:
    station = Station(lab_network, "ESP32_FIRMWARE", tmp_path / "flash.bin")
    dice = random.Random(6275)
    with Trial(lab_network, station, tmp_path) as trial:
        held = trial.make_ready(1, {"visited2": 1, "visited1": 0}, station.find_agent)
        starts = 0

        def start() -> float:
            """Has it registered; the seconds that it took."""
            nonlocal starts
            starts += 1
            before, since = trial.numbers(), time.time()
            station.power_on()
            found = trial.registered(since, care_of=VISITED["visited1"])
            assert found.sequence > max(before, default=-1)
            return time.time() - since

        took = start()
        for number in range(_CUTS):
            if number % 2:
                move_about(station, dice.uniform(0, _AWAY_S))
            else:
                station.power_cut()
                station.power_on()
                starts += 1
                time.sleep(dice.uniform(0, took + 1))
            station.power_cut()
            start()

        sent = trial.numbers()
        lost = max(sent) + 1 - len(sent)
        print(f"{len(sent)} updates, {lost} numbers lost in {starts} starts of {took:.1f} s")
        assert lost <= starts + len(sent) // 2
        status = station.roamkey("status")
        assert status["identity"]["set_id"] == held["set_id"]
        assert status["keystore"]["status"] == "ready" and status["node"]["faults"] == {}
