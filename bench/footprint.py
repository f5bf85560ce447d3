"""How much of a Pico W the agent takes: `make size`, or `bench/footprint.py --uf2 FILE`.

The octets of each compiled file that goes on a Pico W; with firmware (`--uf2`, PICO_W_UF2), run
in the emulator, also RAM and the times that an update takes by the board's own clock. Emulated
cycles are exact; waits for flash are not emulated, so times are lower bounds of hardware's.

bu_ready_ms          an update drawn, numbered and authenticated, Kbm and its pads at hand
bu_new_address_ms    the same where neither is: the token's HMAC, Kbm and the pads first
move_and_bu_ms       that, with what the state machine does when the address comes
imported_ram_octets  after the imports of node, port and console
agent_ram_octets     with sockets open, keys read and one correspondent being registered
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from roamkey.bytecode import compile_board_files
from roamkey.errors import RoamkeyError
from roamkey.lab.pico_w import EmulatedPicoW
from roamkey.lab.virtual_board.flash import RP2, FlashImage

_HERE = Path(__file__).parent
_OUT = _HERE / "out" / "footprint.json"
_ON_BOARD_S = 900.0

GOALS = {
    "mpy_octets": 48 * 1024,
    "bu_ready_ms": 1.5,
    "bu_new_address_ms": 3.0,
    "agent_ram_octets": 60 * 1024,
}


def measure(uf2: Path, files: dict[str, Path], folder: Path) -> dict[str, Any]:
    """Boot the firmware with the agent in its flash and run on_pico_w.py on it."""
    image = FlashImage(folder / "fs.bin", RP2)
    image.format()
    image.write_files({there: here for there, here in files.items() if there != "/main.py"})
    with EmulatedPicoW(uf2, image=image.path) as board:
        command = [sys.executable, "-m", "mpremote", "connect", board.repl, "resume", "run"]
        done = subprocess.run(
            [*command, str(_HERE / "on_pico_w.py")],
            capture_output=True,
            text=True,
            check=False,
            timeout=_ON_BOARD_S,
        )
    if done.returncode:
        sys.exit(f"the board failed: {done.stdout}{done.stderr}")
    found: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


def show(sizes: dict[str, int], found: dict[str, Any]) -> None:
    """Print tables: octets of each file, then what was measured beside its goal."""
    console = Console(highlight=False)
    table = Table("file on the board", "octets", title="Compiled for a Pico W")
    table.columns[1].justify = "right"
    for name, octets in sizes.items():
        table.add_row(name, f"{octets:,}")
    console.print(table)
    table = Table("figure", "measured", "goal, at most", title="Footprint")
    for name, value in found.items():
        table.add_row(name, f"{value:,}", f"{GOALS[name]:,}" if name in GOALS else "")
    console.print(table)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--uf2", type=Path, default=os.environ.get("PICO_W_UF2"))
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        try:
            files = compile_board_files(Path(folder) / "mpy", "rp2")
            sizes = {
                there: here.stat().st_size
                for there, here in files.items()
                if there.startswith("/lib/")
            }
            result: dict[str, Any] = {"mpy_octets": sum(sizes.values())}
            if arguments.uf2:
                result["pico_w"] = measure(Path(arguments.uf2), files, Path(folder))
        except RoamkeyError as error:
            sys.exit(f"footprint: {error}")
    show(sizes, {"mpy_octets": result["mpy_octets"], **result.get("pico_w", {})})
    if not arguments.uf2:
        print("RAM and times need firmware: PICO_W_UF2=RPI_PICO_W.uf2 make size")
    _OUT.parent.mkdir(parents=True, exist_ok=True)
    _OUT.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
