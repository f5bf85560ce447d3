"""An emulated ESP32-C3 in reach of two Wi-Fi networks, which lead to the laboratory's."""

from pathlib import Path
from typing import ClassVar

from roamkey.lab.esp32 import EmulatedEsp32
from roamkey.lab.esp32.board import NETWORKS
from roamkey.lab.network import Network
from support import in_reach


class InReach(in_reach.InReach):
    """Its networks are named by the emulator."""

    board: EmulatedEsp32
    ssids: ClassVar[dict[str, str]] = dict(zip(in_reach.TAPS, NETWORKS, strict=False))

    def __init__(self, network: Network, firmware: Path, emulator: Path, image: Path) -> None:
        super().__init__(network)
        taps = list(in_reach.TAPS.values())
        self.board = EmulatedEsp32(
            firmware, emulator=emulator, image=image, taps=taps, spawn=self.switch.popen
        )
