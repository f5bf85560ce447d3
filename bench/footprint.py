"""How much of a Pico W the agent takes: `make size`, or `bench/footprint.py --uf2 FILE`.

The octets of each compiled file that goes on a Pico W, and the flash that they take. With stock
firmware (`--uf2`, PICO_W_UF2), run in the emulator, also RAM and the times that an update takes by
the board's own clock; with firmware that holds the agent (`--frozen-uf2`, PICO_W_FROZEN_UF2: see
boards/RPI_PICO_W), the same for that one. Emulated cycles are exact; waits for flash are not
emulated, so times are lower bounds of hardware's. Exit code 1 where a goal is missed.

agent_flash_octets      the agent's files in whole blocks of 4096 octets
installed_flash_octets  what littlefs uses more once it is installed: the folders of a slot, its
                        record, /main.py, too; files below 512 octets lie in their folder's blocks.
                        (os.statvfs() on a board counts the blocks of folders twice.)
bu_ready_ms             an update drawn, numbered and authenticated, Kbm and its pads at hand
bu_new_address_ms       from a new address: the state machine's part of the move, the token's HMAC,
                        Kbm and its pads, and all of the above
bu_new_address_part_ms  that without the state machine's part of the move
imported_ram_octets     after the import of the agent
agent_ram_octets        the agent running, one correspondent bound (bench/on_pico_w.py says what
                        counts), sockets of all ways open; agent_ram_8_octets: eight;
                        agent_ram_udp_octets: one, native IPv6 switched off
console_ram_octets      more while somebody talks to the console
home_agent_ram_octets   more than agent_ram_octets with a home agent and, bound by return
                        routability, a correspondent without a key
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from mip6 import __version__
from mip6.keystore.keyset import Credentials, Peer
from mip6.keystore.keystore import Keystore
from roamkey.board.built import Image, image_for
from roamkey.build import MPY_VERSION, compile_board_files
from roamkey.errors import RoamkeyError
from roamkey.lab.pico_w import EmulatedPicoW
from roamkey.lab.virtual_board.flash import RP2, FlashImage

_HERE = Path(__file__).parent
_OUT = _HERE / "out" / "footprint.json"
_ON_BOARD_S = 900.0

#: At most, by part of the result. The goal of 48 KB of compiled files is withdrawn: RAM and blocks
#: of flash are what a board has little of.
GOALS = {
    "pico_w": {
        "agent_ram_octets": 81_920,
        "agent_flash_octets": 167_936,  # 24 KB more since there are home agents, 4 for applog
        "bu_ready_ms": 1.75,
        "bu_new_address_ms": 5.25,
        "home_agent_ram_octets": 16_384,
    },
    "pico_w_frozen": {
        "agent_ram_octets": 44_544,  # files of bindings/ in smaller pieces: a module each; applog
        "agent_flash_octets": 0,
        "bu_ready_ms": 1.75,
        "bu_new_address_ms": 5.25,
        "home_agent_ram_octets": 16_384,
    },
}

#: A boot.py that fails keeps MicroPython from running main.py: one that is frozen would start.
_NO_MAIN = b"raise SystemError('no main.py now: bench/footprint.py')\n"


def flash_octets(image: Image, folder: Path) -> dict[str, int]:
    """What the image takes of an empty flash, in whole blocks: see the top of this file."""
    blocks = sum(-(-len(octets) // RP2.block_size) for octets in image.files.values())
    flash = FlashImage(folder / "installed.bin", RP2)
    flash.format()
    before = flash.used_blocks()
    record = {"agent": __version__, "files": image.sums}
    files = {f"/agent/a/{path}": octets for path, octets in image.files.items()}
    flash.write_files(files)
    flash.write_files({"/agent/a.json": json.dumps(record).encode()})
    flash.write_files({"/agent/slot": b"a"})
    flash.write_files({"/main.py": image.main})
    return {
        "agent_flash_octets": blocks * RP2.block_size,
        "installed_flash_octets": (flash.used_blocks() - before) * RP2.block_size,
    }


_NONE = {"agent_flash_octets": 0, "installed_flash_octets": 0}  # frozen: nothing is installed


def key_set(peers: int, native: bool, home_agent: bool) -> dict[str, bytes]:
    """The files of a board that is provisioned for so many correspondents, each of which may be
    reached over IPv4 too; `home_agent`: and for one, and a correspondent without a key."""

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
            [(f"192.0.2.{1 + peer}", 4191)],
        )
        for peer in range(peers + home_agent)
    ]
    if home_agent:
        keyless = prefix + b"\x0d" + bytes(9) + b"\x02"
        entries.append(Peer(keyless, bytes(8), bytes(8), 3600, []))
    keystore = Keystore(store)
    keystore.load()
    home = prefix + b"\x0a" + bytes(9) + b"\x77"
    agent = peers if home_agent else None
    keystore.provision(Credentials(bytes(8), home, entries, native, agent))
    return {f"/roamkey/{name}": octets for name, octets in store.items()}


def run(
    uf2: Path,
    files: Mapping[str, Path],
    folder: Path,
    peers: int,
    native: bool = True,
    home_agent: bool = False,
) -> dict[str, Any]:
    """Boot the firmware with these files in its flash and run on_pico_w.py on it."""
    image = FlashImage(folder / f"{uf2.stem}{peers}{native}{home_agent}.bin", RP2)
    image.format()
    keys = key_set(peers, native, home_agent)
    image.write_files({**files, "/app.py": b"", "/boot.py": _NO_MAIN, **keys})
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


def measure(
    uf2: Path, files: Mapping[str, Path], folder: Path, flash: Mapping[str, int]
) -> dict[str, Any]:
    """All that is measured of an agent on a firmware; `flash`: what it takes there."""
    found = run(uf2, files, folder, 1)
    eight = run(uf2, files, folder, 8)["agent_ram_octets"]
    udp = run(uf2, files, folder, 1, native=False)
    home = run(uf2, files, folder, 1, home_agent=True)["agent_ram_octets"]
    if udp["native_loaded"] or not found.pop("native_loaded"):
        sys.exit("native IPv6 is loaded where it is switched off, or not where it is wanted")
    return {
        **flash,
        **found,
        "agent_ram_8_octets": eight,
        "agent_ram_udp_octets": udp["agent_ram_octets"],
        "home_agent_ram_octets": home - found["agent_ram_octets"],
    }


def missed(result: Mapping[str, Any]) -> list[str]:
    """The goals that what was measured doesn't reach, as "part.figure"."""
    return [
        f"{part}.{name}"
        for part, goals in GOALS.items()
        for name, goal in goals.items()
        if name in result.get(part, {}) and result[part][name] > goal
    ]


