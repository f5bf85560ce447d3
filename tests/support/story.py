"""The main job on real firmware, emulated: provision, register, move, lose power, seal.

The same for each kind of board; what a kind does first, and what it shows beside, is its own.
"""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from roamkey.lab.network import Network
from support.trial import HOME_ADDRESS, Trial

_NETWORKS = {"visited2": 1, "visited1": 0}  # name to priority
_HAMMER_S = 30.0  # on the wall


def tell(
    network: Network, station: Any, folder: Path, prepare: Callable[[], dict[str, Any]]
) -> dict[str, Any]:
    """Have it happen to a station; its last status. `prepare`: has the agent on the board, which
    has power and the sensor; what the command said."""
    visited_1, visited_2 = (f"2001:db8:{n}:0:{station.interface_id}" for n in (1, 2))
    board = station.board
    with Trial(network, station, folder) as trial:
        held = trial.make_ready(4, _NETWORKS, prepare)

        # The better of the two networks in reach is joined.
        since = time.time()
        station.power_on()
        first = trial.registered(since, care_of=visited_1)
        assert first.home_address == HOME_ADDRESS
        assert trial.numbers()[0] == 0
        assert trial.bound_to == visited_1

        # Readings come from the home address; what is sent there sets their interval (seconds).
        program = trial.program()
        readings = program.readings()
        early = [next(readings), next(readings)]
        assert early[1]["t"] - early[0]["t"] >= 3
        assert program.is_obeyed(1)

        # Out of its reach the other one is joined: another prefix, another router.
        since = time.time()
        station.lose("visited1")
        second = trial.registered(since, care_of=visited_2)
        assert second.sequence > first.sequence
        assert trial.bound_to == visited_2
        program.drain()
        assert next(readings)["n"] > early[1]["n"]
        used = trial.numbers()

        board.power_cut()
        since = time.time()
        station.power_on()
        station.lose("visited1")
        third = trial.registered(since, care_of=visited_2)
        assert third.sequence > max(used)

        # The same Wi-Fi network leads elsewhere now, as in a walk between its access points.
        since = time.time()
        station.plug("visited2", "visited1")
        fourth = trial.registered(since, care_of=visited_1)
        assert fourth.sequence > third.sequence
        assert trial.bound_to == visited_1

        status: dict[str, Any] = station.roamkey("status")
        assert status["identity"]["set_id"] == held["set_id"]
        assert status["node"]["bindings"][0]["state"] == "bound"
        assert status["node"]["care_of_address"] == visited_1

        # Sealed, it gives no REPL, neither at work nor while it starts; and it roams on.
        sealed = station.roamkey("seal", *trial.registry)
        assert station.mpremote("exec", "print(1)").returncode != 0
        station.hammer(_HAMMER_S)
        board.power_cut()
        since = time.time()
        station.power_on()
        station.hammer(_HAMMER_S)
        assert station.roamkey("status")["identity"]["sealed"] == sealed["seal_id"]
        fifth = trial.registered(since, care_of=visited_1)
        assert fifth.sequence > fourth.sequence
        assert board.running and station.is_at_work
        assert station.roamkey("unseal", *trial.registry)["seal_id"] is None
        opened = station.mpremote("exec", "print(6 * 7)")
        assert opened.stdout.strip() == "42", opened.stdout + opened.stderr
        assert trial.numbers()
        return status
