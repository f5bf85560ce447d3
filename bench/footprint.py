"""How much of a board the agent takes: `make size`, or `bench/footprint.py --uf2 FILE`.

The octets of each compiled file that goes on a Pico W, and the flash that the files take there
and on an ESP32. With firmware, run in an emulator, also RAM and the times that an update takes by
the board's own clock. Exit code 1 where a goal is missed.

Pico W: stock firmware (`--uf2`, PICO_W_UF2), and firmware that holds the agent (`--frozen-uf2`,
PICO_W_FROZEN_UF2: see boards/RPI_PICO_W). Emulated cycles are exact; waits for flash are not
emulated, so times are lower bounds of hardware's.

ESP32-C3: firmware that holds the agent (`--esp32-firmware`, ESP32_FIRMWARE: see
boards/ESP32_GENERIC_C3), and upstream's (`--esp32-stock-firmware`, ESP32_STOCK_FIRMWARE): the
agent installed, inside UDP over IPv4 alone, as that firmware has no IPv6; both in an emulator
(`--emulator`, ESP32_QEMU: docs/LIMITS.md says which). Its clock counts instructions (QEMU's
-icount), 8 ns for each, whatever it does. So times tell how many instructions something takes,
and from one firmware to the next whether that is more; not what they take on silicon, with its
160 MHz, its cache and its waits for flash.

agent_flash_octets      the agent's files in whole blocks of 4096 octets
installed_flash_octets  what littlefs uses more once it is installed: the folders of a slot, its
                        record, /main.py, too; files below 512 octets (ESP32: 128) lie in their
                        folder's blocks. (os.statvfs() on a board counts the blocks of folders
                        twice.)
application_octets      ESP32: the firmware's application as it lies in flash; application_share:
                        of the partition that it lies in; application_more_octets: more than
                        upstream's, where both were measured
free_before_octets      before the import of the agent; free_after_octets: with it running, as
                        below. On an ESP32 of both heaps: gc_free_…, MicroPython's as it is;
                        idf_free_…, what ESP-IDF has beside; idf_largest_…, in one piece, by which
                        MicroPython's may grow; idf_least_octets: the least it ever had
bu_ready_ms             an update drawn, numbered and authenticated, Kbm and its pads at hand
bu_new_address_ms       from a new address: the state machine's part of the move, the token's HMAC,
                        Kbm and its pads, and all of the above
bu_new_address_part_ms  that without the state machine's part of the move
imported_ram_octets     after the import of the agent
agent_ram_octets        the agent running, one correspondent bound (bench/on_board.py says what
                        counts), sockets of all ways open; agent_ram_8_octets: eight;
                        agent_ram_udp_octets: one, native IPv6 switched off
idf_ram_octets          ESP32: what is taken of ESP-IDF's heap meanwhile, MicroPython's heap left
                        out; wifi_idf_octets: by the Wi-Fi driver alone, switched on without the
                        agent
console_ram_octets      more while somebody talks to the console
home_agent_ram_octets   more than agent_ram_octets with a home agent and, bound by return
                        routability (not without IPv6), a correspondent without a key
"""

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from board_kinds import APP, Kind, esp32_c3, measure, pico_w
from rich.console import Console
from rich.table import Table

from mip6 import __version__
from roamkey.board.built import Image, image_for
from roamkey.build import MPY_VERSION, compile_board_files
from roamkey.errors import RoamkeyError
from roamkey.lab.virtual_board.flash import ESP32, RP2, FlashImage, Geometry

_OUT = Path(__file__).parent / "out" / "footprint.json"

#: The parts of the result: what is measured, and which variable names its firmware.
PARTS = {
    "pico_w": ("Pico W, stock firmware", "PICO_W_UF2"),
    "pico_w_frozen": ("Pico W, the agent frozen in", "PICO_W_FROZEN_UF2"),
    "esp32_c3_stock": ("ESP32-C3, upstream's firmware", "ESP32_STOCK_FIRMWARE"),
    "esp32_c3": ("ESP32-C3, roamkey's firmware, the agent frozen in", "ESP32_FIRMWARE"),
}

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
        # files of bindings/ in smaller pieces: a module each; applog; garbage collected sooner
        "agent_ram_octets": 44_800,
        "agent_flash_octets": 0,
        "bu_ready_ms": 1.75,
        "bu_new_address_ms": 5.25,
        "home_agent_ram_octets": 16_384,
    },
    "esp32_c3_stock": {
        "agent_ram_octets": 116_736,
        "agent_flash_octets": 163_840,
        "idf_ram_octets": 47_104,
        "bu_ready_ms": 1.25,
        "bu_new_address_ms": 3.5,
        "home_agent_ram_octets": 14_848,
    },
    "esp32_c3": {
        "agent_ram_octets": 43_520,
        "agent_flash_octets": 0,
        "application_more_octets": 139_264,
        "idf_ram_octets": 45_056,
        "bu_ready_ms": 1.5,
        "bu_new_address_ms": 2.75,
        "home_agent_ram_octets": 10_240,
    },
}