def show(sizes: Mapping[str, int], result: Mapping[str, Any]) -> None:
    """Print tables: octets of each file, then what was measured beside its goal."""
    console = Console(highlight=False)
    table = Table("file on the board", "octets", title="Compiled for a Pico W")
    table.columns[1].justify = "right"
    for name, octets in sizes.items():
        table.add_row(name, f"{octets:,}")
    table.add_row("in all", f"{result['mpy_octets']:,}")
    console.print(table)
    for part, title in (("pico_w", "Stock firmware"), ("pico_w_frozen", "The agent frozen in")):
        if part not in result:
            continue
        failed = missed(result)
        table = Table("figure", "measured", "goal, at most", "", title=title)
        for name, value in result[part].items():
            goal = GOALS[part].get(name)
            verdict = "fail" if f"{part}.{name}" in failed else "pass"
            shown = ("", "") if goal is None else (f"{goal:,}", verdict)
            table.add_row(name, f"{value:,}", *shown)
        console.print(table)


def main() -> int:
    """Measure, print the tables, write JSON; 1 where a goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--uf2", type=Path, default=os.environ.get("PICO_W_UF2"))
    parser.add_argument("--frozen-uf2", type=Path, default=os.environ.get("PICO_W_FROZEN_UF2"))
    arguments = parser.parse_args()
    app = _HERE / "on_pico_w.py"
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        try:
            image = image_for("rp2", MPY_VERSION)
            sizes = {path: len(octets) for path, octets in image.files.items()}
            flash = flash_octets(image, folder)
            result: dict[str, Any] = {"mpy_octets": sum(sizes.values())}
            result["pico_w"] = flash
            if arguments.uf2:
                files = compile_board_files(folder / "mpy", "rp2", {app.stem: app})
                del files["/main.py"]
                result["pico_w"] = measure(Path(arguments.uf2), files, folder, flash)
            if arguments.frozen_uf2:
                files = {f"/{app.name}": app}
                result["pico_w_frozen"] = measure(Path(arguments.frozen_uf2), files, folder, _NONE)
        except RoamkeyError as error:
            sys.exit(f"footprint: {error}")
    show(sizes, result)
    if not arguments.uf2:
        print("RAM and times need firmware: PICO_W_UF2=RPI_PICO_W.uf2 make size")
    if not arguments.frozen_uf2:
        print("The agent frozen in was not measured: PICO_W_FROZEN_UF2 names no firmware")
    _OUT.parent.mkdir(parents=True, exist_ok=True)
    _OUT.write_text(json.dumps(result, indent=2) + "\n")
    failed = missed(result)
    print(f"missed: {', '.join(failed)}" if failed else "every goal that was measured is reached")
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
