"""An emulated ESP32-C3 in the laboratory network, and the commands that a technician gives."""

import os
from pathlib import Path
from typing import Any

from support.esp32 import InReach
from support.technician import Technician

from roamkey.lab.esp32 import EmulatedEsp32
from roamkey.lab.network import Network


class Station(InReach, Technician):
    """An ESP32-C3 with two Wi-Fi networks in reach; `firmware`: the variable that names its."""

    #: The board's MAC is the emulator's, so its addresses are known (RFC 4862).
    interface_id = "c60a:24ff:fefe:1001"
    is_at_work = True  # what resets the chip is inside the emulator: the serial line tells

    def __init__(self, network: Network, firmware: str, image: Path) -> None:
        emulator = Path(os.environ["ESP32_QEMU"])
        super().__init__(network, Path(os.environ[firmware]), emulator, image)

    def find_agent(self) -> dict[str, Any]:
        """Start a board that mpremote left at the REPL: its firmware has the agent, which tells
        who the board is."""
        self.power_cut()
        self.power_on()
        told: dict[str, Any] = self.roamkey("status")["identity"]
        assert told["machine"] == "ESP32C3 module (roamkey) with ESP32C3"
        return told


class Bench(Technician):
    """In front of an ESP32-C3 that is in no network, and has firmware with the agent; as a context
    manager, which gives it power. `image`: its flash."""

    def __init__(self, image: Path) -> None:
        emulator = Path(os.environ["ESP32_QEMU"])
        self.board = EmulatedEsp32(
            Path(os.environ["ESP32_FIRMWARE"]), emulator=emulator, image=image
        )

    def __enter__(self) -> "Bench":
        self.board.power_on()
        return self

    def __exit__(self, *_: object) -> None:
        self.board.stop()
