"""What a move costs on an ESP32-C3, by its own clock: `make handover-esp32`; see `board_handover`.

Real firmware and Espressif's own Wi-Fi driver in an emulator (docs/LIMITS.md): scans and joins
take the time that the driver takes for them, a radio's air time isn't modelled. The access points
are open, on different channels, and say when they go; the driver takes some nine seconds to
notice one that doesn't.
"""

import argparse
import os
import sys
import time
from pathlib import Path
from typing import Any

import board_handover
from results import OUT
from support import esp32  # bench/scripts.py finds it

from roamkey.lab import sandbox
from roamkey.lab.network import Network

_OUT = OUT / "esp32_handover.json"


class Rig(board_handover.Rig):
    """An ESP32-C3 with the agent in its firmware."""

    ssids = esp32.SSIDS

    def __init__(
        self, firmware: Path, emulator: Path, network: Network, folder: Path, reach: list[str]
    ) -> None:
        super().__init__(network, folder, reach)
        self.board = esp32.made(self.switch, firmware, emulator, folder / "flash.bin")

    def now_ms(self) -> float:
        """On the wall: the emulator doesn't tell the board's."""
        return time.time() * 1000

    def provision(self) -> None:
        """As a board's; then its networks."""
        super().provision()
        for ssid in self.ssids.values():
            self.roamkey("networks", "set", ssid, "--open")

    def events(self) -> list[dict[str, Any]]:
        """As a board's, in time by the updates, which are seen on the wire."""
        found = super().events()
        sent = {one.sequence: one.time for one in reversed(self.wire.seen) if one.is_update}
        ahead = [
            (event["ms"], sent[number] * 1000 - event["ms"])
            for event in found
            if event["kind"] == "update" and (number := sequence_of(event)) in sent
        ]
        for event in found:
            event["at"] += min(ahead, key=lambda known: abs(known[0] - event["ms"]))[1]
        return found


def sequence_of(event: dict[str, Any]) -> int:
    """The number of the update that an event tells of."""
    return int(event["detail"][-1])


def main() -> int:
    """Measure, print a table, write JSON; 1 where a goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--firmware", type=Path, default=os.environ.get("ESP32_FIRMWARE"))
    parser.add_argument("--emulator", type=Path, default=os.environ.get("ESP32_QEMU"))
    parser.add_argument("--moves", type=int, default=10)
    arguments = parser.parse_args()
    if not arguments.firmware or not arguments.emulator:
        print("esp32_handover: needs firmware and an emulator: ESP32_FIRMWARE, ESP32_QEMU")
        return 2
    sandbox.ensure()
    given = Path(arguments.firmware), Path(arguments.emulator)
    found = board_handover.measure_all(lambda *of: Rig(*given, *of), arguments.moves)
    return board_handover.report("ESP32-C3", _OUT, found)


if __name__ == "__main__":
    sys.exit(main())
