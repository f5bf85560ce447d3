"""Real Pico W firmware where there is IPv4 alone, behind a NAT: register, send, move to IPv6."""

import itertools
import json
import os
import socket
import time
from pathlib import Path

import pytest

from roamkey.lab.conditions import Conditions
from roamkey.lab.demo.correspondent import Correspondent
from roamkey.lab.lans import CORRESPONDENT_ADDRESS, CORRESPONDENT_NAME, ROUTER_OUTSIDE_IPV4
from roamkey.lab.network import Network
from roamkey.lab.wire import Signal, Wire

from .station import INTERFACE_ID, Station

HOME_ADDRESS = "2001:db8:a::1:77"
LEASE = "192.168.1.100"
VISITED_2 = f"2001:db8:2:0:{INTERFACE_ID}"
_PORT = 7000
_WAIT_S = 400.0  # on the wall


def _accepted(wire: Wire, way: str, since: float) -> Signal:
    """The update whose acknowledgement accepts it, both by this way."""
    answer = wire.wait_for(lambda s: s.is_acceptance and s.way == way, since, _WAIT_S)
    return next(s for s in wire.seen if s.is_update and s.sequence == answer.sequence)


@pytest.mark.lab
@pytest.mark.slow
@pytest.mark.timeout(2400)
def test_a_pico_w_behind_a_nat_registers_sends_and_moves(tmp_path: Path) -> None:
    capture, registry_file = tmp_path / "wire.pcap", tmp_path / "registry.sqlite"
    with Network(networks={"visited1": Conditions("ipv4")}) as network:
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
            for name, priority in (("visited1", 0), ("visited2", 1)):
                station.roamkey("networks", "set", name, "--open", "--priority", str(priority))
            board.power_cut()
            program = network.namespace("correspondent").socket(socket.AF_INET6, socket.SOCK_DGRAM)
            program.bind((CORRESPONDENT_ADDRESS, _PORT))
            program.settimeout(_WAIT_S)

            since = time.time()
            station.power_on()
            first = _accepted(wire, "udp4", since)
            assert (first.care_of_address, first.near) == (LEASE, ROUTER_OUTSIDE_IPV4)
            assert first.home_address == HOME_ADDRESS
            assert correspondent.bound_to(HOME_ADDRESS) == LEASE
            data, (address, port, *_) = program.recvfrom(2048)
            assert (address, port) == (HOME_ADDRESS, _PORT) and "n" in json.loads(data)
            program.sendto(b'{"every": 5}', (HOME_ADDRESS, _PORT))
            taken = (json.loads(program.recv(2048))["t"] for _ in range(12))
            assert any(b - a >= 4 for a, b in itertools.pairwise(taken)), "it heard us"

            since = time.time()
            board.lose_network("visited1")
            second = _accepted(wire, "native", since)
            assert second.sequence > first.sequence and second.care_of_address == VISITED_2
            status = station.roamkey("status")
            assert status["node"]["care_of_address"] == VISITED_2
            sent = [s.sequence for s in wire.seen if s.is_update]
            assert len(sent) == len(set(sent))