def flash_octets(image: Image, folder: Path, geometry: Geometry) -> dict[str, int]:
    """What the image takes of an empty flash, in whole blocks: see the top of this file."""
    blocks = sum(-(-len(octets) // geometry.block_size) for octets in image.files.values())
    flash = FlashImage(folder / "installed.bin", geometry)
    flash.format()
    before = flash.used_blocks()
    record = {"agent": __version__, "files": image.sums}
    files = {f"/agent/a/{path}": octets for path, octets in image.files.items()}
    flash.write_files(files)
    flash.write_files({"/agent/a.json": json.dumps(record).encode()})
    flash.write_files({"/agent/slot": b"a"})
    flash.write_files({"/main.py": image.main})
    return {
        "agent_flash_octets": blocks * geometry.block_size,
        "installed_flash_octets": (flash.used_blocks() - before) * geometry.block_size,
    }


_NONE = {"agent_flash_octets": 0, "installed_flash_octets": 0}  # frozen: nothing is installed


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
    for part, (title, _) in PARTS.items():
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


def compiled(folder: Path, platform: str) -> dict[str, Path]:
    """The agent's files for a platform, on_board.py among them; the agent doesn't start."""
    files = compile_board_files(folder / platform, platform, {APP.stem: APP})
    del files["/main.py"]
    return files


def boards(named: argparse.Namespace, folder: Path) -> dict[str, Kind]:
    """The boards whose firmware is named, by part of the result."""
    frozen = {f"/{APP.name}": APP}
    emulator, ours, stock = named.emulator, named.esp32_firmware, named.esp32_stock_firmware
    found = {}
    if named.uf2:
        found["pico_w"] = pico_w(named.uf2, compiled(folder, "rp2"))
    if named.frozen_uf2:
        found["pico_w_frozen"] = pico_w(named.frozen_uf2, frozen)
    if stock:
        found["esp32_c3_stock"] = esp32_c3(stock, emulator, compiled(folder, "esp32"), ipv6=False)
    if ours:
        found["esp32_c3"] = esp32_c3(ours, emulator, frozen, ipv6=True)
    return found


def asked() -> argparse.Namespace:
    """What the command line and the environment name; None where they don't."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    for option, variable in {
        "--uf2": "PICO_W_UF2",
        "--frozen-uf2": "PICO_W_FROZEN_UF2",
        "--esp32-firmware": "ESP32_FIRMWARE",
        "--esp32-stock-firmware": "ESP32_STOCK_FIRMWARE",
        "--emulator": "ESP32_QEMU",
    }.items():
        default = os.environ.get(variable) or None
        parser.add_argument(
            option, type=Path, metavar="FILE", default=default, help=f"or {variable}"
        )
    arguments = parser.parse_args()
    if (arguments.esp32_firmware or arguments.esp32_stock_firmware) and not arguments.emulator:
        parser.error("ESP32_QEMU names no emulator of the ESP32-C3 (docs/LIMITS.md)")
    return arguments


def main() -> int:
    """Measure, print the tables, write JSON; 1 where a goal is missed."""
    arguments = asked()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        try:
            image = image_for("rp2", MPY_VERSION)
            sizes = {path: len(octets) for path, octets in image.files.items()}
            result: dict[str, Any] = {
                "mpy_octets": sum(sizes.values()),
                "pico_w": flash_octets(image, folder, RP2),
                "esp32_c3_stock": flash_octets(image_for("esp32", MPY_VERSION), folder, ESP32),
            }
            for part, kind in boards(arguments, folder).items():
                result[part] = {**result.get(part, _NONE), **measure(kind, folder)}
            more = {part: result.get(part, {}).get("application_octets") for part in PARTS}
            if more["esp32_c3"] and more["esp32_c3_stock"]:
                octets = more["esp32_c3"] - more["esp32_c3_stock"]
                result["esp32_c3"]["application_more_octets"] = octets
        except RoamkeyError as error:
            sys.exit(f"footprint: {error}")
    show(sizes, result)
    for part, (title, variable) in PARTS.items():
        if "agent_ram_octets" not in result.get(part, {}):
            print(f"{title}: RAM and times weren't measured, {variable} names no firmware")
    _OUT.parent.mkdir(parents=True, exist_ok=True)
    _OUT.write_text(json.dumps(result, indent=2) + "\n")
    failed = missed(result)
    print(f"missed: {', '.join(failed)}" if failed else "every goal that was measured is reached")
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
