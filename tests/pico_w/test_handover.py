"""Addresses used at once, on real Pico W firmware: one that a neighbour has is given up."""

import json
import os
import time
from pathlib import Path

import pytest

from roamkey.lab.demo.correspondent import Correspondent
from roamkey.lab.network import CORRESPONDENT_ADDRESS, Network
from roamkey.lab.wire import Wire

from .station import INTERFACE_ID, Station, run

HOME_ADDRESS = "2001:db8:a::1:79"
VISITED_1 = f"2001:db8:1:0:{INTERFACE_ID}"
VISITED_2 = f"2001:db8:2:0:{INTERFACE_ID}"
_WAIT_S = 600.0  # on the wall
_QUIET_S = 20.0  # by the board's clock
_AT_ONCE_MS = 300
_GIVEN_UP_MS = 1000


def _pass(station: Station, seconds: float) -> None:
    """Time by the board's clock."""
    end, limit = station.board.seconds() + seconds, time.monotonic() + _WAIT_S
    while station.board.seconds() < end:
        assert time.monotonic() < limit and station.board.running
        time.sleep(0.2)


@pytest.mark.lab
@pytest.mark.slow
@pytest.mark.timeout(2400)
def test_an_address_is_used_at_once_and_a_duplicate_is_given_up(
    lab_network: Network, tmp_path: Path
) -> None:
    network, registry_file = lab_network, tmp_path / "registry.sqlite"
    capture = tmp_path / "wire.pcap"
    network.start_capture(capture)
    network.attach("twin", "eth0", "visited2")
    network.namespace("twin").add_address("eth0", f"{VISITED_2}/64")
    station = Station(network, Path(os.environ["PICO_W_UF2"]), tmp_path / "fs.bin")
    board = station.board
    correspondent = Correspondent(network, registry_file, tmp_path / "correspondent.log")
    with board, Wire(capture) as wire:
        station.power_on()
        with station.resetting():
            station.roamkey("install")
        station.roamkey(
            *("provision", "--home-address", HOME_ADDRESS),
            *("--correspondent", CORRESPONDENT_ADDRESS, "--registry", str(registry_file)),
        )
        correspondent.start()
        for name in ("visited1", "visited2"):
            station.roamkey("networks", "set", name, "--open")
        board.lose_network("visited2")
        wire.wait_for(lambda s: s.is_acceptance and s.care_of_address == VISITED_1, 0, _WAIT_S)

        # The neighbour defends its address: it is left, and nothing is sent from it any more.
        board.regain_network("visited2")
        board.lose_network("visited1")
        wire.wait_for(lambda s: s.is_update and s.care_of_address == VISITED_2, 0, _WAIT_S)
        _pass(station, 2)
        before = len(wire.seen)
        _pass(station, _QUIET_S)
        assert not [s for s in wire.seen[before:] if s.is_update]
        node = station.roamkey("status")["node"]
        assert node["care_of_address"] is None and node["faults"]["EADDRINUSE"] >= 1

        # Another network is as good as before.
        since = time.time()
        board.regain_network("visited1")
        board.lose_network("visited2")
        wire.wait_for(lambda s: s.is_acceptance and s.care_of_address == VISITED_1, since, _WAIT_S)

        log = tmp_path / "board.jsonl"
        pulled = run("roamkey", "log", "pull", "--out", str(log), "--port", board.repl)
        assert pulled.returncode == 0, pulled.stdout + pulled.stderr
    events = [json.loads(line) for line in log.read_text().splitlines()]
    events = [event for event in events if event["type"] == "event"]
    ups = [
        n
        for n, event in enumerate(events)
        if event["kind"] == "link" and event["detail"][-1:] == ["up"]
    ]
    for n in ups[-2:]:
        later = events[n:]
        attached = next(event["ms"] for event in later if event["kind"] == "attached")
        assert 0 <= attached - events[n]["ms"] <= _AT_ONCE_MS
    assert any(event["kind"] == "router" for event in events)
    taken = [
        event for event in events if event["kind"] == "attached" and VISITED_2 in event["detail"]
    ]
    left = [
        event for event in events if event["kind"] == "detached" and event["ms"] >= taken[0]["ms"]
    ]
    assert left[0]["ms"] - taken[0]["ms"] <= _GIVEN_UP_MS
