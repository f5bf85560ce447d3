"""What a move costs on a Pico W, by its own clock: `make handover-pico-w`; see `board_handover`.

Emulated cycles are exact and joining takes no time, so these are lower bounds of hardware's: what
a radio takes comes on top.
"""

import argparse
import json
import os
import sys
from pathlib import Path

import board_handover
from results import OUT
from support.pico_w import TAPS  # bench/scripts.py finds it

from roamkey.build import compile_board_files
from roamkey.lab import sandbox
from roamkey.lab.network import Network
from roamkey.lab.pico_w import EmulatedPicoW
from roamkey.lab.virtual_board.flash import RP2, FlashImage

_OUT = OUT / "pico_w_handover.json"


class Rig(board_handover.Rig):
    """A Pico W with stock firmware: the agent is installed."""

    early_ms = 150.0  # the emulator's clock is ahead of the board's by what its boot ROM takes

    def __init__(self, uf2: Path, network: Network, folder: Path, reach: list[str]) -> None:
        super().__init__(network, folder, reach)
        image = FlashImage(folder / "fs.bin", RP2)
        image.format()
        known = [{"ssid": name, "priority": 0} for name in TAPS]
        files: dict[str, bytes | Path] = {**compile_board_files(folder / "mpy", "rp2")}
        image.write_files({**files, "/roamkey/networks": json.dumps(known).encode()})
        spawn = self.switch.popen
        self.board = EmulatedPicoW(uf2, image=image.path, networks=TAPS, spawn=spawn)

    def now_ms(self) -> float:
        """Since power-on."""
        return self.board._seconds_now() * 1000


def main() -> int:
    """Measure, print a table, write JSON; 1 where a goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--uf2", type=Path, default=os.environ.get("PICO_W_UF2"))
    parser.add_argument("--moves", type=int, default=10)
    arguments = parser.parse_args()
    if not arguments.uf2:
        print("pico_w_handover: needs firmware: PICO_W_UF2=RPI_PICO_W.uf2 make handover-pico-w")
        return 2
    sandbox.ensure()
    uf2 = Path(arguments.uf2)
    found = board_handover.measure_all(lambda *of: Rig(uf2, *of), arguments.moves)
    return board_handover.report("Pico W", _OUT, found)


if __name__ == "__main__":
    sys.exit(main())
