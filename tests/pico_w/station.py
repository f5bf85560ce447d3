"""An emulated Pico W in the laboratory network, and mpremote as on hardware."""

import subprocess
import sys
from pathlib import Path

from roamkey.bytecode import compile_board_files
from roamkey.lab.network import Network
from roamkey.lab.pico_w import EmulatedPicoW

#: The board's MAC is the emulator's, so its addresses are known (RFC 4862).
INTERFACE_ID = "210:18ff:fe00:2"
_TAPS = {"visited1": "tap1", "visited2": "tap2"}
_MPREMOTE_S = 600.0  # seconds on the wall; emulated ones are a fraction of them


class Station:
    """A Pico W with two Wi-Fi networks in reach, named as the laboratory's they belong to."""

    def __init__(self, network: Network, uf2: Path, image: Path) -> None:
        self._switch = network.namespace("switch")
        self.board = EmulatedPicoW(uf2, image=image, networks=_TAPS, spawn=self._switch.popen)

    def power_on(self) -> None:
        """Boot, and plug the wired sides in (the first time makes them)."""
        self.board.power_on()
        for name in _TAPS:
            self.plug(name, name)

    def plug(self, ssid: str, network: str) -> None:
        """Lead the wired side of a Wi-Fi network to a network of the laboratory."""
        tap = _TAPS[ssid]
        self._switch.set_ipv6(tap, disable_ipv6=1)
        self._switch.set_bridge(tap, f"br-{network}")
        self._switch.set_up(tap)

    def mpremote(self, *arguments: str) -> str:
        """Run it on the board without a soft reset; its output. A failure is an AssertionError."""
        command = [sys.executable, "-m", "mpremote", "connect", self.board.repl, "resume"]
        done = subprocess.run(
            [*command, *arguments],
            capture_output=True,
            text=True,
            check=False,
            timeout=_MPREMOTE_S,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def install(self, folder: Path, extra: dict[str, Path]) -> None:
        """Compile the agent and copy it, with `extra` files, as one does on hardware."""
        files = {**compile_board_files(folder, "rp2"), **extra}
        parents = {str(parent) for there in files for parent in Path(there).parents}
        folders = sorted(parents - {"/"}, key=len)
        self.mpremote("exec", f"import os\nfor f in {folders}: os.mkdir(f)")
        copies: list[str] = []
        for there, here in files.items():
            copies += [*(["+"] if copies else []), "fs", "cp", str(here), f":{there}"]
        self.mpremote(*copies)
