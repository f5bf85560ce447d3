"""An emulated ESP32-C3 in the laboratory network, and the commands that a technician gives."""

import os
from pathlib import Path

from support.esp32 import InReach
from support.technician import Technician

from roamkey.lab.network import Network


class Station(InReach, Technician):
    """An ESP32-C3 with two Wi-Fi networks in reach; `firmware`: the variable that names it."""

    #: The board's MAC is the emulator's, so its addresses are known (RFC 4862).
    interface_id = "c60a:24ff:fefe:1001"
    is_at_work = True  # what resets the chip is inside the emulator: the serial line tells

    def __init__(self, network: Network, firmware: str, image: Path) -> None:
        emulator = Path(os.environ["ESP32_QEMU"])
        super().__init__(network, Path(os.environ[firmware]), emulator, image)
