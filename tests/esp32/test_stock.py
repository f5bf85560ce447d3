"""Upstream's own ESP32-C3 firmware: the agent as files, inside UDP over IPv4, behind a NAT."""

import time
from pathlib import Path
from typing import Any

import pytest
from support.nat import REACHED_BY_NAME, behind_nat
from support.trial import Trial

from roamkey.lab.conditions import Conditions
from roamkey.lab.network import Network

from .station import Station

LEASES = ("192.168.1.100", "192.168.2.100")


@pytest.mark.lab
@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_stock_firmware_registers_behind_a_nat_moves_and_resumes(tmp_path: Path) -> None:
    behind = Conditions("ipv4")
    with Network(networks={"visited1": behind, "visited2": behind}) as network:
        station = Station(network, "ESP32_STOCK_FIRMWARE", tmp_path / "flash.bin")

        def install() -> dict[str, Any]:
            installed = station.install()
            assert installed["boot"] == "removed" and installed["frozen"] is None
            return installed

        with Trial(network, station, tmp_path) as trial:
            networks = {"visited1": 0, "visited2": 1}
            trial.make_ready(1, networks, install, *REACHED_BY_NAME)
            first = behind_nat(trial, LEASES[0])

            # Another router, another NAT.
            readings = trial.program().readings()
            since = time.time()
            station.lose("visited1")
            second = trial.registered(since, way="udp4")
            assert second.sequence > first.sequence and second.care_of_address == LEASES[1]
            assert trial.bound_to == LEASES[1]
            assert next(readings)
            used = trial.numbers()

            station.board.power_cut()
            since = time.time()
            station.power_on()
            third = trial.registered(since, way="udp4")
            assert third.sequence > max(used) and third.care_of_address == LEASES[0]

            node = station.roamkey("status")["node"]
            assert not node["native"]
            assert node["bindings"][0]["way"] == "udp4" and node["care_of_address"] == LEASES[0]
            print(node)
            assert node["faults"] == {}
            examined = station.roamkey("doctor")
            print(examined)
            assert examined["fit"]
            assert trial.numbers()
