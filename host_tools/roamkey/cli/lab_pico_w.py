"""`roamkey lab pico-w`: an emulated Pico W to try things on, until Ctrl-C."""

import os
import signal
import sys
import time
from pathlib import Path
from typing import Annotated

import typer

from roamkey.errors import BadInputError, BoardError
from roamkey.lab.pico_w.board import DEFAULT_NETWORK, EmulatedPicoW

_LOOK_S = 0.5
_SSID_OCTETS_MAX = 32


def pico_w(
    uf2: Annotated[
        Path,
        typer.Option(metavar="FILE", help="MicroPython for the Pico W, from its download page."),
    ],
    flash: Annotated[
        Path | None,
        typer.Option(
            metavar="IMAGE",
            help="Keep the board's file system in IMAGE (made if missing); else it is forgotten.",
        ),
    ] = None,
    network: Annotated[
        list[str] | None,
        typer.Option(
            metavar="SSID[=TAP]",
            help="An open Wi-Fi network in reach, its wired side a TAP device (needs root); "
            "without TAP nothing is behind it. May be given several times; "
            f"else {DEFAULT_NETWORK}.",
        ),
    ] = None,
) -> None:
    """Run real Pico W firmware in an emulator and print the path of its REPL.

    Use that path as a serial port: mpremote connect PATH resume, roamkey
    provision --port PATH. Emulated time stands behind the clock on the wall when
    the board is busy: bringing Wi-Fi up takes half a minute. Needs rp2040py,
    which the extra pico-w of this package installs.
    """
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    with EmulatedPicoW(
        uf2, image=flash, networks=_networks(network or [DEFAULT_NETWORK])
    ) as board:
        try:
            typer.echo(board.repl)
            while board.running or board.asks_for_reset:
                if board.asks_for_reset:  # with a new serial port, at the same path
                    board.power_cut()
                    board.power_on()
                time.sleep(_LOOK_S)
        except KeyboardInterrupt:
            return
        raise BoardError("the emulator ended by itself")


def _networks(given: list[str]) -> dict[str, str | None]:
    networks: dict[str, str | None] = {}
    for word in given:
        name, _, tap = word.partition("=")
        if not 1 <= len(os.fsencode(name)) <= _SSID_OCTETS_MAX:
            raise BadInputError("a network's name has 1 to 32 octets")
        networks[name] = tap or None
    return networks
