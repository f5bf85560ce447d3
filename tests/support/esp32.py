"""An emulated ESP32-C3 in reach of two Wi-Fi networks, which lead to the laboratory's."""

from pathlib import Path
from typing import ClassVar

from roamkey.lab.esp32 import EmulatedEsp32
from roamkey.lab.esp32.board import NETWORKS
from roamkey.lab.namespaces import Namespace
from roamkey.lab.network import Network
from support import in_reach

#: By network of the laboratory: what the emulator calls the Wi-Fi that leads there.
SSIDS = dict(zip(in_reach.TAPS, NETWORKS, strict=False))


class InReach(in_reach.InReach):
    """Its networks are named by the emulator."""

    board: EmulatedEsp32
    ssids: ClassVar[dict[str, str]] = SSIDS

    def __init__(self, network: Network, firmware: Path, emulator: Path, image: Path) -> None:
        super().__init__(network)
        self.board = made(self.switch, firmware, emulator, image)


def made(switch: Namespace, firmware: Path, emulator: Path, image: Path) -> EmulatedEsp32:
    """A board without power yet, whose TAP devices come to be in that namespace."""
    taps = list(in_reach.TAPS.values())
    return EmulatedEsp32(firmware, emulator=emulator, image=image, taps=taps, spawn=switch.popen)
