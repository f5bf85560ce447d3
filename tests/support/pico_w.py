"""An emulated Pico W in reach of two Wi-Fi networks, which lead to the laboratory's."""

from pathlib import Path

from roamkey.lab.network import Network
from roamkey.lab.pico_w import EmulatedPicoW
from support import in_reach

TAPS = in_reach.TAPS


class InReach(in_reach.InReach):
    """Its networks are named as the laboratory's they belong to."""

    board: EmulatedPicoW

    def __init__(self, network: Network, uf2: Path, image: Path) -> None:
        super().__init__(network)
        spawn = self.switch.popen
        self.board = EmulatedPicoW(uf2, image=image, networks=TAPS, spawn=spawn)
