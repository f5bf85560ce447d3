"""Firmware where the check of lwIP's layout fails, and no resolver answers: UDP all the same."""

import os
import time
from pathlib import Path

import pytest
from support.nat import REACHED_BY_NAME
from support.trial import Trial

from roamkey import build
from roamkey.firmware import board_files
from roamkey.lab.conditions import Conditions
from roamkey.lab.network import Network
from roamkey.lab.virtual_board.flash import RP2, FlashImage

from .station import Station

HOME_ADDRESS = "2001:db8:a::1:78"
LEASE = "192.168.1.100"
_WAIT_S = 600.0  # on the wall
_LOWER = "/lib/mip6/native/lwip.py"


def _native_for_another_layout(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The agent's unit of raw IPv6, compiled, with a socket's domain looked for elsewhere."""
    source = board_files()[_LOWER].read_text()
    other = folder / "lwip.py"
    other.write_text(source.replace("_OBJECT_DOMAIN = const(54)", "_OBJECT_DOMAIN = const(50)"))
    assert other.read_text() != source
    monkeypatch.setattr(build, "board_files", lambda: {**board_files(), _LOWER: other})
    return build.compile_board_files(folder / "mpy", "rp2")["/lib/mip6/native.mpy"]


@pytest.mark.lab
@pytest.mark.slow
@pytest.mark.timeout(2400)
def test_without_raw_sockets_and_names_at_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    native = _native_for_another_layout(tmp_path, monkeypatch)
    with Network(networks={"visited1": Conditions("ipv4", resolver="silent")}) as network:
        station = Station(network, Path(os.environ["PICO_W_UF2"]), tmp_path / "fs.bin")
        board = station.board
        with Trial(network, station, tmp_path, HOME_ADDRESS, _WAIT_S) as trial:
            trial.make_ready(1, {"visited1": 0}, station.install, *REACHED_BY_NAME)
            flash = FlashImage(tmp_path / "fs.bin", RP2)
            assert flash.read_file("/agent/a/mip6/native.mpy") != native.read_bytes()
            flash.write_files({"/agent/a/mip6/native.mpy": native.read_bytes()})
            readings = trial.program().readings()

            # Nobody answers for names: lwIP's own call takes longer than the watchdog waits.
            since = time.time()
            station.power_on()
            asked, end = network.questions(), time.monotonic() + _WAIT_S
            while network.questions() < asked + 6 or board.seconds() < 45:
                assert time.monotonic() < end and board.running
                time.sleep(0.2)
            assert not trial.numbers()
            network.set_resolver("visited1", "answers")
            assert trial.registered(since).way == "udp4"
            assert trial.bound_to == LEASE
            assert "n" in next(readings)

            node = station.roamkey("status")["node"]
            assert not node["native"] and "no raw IPv6 known" in node["native_text"]
            assert node["bindings"][0]["way"] == "udp4" and node["faults"]["name"] >= 1
