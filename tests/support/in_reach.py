"""An emulated board in reach of two Wi-Fi networks, which lead to the laboratory's."""

from typing import Any, ClassVar

from roamkey.lab.network import Network

#: By network of the laboratory: the TAP device on the wired side of the Wi-Fi that leads there.
TAPS = {"visited1": "tap1", "visited2": "tap2"}


class InReach:
    """`board`: of a kind, which makes it; `ssids`: what the Wi-Fi networks are called."""

    board: Any
    ssids: ClassVar[dict[str, str]] = {name: name for name in TAPS}

    def __init__(self, network: Network) -> None:
        self.switch = network.namespace("switch")

    def power_on(self) -> None:
        """Boot, and plug the wired sides in."""
        self.board.power_on()
        for name in TAPS:
            self.plug(name, name)

    def power_cut(self) -> None:
        """Unplug the board."""
        self.board.power_cut()

    def plug(self, name: str, network: str) -> None:
        """Lead the wired side of a Wi-Fi network to a network of the laboratory."""
        tap = TAPS[name]
        self.switch.set_ipv6(tap, disable_ipv6=1)
        self.switch.set_bridge(tap, f"br-{network}")
        self.switch.set_up(tap)

    def lose(self, name: str) -> None:
        """Carry the board out of a network's reach."""
        self.board.lose_network(self.ssids[name])

    def regain(self, name: str) -> None:
        """Carry it back."""
        self.board.regain_network(self.ssids[name])
