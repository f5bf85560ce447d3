"""The main job on real firmware, emulated: provision, register, move, lose power, seal.

The same for each kind of board; what a kind does first, and what it shows beside, is its own.
"""

import itertools
import json
import select
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from roamkey.lab.demo.correspondent import Correspondent
from roamkey.lab.network import CORRESPONDENT_ADDRESS, Network
from roamkey.lab.wire import Signal, Wire

HOME_ADDRESS = "2001:db8:a::1:77"
_NETWORKS = {"visited2": 1, "visited1": 0}  # name to priority
_PORT = 7000
_SETTINGS = '{"every": 4, "port": 7000, "waiting": 4}'
_HAMMER_S = 30.0  # on the wall
_WAIT_S = 400.0  # on the wall: bringing emulated Wi-Fi up takes a minute on a busy machine


def _registered(wire: Wire, care_of: str, since: float) -> Signal:
    """The update from a care-of address whose acknowledgement accepts it."""
    answer = wire.wait_for(
        lambda s: s.is_acceptance and s.care_of_address == care_of, since, _WAIT_S
    )
    return next(s for s in wire.seen if s.is_update and s.sequence == answer.sequence)


def _readings(station: socket.socket) -> Iterator[dict[str, Any]]:
    """What the sensor sends, as an unmodified program at the correspondent receives it."""
    while True:
        data, (address, port, *_) = station.recvfrom(2048)
        assert (address, port) == (HOME_ADDRESS, _PORT)
        yield json.loads(data)


def _drain(station: socket.socket) -> None:
    """Throw away what has come."""
    while select.select([station], [], [], 0)[0]:
        station.recv(2048)


def tell(
    network: Network, station: Any, folder: Path, prepare: Callable[[], dict[str, Any]]
) -> dict[str, Any]:
    """Have it happen to a station; its last status. `prepare`: has the agent on the board, which
    has power and the sensor; what the command said."""
    visited_1, visited_2 = (f"2001:db8:{n}:0:{station.interface_id}" for n in (1, 2))
    capture = folder / "wire.pcap"
    registry_file = folder / "registry.sqlite"
    registry = ("--registry", str(registry_file))
    network.start_capture(capture)
    board = station.board
    correspondent = Correspondent(network, registry_file, folder / "correspondent.log")
    with board, Wire(capture) as wire:
        # An application as one puts it on a board by hand; the agent by its own command.
        station.power_on()
        station.put_sensor(folder, _SETTINGS)
        prepared = prepare()
        held = station.roamkey(
            *("provision", "--home-address", HOME_ADDRESS),
            *("--correspondent", CORRESPONDENT_ADDRESS, *registry),
        )
        assert held["home_address"] == HOME_ADDRESS and held["board"] == prepared["board"]
        correspondent.start()
        wanted = {station.ssids[name]: priority for name, priority in _NETWORKS.items()}
        for name, priority in wanted.items():
            known = station.roamkey("networks", "set", name, "--open", "--priority", str(priority))
        assert {one["ssid"]: one["priority"] for one in known} == wanted
        board.power_cut()

        # The better of the two networks in reach is joined.
        since = time.time()
        station.power_on()
        first = _registered(wire, visited_1, since)
        assert first.home_address == HOME_ADDRESS
        assert next(s.sequence for s in wire.seen if s.is_update) == 0
        assert correspondent.bound_to(HOME_ADDRESS) == visited_1

        # Readings come from the home address; what is sent there sets their interval (seconds).
        program = network.namespace("correspondent").socket(socket.AF_INET6, socket.SOCK_DGRAM)
        program.bind((CORRESPONDENT_ADDRESS, _PORT))
        program.settimeout(_WAIT_S)
        readings = _readings(program)
        early = [next(readings), next(readings)]
        assert early[1]["t"] - early[0]["t"] >= 3
        program.sendto(b'{"every": 1}', (HOME_ADDRESS, _PORT))
        assert any(
            b["t"] - a["t"] <= 2 for a, b in itertools.pairwise(itertools.islice(readings, 8))
        )

        # Out of its reach the other one is joined: another prefix, another router.
        since = time.time()
        station.lose("visited1")
        second = _registered(wire, visited_2, since)
        assert second.sequence > first.sequence
        assert correspondent.bound_to(HOME_ADDRESS) == visited_2
        _drain(program)
        assert next(readings)["n"] > early[1]["n"]
        used = {s.sequence for s in wire.seen if s.is_update}

        board.power_cut()
        since = time.time()
        station.power_on()
        station.lose("visited1")
        third = _registered(wire, visited_2, since)
        assert third.sequence > max(used)

        # The same Wi-Fi network leads elsewhere now, as in a walk between its access points.
        since = time.time()
        station.plug("visited2", "visited1")
        fourth = _registered(wire, visited_1, since)
        assert fourth.sequence > third.sequence
        assert correspondent.bound_to(HOME_ADDRESS) == visited_1

        status = station.roamkey("status")
        assert status["identity"]["set_id"] == held["set_id"]
        assert status["node"]["bindings"][0]["state"] == "bound"
        assert status["node"]["care_of_address"] == visited_1

        # Sealed, it gives no REPL, neither at work nor while it starts; and it roams on.
        sealed = station.roamkey("seal", *registry)
        assert station.mpremote("exec", "print(1)").returncode != 0
        station.hammer(_HAMMER_S)
        board.power_cut()
        since = time.time()
        station.power_on()
        station.hammer(_HAMMER_S)
        assert station.roamkey("status")["identity"]["sealed"] == sealed["seal_id"]
        fifth = _registered(wire, visited_1, since)
        assert fifth.sequence > fourth.sequence
        assert board.running and station.is_at_work
        assert station.roamkey("unseal", *registry)["seal_id"] is None
        opened = station.mpremote("exec", "print(6 * 7)")
        assert opened.stdout.strip() == "42", opened.stdout + opened.stderr

        sent = [s.sequence for s in wire.seen if s.is_update]
        assert len(sent) == len(set(sent))
        return status
