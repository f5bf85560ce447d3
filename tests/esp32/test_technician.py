"""What a technician does at a bench with ESP32-C3 firmware that has the agent."""

import time
from pathlib import Path
from typing import Any

import pytest
import secrets_search
from support import copies
from support.trial import HOME_ADDRESS, Trial

from mip6 import __version__
from roamkey.lab.lans import CORRESPONDENT_ADDRESS
from roamkey.lab.network import Network
from roamkey.registry import Registry

from .station import Bench, Station

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

ADDRESSES = ("--home-address", HOME_ADDRESS, "--correspondent", CORRESPONDENT_ADDRESS)
VISITED_1 = f"2001:db8:1:0:{Station.interface_id}"
_PASSWORD = "correct horse battery"
_FILES_AT = 2 << 20  # in flash: what stands before is the firmware
_PORTS_BOOT = b"#webrepl.start()"
_HAS_BOOT = "import os; print('boot.py' in os.listdir('/'))"
#: A program that resets within five seconds of its start, again and again, is held in the end, and
#: the log is in flash ten seconds after an event, when nothing else is to be done.
_RESETS = """
import asyncio, machine
from mip6 import datagrams

async def main(node):
    socket = datagrams.bind(node, 7000)
    await asyncio.sleep(13)
    await socket.recv()
    machine.reset()
"""
_POWER_ON, _BY_PROGRAM = "1", "2"  # machine.reset_cause()


def files(bench: Bench) -> bytes:
    """What is in flash behind the firmware, as it was when power was cut just now."""
    bench.board.power_cut()
    return bench.board.image.read_bytes()[_FILES_AT:]


def test_doctor_finds_a_new_board_fit(tmp_path: Path) -> None:
    with Bench(tmp_path / "flash.bin") as bench:
        examined = bench.roamkey("doctor")
        found = {check["name"]: check for check in examined["checks"]}
        assert examined["fit"]
        assert found["IPv6"]["found"] == found["raw sockets"]["found"] == "there"
        assert found["agent"]["found"] == __version__
        assert bench.roamkey("status")["identity"]["agent"] == __version__  # it runs again


def test_a_board_is_sealed_straight_after_its_first_start(tmp_path: Path) -> None:
    registry = ("--registry", str(tmp_path / "registry.sqlite"))
    with Bench(tmp_path / "flash.bin") as bench:
        bench.roamkey("provision", *ADDRESSES, *registry)
        assert _PORTS_BOOT in files(bench)
        bench.board.power_on()
        sealed = bench.roamkey("seal", *registry)
        assert bench.mpremote("exec", "print(1)").returncode != 0
        bench.board.power_cut()
        bench.board.power_on()
        assert bench.roamkey("status")["identity"]["sealed"] == sealed["seal_id"]
        bench.hammer(5.0)
        assert bench.roamkey("unseal", *registry)["seal_id"] is None
        assert bench.printed(_HAS_BOOT) == "False"


def test_nothing_is_left_in_flash_by_an_erasure(tmp_path: Path) -> None:
    registry_file, password = tmp_path / "registry.sqlite", tmp_path / "password"
    registry = ("--registry", str(registry_file))
    password.write_text(_PASSWORD)
    password.chmod(0o600)
    kcns: set[bytes] = set()
    with Bench(tmp_path / "flash.bin") as bench:

        def give(*command: str) -> None:
            given = bench.roamkey(*command, *registry)
            with Registry.open(registry_file) as opened:
                kcns.update(opened.kcns_of_set(bytes.fromhex(given["set_id"])))

        give("provision", *ADDRESSES)
        give("provision", *ADDRESSES, "--generations", "3", "--replace")
        give("rekey", "--generations", "2")
        bench.roamkey("networks", "set", "depot", "--password-file", str(password))
        held = files(bench)
        assert secrets_search.found_in(held, kcns) >= 2  # the search works here
        assert _PASSWORD.encode() in held

        bench.board.power_on()
        started = time.monotonic()
        erased = bench.roamkey("erase", "--yes", *registry)
        took = time.monotonic() - started
        assert erased["home_addresses"] == [HOME_ADDRESS]
        bench.board.power_cut()
        whole = bench.board.image.read_bytes()
        print(f"{len(kcns)} Kcn; erased in {took:.0f} s")
        assert secrets_search.found_in(whole, kcns) == 0
        assert _PASSWORD.encode() not in whole

        bench.board.power_on()
        assert bench.roamkey("status")["keystore"]["status"] == "empty"
        assert bench.roamkey("networks", "list") == []


def test_copies_come_and_go(tmp_path: Path) -> None:
    with Bench(tmp_path / "flash.bin") as bench:
        copies.come_and_go(bench)


@pytest.mark.lab
def test_a_reset_costs_no_number_and_the_log_tells_of_it(
    lab_network: Network, tmp_path: Path
) -> None:
    """A program resets the chip at once: RTC memory knows the next number; without power, flash
    knows one that is high enough."""
    station = Station(lab_network, "ESP32_FIRMWARE", tmp_path / "flash.bin")
    program = tmp_path / "app.py"
    program.write_text(_RESETS)

    def install() -> dict[str, Any]:
        station.find_agent()
        done: dict[str, Any] = station.roamkey("install", "--app", str(program))
        assert done["form"] == "frozen" and done["sent"] == 0
        return done

    with Trial(lab_network, station, tmp_path) as trial:
        trial.make_ready(1, {"visited1": 0}, install)
        teller, since = trial.program(), time.time()
        station.power_on()
        found = [trial.registered(since, care_of=VISITED_1).sequence]
        for _ in range(3):
            since = time.time()
            teller.send("reset")
            found.append(trial.registered(since, care_of=VISITED_1).sequence)
        sent = trial.numbers()
        assert sent == list(range(len(sent))), "a reset cost a number"
        station.power_cut()
        since = time.time()
        station.power_on()
        found.append(trial.registered(since, care_of=VISITED_1).sequence)
        assert found == sorted(set(found))
        assert station.roamkey("status")["node"]["faults"] == {}

        # Each start is in the log, with its cause and its number; the one that was cut short
        # maybe: a log is written a while after what it tells of.
        events = station.events()
        causes = [one["detail"][1] for one in events if one["kind"] == "boot"]
        told = [int(one["detail"][-1]) for one in events if one["kind"] == "update"]
        assert told in (found, [*found[:3], found[-1]])
        resets = causes[::-1].index(_POWER_ON, 1) - 1
        assert resets in (2, 3)
        assert causes[-resets - 2 :] == [_POWER_ON, *resets * [_BY_PROGRAM], _POWER_ON]
        boots = [one["boot"] for one in events]
        assert boots == sorted(boots) and boots[-1] - boots[0] + 1 == len(set(boots))
