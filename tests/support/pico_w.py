"""An emulated Pico W in reach of two Wi-Fi networks, which lead to the laboratory's."""

from pathlib import Path

from roamkey.lab.network import Network
from roamkey.lab.pico_w import EmulatedPicoW

TAPS = {"visited1": "tap1", "visited2": "tap2"}


class InReach:
    """`board`: the Pico W. Its networks are named as the laboratory's they belong to."""

    def __init__(self, network: Network, uf2: Path, image: Path) -> None:
        self._switch = network.namespace("switch")
        self.board = EmulatedPicoW(uf2, image=image, networks=TAPS, spawn=self._switch.popen)

    def power_on(self) -> None:
        """Boot, and plug the wired sides in (the first time makes them)."""
        self.board.power_on()
        for name in TAPS:
            self.plug(name, name)

    def plug(self, ssid: str, network: str) -> None:
        """Lead the wired side of a Wi-Fi network to a network of the laboratory."""
        tap = TAPS[ssid]
        self._switch.set_ipv6(tap, disable_ipv6=1)
        self._switch.set_bridge(tap, f"br-{network}")
        self._switch.set_up(tap)
