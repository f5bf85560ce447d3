"""Firmware where the check of lwIP's layout fails, and no resolver answers: UDP all the same."""

import json
import os
import socket
import time
from pathlib import Path

import pytest

from roamkey import build
from roamkey.firmware import board_files
from roamkey.lab.conditions import Conditions
from roamkey.lab.demo.correspondent import Correspondent
from roamkey.lab.lans import CORRESPONDENT_ADDRESS, CORRESPONDENT_NAME
from roamkey.lab.network import Network
from roamkey.lab.virtual_board.flash import RP2, FlashImage
from roamkey.lab.wire import Wire

from .station import Station

HOME_ADDRESS = "2001:db8:a::1:78"
LEASE = "192.168.1.100"
_PORT = 7000
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
    capture, registry_file = tmp_path / "wire.pcap", tmp_path / "registry.sqlite"
    kinds = {"visited1": Conditions("ipv4", resolver="silent")}
    with Network(networks=kinds) as network:
        network.start_capture(capture)
        station = Station(network, Path(os.environ["PICO_W_UF2"]), tmp_path / "fs.bin")
        board = station.board
        correspondent = Correspondent(network, registry_file, tmp_path / "correspondent.log")
        with board, Wire(capture) as wire:
            station.power_on()
            station.put_sensor(tmp_path, '{"every": 1, "port": 7000, "waiting": 4}')
            with station.resetting():
                station.roamkey("install")
            station.roamkey(
                *("provision", "--home-address", HOME_ADDRESS),
                *("--correspondent", CORRESPONDENT_ADDRESS, "--reach", CORRESPONDENT_NAME),
                *("--registry", str(registry_file)),
            )
            correspondent.start()
            station.roamkey("networks", "set", "visited1", "--open")
            board.power_cut()
            flash = FlashImage(tmp_path / "fs.bin", RP2)
            assert flash.read_file("/agent/a/mip6/native.mpy") != native.read_bytes()
            flash.write_files({"/agent/a/mip6/native.mpy": native.read_bytes()})
            program = network.namespace("correspondent").socket(socket.AF_INET6, socket.SOCK_DGRAM)
            program.bind((CORRESPONDENT_ADDRESS, _PORT))
            program.settimeout(_WAIT_S)

            # Nobody answers for names: lwIP's own call takes longer than the watchdog waits.
            since = time.time()
            station.power_on()
            asked, end = network.questions(), time.monotonic() + _WAIT_S
            while network.questions() < asked + 6 or board.seconds() < 45:
                assert time.monotonic() < end and board.running
                time.sleep(0.2)
            assert not [signal for signal in wire.seen if signal.is_update]
            network.set_resolver("visited1", "answers")
            accepted = wire.wait_for(lambda s: s.is_acceptance, since, _WAIT_S)
            assert accepted.way == "udp4"
            assert correspondent.bound_to(HOME_ADDRESS) == LEASE
            data, (address, *_) = program.recvfrom(2048)
            assert address == HOME_ADDRESS and "n" in json.loads(data)

            node = station.roamkey("status")["node"]
            assert not node["native"] and "no raw IPv6 known" in node["native_text"]
            assert node["bindings"][0]["way"] == "udp4" and node["faults"]["name"] >= 1
