"""Real Pico W firmware where there is IPv4 alone, behind a NAT: register, send, move to IPv6."""

import os
import time
from pathlib import Path

import pytest
from support.nat import REACHED_BY_NAME, passes_both_ways, registered_behind_nat
from support.trial import Trial

from roamkey.lab.conditions import Conditions
from roamkey.lab.network import Network

from .station import INTERFACE_ID, Station

LEASE = "192.168.1.100"
VISITED_2 = f"2001:db8:2:0:{INTERFACE_ID}"


@pytest.mark.lab
@pytest.mark.slow
@pytest.mark.timeout(2400)
def test_a_pico_w_behind_a_nat_registers_sends_and_moves(tmp_path: Path) -> None:
    with Network(networks={"visited1": Conditions("ipv4")}) as network:
        station = Station(network, Path(os.environ["PICO_W_UF2"]), tmp_path / "fs.bin")
        with Trial(network, station, tmp_path) as trial:
            networks = {"visited1": 0, "visited2": 1}
            trial.make_ready(1, networks, station.install, *REACHED_BY_NAME)

            since = time.time()
            station.power_on()
            first = registered_behind_nat(trial, since, LEASE)
            passes_both_ways(trial.program(), 5)

            since = time.time()
            station.lose("visited1")
            second = trial.registered(since, way="native")
            assert second.sequence > first.sequence and second.care_of_address == VISITED_2
            status = station.roamkey("status")
            assert status["node"]["care_of_address"] == VISITED_2
            assert trial.numbers()
