"""`roamkey lab esp32`: an emulated ESP32-C3 to try things on, until Ctrl-C."""

import signal
import sys
import time
from pathlib import Path
from typing import Annotated

import typer

from roamkey.errors import BoardError
from roamkey.lab.esp32.board import NETWORKS, EmulatedEsp32

_LOOK_S = 0.5
_NOTHING = "-"


def esp32(
    firmware: Annotated[
        Path,
        typer.Option(metavar="FILE", help="MicroPython for the ESP32-C3: firmware.bin."),
    ],
    emulator: Annotated[
        Path,
        typer.Option(
            metavar="PROGRAM",
            envvar="ESP32_QEMU",
            help="QEMU with the machine esp32c3-picsimlab; docs/LIMITS.md says which.",
        ),
    ],
    flash: Annotated[
        Path | None,
        typer.Option(
            metavar="IMAGE",
            help="Keep the board's flash in IMAGE (made if missing); else it is forgotten.",
        ),
    ] = None,
    tap: Annotated[
        list[str] | None,
        typer.Option(
            metavar="TAP",
            help="The TAP device on the wired side of a network (needs root), - for none. The "
            f"first is that of {NETWORKS[0]}, then {NETWORKS[1]} and {NETWORKS[2]}: the "
            "emulator has these three, open.",
        ),
    ] = None,
) -> None:
    """Run real ESP32-C3 firmware in an emulator and print the path of its UART.

    Use that path as a serial port: mpremote connect PATH resume, roamkey
    provision --port PATH.
    """
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    taps = [None if name == _NOTHING else name for name in tap or [_NOTHING]]
    with EmulatedEsp32(firmware, emulator=emulator, image=flash, taps=taps) as board:
        try:
            typer.echo(board.repl)
            while board.running:
                time.sleep(_LOOK_S)
        except KeyboardInterrupt:
            return
        raise BoardError("the emulator ended by itself")
