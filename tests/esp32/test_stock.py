"""Upstream's own ESP32-C3 firmware: the agent as files, inside UDP over IPv4, behind a NAT."""

import time
from pathlib import Path
from typing import Any

import pytest
from support.nat import REACHED_BY_NAME, passes_both_ways, registered_behind_nat
from support.trial import Trial

from roamkey.lab.conditions import Conditions
from roamkey.lab.network import Network

from .station import Station

LEASES = ("192.168.1.100", "192.168.2.100")
_BOOT = "import os; print('boot.py' in os.listdir('/'))"


@pytest.mark.lab
@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_stock_firmware_registers_behind_a_nat_moves_and_resumes(tmp_path: Path) -> None:
    behind = Conditions("ipv4")
    with Network(networks={"visited1": behind, "visited2": behind}) as network:
        station = Station(network, "ESP32_STOCK_FIRMWARE", tmp_path / "flash.bin")

        def has_boot() -> bool:
            said = station.mpremote("exec", _BOOT).stdout.strip()
            assert said in ("True", "False")
            return said == "True"

        def install() -> dict[str, Any]:
            assert has_boot()
            installed = station.install()
            assert installed["boot"] == "removed" and installed["frozen"] is None
            assert not has_boot()
            station.power_cut()  # mpremote left it at the REPL
            station.power_on()
            return installed

        with Trial(network, station, tmp_path) as trial:
            networks = {"visited1": 0, "visited2": 1}
            held = trial.make_ready(1, networks, install, *REACHED_BY_NAME)
            program = trial.program()

            since = time.time()
            station.power_on()
            first = registered_behind_nat(trial, since, LEASES[0])
            assert trial.numbers()[0] == 0
            passes_both_ways(program, 4)

            # Another router, another NAT.
            since = time.time()
            station.lose("visited1")
            second = registered_behind_nat(trial, since, LEASES[1])
            assert second.sequence > first.sequence
            passes_both_ways(program, 1)
            used = trial.numbers()

            station.power_cut()
            since = time.time()
            station.power_on()
            third = registered_behind_nat(trial, since, LEASES[0])
            assert third.sequence > max(used)

            status = station.roamkey("status")
            node = status["node"]
            assert status["identity"]["set_id"] == held["set_id"]
            assert node["care_of_address"] == LEASES[0] and node["bindings"][0]["way"] == "udp4"
            assert not node["native"] and node["faults"] == {}

            # It is looked at, and goes on.
            since = time.time()
            examined = station.roamkey("doctor")
            found = {check["name"]: check["found"] for check in examined["checks"]}
            assert examined["fit"] and "inside UDP alone" in found["IPv6"]
            fourth = registered_behind_nat(trial, since, LEASES[0])
            assert fourth.sequence > third.sequence
            passes_both_ways(program, 4)
            assert trial.numbers()
