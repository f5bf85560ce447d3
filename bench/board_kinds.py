"""Emulated boards as footprint.py measures them: files go into their flash, on_board.py runs."""

import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from mip6.keystore.keyset import Credentials, Peer
from mip6.keystore.keystore import Keystore
from roamkey import privatefiles
from roamkey.board import esp_images
from roamkey.lab.esp32 import EmulatedEsp32
from roamkey.lab.esp32.board import flash_image
from roamkey.lab.pico_w import EmulatedPicoW
from roamkey.lab.virtual_board.flash import ESP32, RP2, FlashImage, Geometry

APP = Path(__file__).parent / "on_board.py"
_ON_BOARD_S = 900.0

#: A boot.py that fails keeps MicroPython from running main.py: one that is frozen would start.
_NO_MAIN = b"raise SystemError('no main.py now: bench/footprint.py')\n"


class Emulated(Protocol):
    """A board with a REPL."""

    @property
    def repl(self) -> str:
        """The path of it."""


@dataclass(frozen=True)
class Kind:
    """A board with a firmware. `platform`: its sys.platform; `files`: the agent's and on_board.py,
    as far as the firmware hasn't got them; `emulate(image)`: the board, of its file system's
    image; `ipv6`: whether the firmware has that."""

    platform: str
    firmware: Path
    files: Mapping[str, Path]
    geometry: Geometry
    emulate: Callable[[Path], AbstractContextManager[Emulated]]
    ipv6: bool = True


def pico_w(uf2: Path, files: Mapping[str, Path]) -> Kind:
    """A Pico W with this firmware."""
    return Kind("rp2", uf2, files, RP2, lambda image: EmulatedPicoW(uf2, image=image))


def esp32_c3(firmware: Path, emulator: Path, files: Mapping[str, Path], ipv6: bool) -> Kind:
    """An ESP32-C3 with this firmware."""

    def emulate(image: Path) -> EmulatedEsp32:
        whole = image.with_suffix(".flash")
        privatefiles.write(whole, flash_image(firmware, image.read_bytes()))
        return EmulatedEsp32(firmware, emulator=emulator, image=whole)

    return Kind("esp32", firmware, files, ESP32, emulate, ipv6)


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


def run(kind: Kind, folder: Path, statement: str, files: Mapping[str, bytes]) -> dict[str, Any]:
    """Boot the board with these files in its flash, too, and call on_board.py's `statement`."""
    image = FlashImage(folder / "files.bin", kind.geometry)
    image.format()
    image.write_files({**kind.files, "/app.py": b"", "/boot.py": _NO_MAIN, **files})
    with kind.emulate(image.path) as board:
        command = [sys.executable, "-m", "mpremote", "connect", board.repl, "resume", "exec"]
        done = subprocess.run(
            [*command, f"import {APP.stem}\n{APP.stem}.{statement}"],
            capture_output=True,
            text=True,
            check=False,
            timeout=_ON_BOARD_S,
        )
    if done.returncode or not done.stdout.strip().endswith("}"):
        sys.exit(f"the board failed: {done.stdout}{done.stderr}")
    found: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


def application(firmware: Path) -> dict[str, float]:
    """What an ESP32's application takes of the partition that it lies in."""
    octets, room = esp_images.examine(firmware.read_bytes()).application
    return {"application_octets": octets, "application_share": round(octets / room, 3)}


def measure(kind: Kind, folder: Path) -> dict[str, Any]:
    """All that is measured of an agent on a firmware."""

    def of(peers: int, *, native: bool = True, home_agent: bool = False) -> dict[str, Any]:
        timed = peers == 1 and native and not home_agent
        statement = f"Application({kind.ipv6}, {timed}).run()"
        return run(kind, folder, statement, key_set(peers, native, home_agent))

    found = of(1)
    loaded = found.pop("native_loaded")
    found["agent_ram_8_octets"] = of(8)["agent_ram_octets"]
    if kind.ipv6:
        udp = of(1, native=False)
        found["agent_ram_udp_octets"] = udp["agent_ram_octets"]
        if udp["native_loaded"] or not loaded:
            sys.exit("native IPv6 is loaded where it is switched off, or not where it is wanted")
    elif loaded:
        sys.exit("native IPv6 is loaded where the firmware has none")
    home = of(1, home_agent=True)["agent_ram_octets"]
    found["home_agent_ram_octets"] = home - found["agent_ram_octets"]
    if kind.platform == "esp32":
        found |= run(kind, folder, "run_wifi()", {}) | application(kind.firmware)
    return dict(sorted(found.items()))
