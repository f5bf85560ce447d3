"""How much of a Pico W the agent takes: `make size`, or `bench/footprint.py --uf2 FILE`.

The octets of each compiled file that goes on a Pico W; with firmware (`--uf2`, PICO_W_UF2), run
in the emulator, also RAM and the times that an update takes by the board's own clock. Emulated
cycles are exact; waits for flash are not emulated, so times are lower bounds of hardware's.

bu_ready_ms             an update drawn, numbered and authenticated, Kbm and its pads at hand
bu_new_address_ms       from a new address: the state machine's part of the move, the token's HMAC,
                        Kbm and its pads, and all of the above
bu_new_address_part_ms  that without the state machine's part of the move
imported_ram_octets     after the import of the agent
agent_ram_octets        the agent running, one correspondent bound (bench/on_pico_w.py says what
                        counts); agent_ram_8_octets: eight
console_ram_octets      more while somebody talks to the console
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

from mip6.keystore.keyset import Credentials, Peer
from mip6.keystore.keystore import Keystore
from roamkey.build import compile_board_files
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


def key_set(peers: int) -> dict[str, bytes]:
    """The files of a board that is provisioned for so many correspondents."""

    class Store(dict[str, bytes]):
        read = dict.get
        write = dict.__setitem__

        def remove(self, name: str) -> None:
            self.pop(name, None)

    store = Store()
    prefix = b"\x20\x01\x0d\xb8\x00"
    entries = [
        Peer(
            prefix + b"\x0c" + bytes(9) + bytes([2 + peer]),
            bytes([peer] * 8),
            bytes([peer] * 8),
            3600,
            [(0, bytes([peers, peer] * 16))],
        )
        for peer in range(peers)
    ]
    keystore = Keystore(store)
    keystore.load()
    keystore.provision(Credentials(bytes(8), prefix + b"\x0a" + bytes(9) + b"\x77", entries))
    return {f"/roamkey/{name}": octets for name, octets in store.items()}


def measure(uf2: Path, files: dict[str, Path], folder: Path, peers: int) -> dict[str, Any]:
    """Boot the firmware with the agent in its flash and run on_pico_w.py on it."""
    image = FlashImage(folder / f"fs{peers}.bin", RP2)
    image.format()
    written = {there: here for there, here in files.items() if there != "/main.py"}
    for there, octets in {"/app.py": b"", **key_set(peers)}.items():
        written[there] = folder / there.replace("/", "_")
        written[there].write_bytes(octets)
    image.write_files(written)
    with EmulatedPicoW(uf2, image=image.path) as board:
        command = [sys.executable, "-m", "mpremote", "connect", board.repl, "resume", "exec"]
        done = subprocess.run(
            [*command, "import on_pico_w\non_pico_w.run()"],
            capture_output=True,
            text=True,
            check=False,
            timeout=_ON_BOARD_S,
        )
    if done.returncode or not done.stdout.strip().endswith("}"):
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
            extra = {"on_pico_w": _HERE / "on_pico_w.py"}
            files = compile_board_files(Path(folder) / "mpy", "rp2", extra)
            sizes = {
                there: here.stat().st_size
                for there, here in files.items()
                if there.startswith("/lib/") and Path(there).stem not in extra
            }
            result: dict[str, Any] = {"mpy_octets": sum(sizes.values())}
            if arguments.uf2:
                uf2 = Path(arguments.uf2)
                result["pico_w"] = measure(uf2, files, Path(folder), 1)
                eight = measure(uf2, files, Path(folder), 8)
                result["pico_w"]["agent_ram_8_octets"] = eight["agent_ram_octets"]
        except RoamkeyError as error:
            sys.exit(f"footprint: {error}")
    show(sizes, {"mpy_octets": result["mpy_octets"], **result.get("pico_w", {})})
    if not arguments.uf2:
        print("RAM and times need firmware: PICO_W_UF2=RPI_PICO_W.uf2 make size")
    _OUT.parent.mkdir(parents=True, exist_ok=True)
    _OUT.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
