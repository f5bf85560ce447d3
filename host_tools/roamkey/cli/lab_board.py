"""`roamkey lab board`: a virtual board on a serial port of its own, until Ctrl-C."""

import contextlib
import enum
import signal
import threading
from pathlib import Path
from typing import Annotated

import typer

from roamkey.lab.board import ESP32, RP2, VirtualBoard
from roamkey.lab.installed import installed_files


class FlashKind(str, enum.Enum):
    """Whose flash parameters the board has."""

    RP2 = "rp2"
    ESP32 = "esp32"


_GEOMETRIES = {FlashKind.RP2: RP2, FlashKind.ESP32: ESP32}


def lab_board(
    image: Annotated[
        Path, typer.Argument(help="File that holds the board's flash; made if it isn't there.")
    ],
    flash: Annotated[
        FlashKind, typer.Option(help="Whose flash parameters it has.")
    ] = FlashKind.RP2,
    install: Annotated[
        bool,
        typer.Option("--install", help="Put into the flash first what `roamkey install` would."),
    ] = False,
) -> None:
    """Start a virtual board, print the path of its serial port, and run it until Ctrl-C.

    It is a real MicroPython; mpremote and every roamkey command take the port as a board's.
    """
    with VirtualBoard(image, geometry=_GEOMETRIES[flash]) as board:
        if install:
            board.install(installed_files())
        board.start()
        with contextlib.suppress(KeyboardInterrupt):
            for number in (signal.SIGINT, signal.SIGTERM):  # a shell may have had SIGINT ignored
                signal.signal(number, signal.default_int_handler)
            typer.echo(board.port)  # whoever reads it may end us at once
            threading.Event().wait()
