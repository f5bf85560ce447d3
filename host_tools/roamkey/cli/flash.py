"""`roamkey flash`: firmware onto a board."""

import json
import time
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from roamkey.board import flasher
from roamkey.board.bootloader import unmounted, volumes
from roamkey.board.images import Firmware, read_firmware
from roamkey.board.ports import ports
from roamkey.cli.board_options import BoardOption, PortOption, port_of
from roamkey.cli.options import JsonOption
from roamkey.cli.output import bars, row


def flash(
    firmware: Annotated[
        Path, typer.Argument(help="MicroPython: .uf2 for RP2 boards, .bin for ESP32s.")
    ],
    port: PortOption = None,
    board: BoardOption = None,
    volume: Annotated[
        Path | None,
        typer.Option(
            "--volume", help="Where the RP2 bootloader's drive is mounted.", metavar="FOLDER"
        ),
    ] = None,
    keep: Annotated[
        bool, typer.Option("--keep", help="ESP32: don't erase files, settings and keys.")
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Also another model's, or one that overwrites files.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Flash MicroPython: check that the file fits the board, write, ask the board what it runs.

    An RP2 board with MicroPython is sent into its bootloader; a new one is plugged in with BOOTSEL
    held: then that one is meant. Its files stay, unless the UF2 brings others: that
    needs --force. An ESP32 is erased first.
    """
    image = read_firmware(firmware)
    where = port_to_flash(image, port, board, volume)
    started = time.monotonic()
    with bars() as progress:
        task = progress.add_task("flashing", total=None, step="")

        def report(step: str, done: int, total: int) -> None:
            progress.update(task, step=step, completed=done, total=max(total, 1))

        done = flasher.flash(
            image, where, drive=volume, force=force, erase=not keep, progress=report
        )
    seconds = round(time.monotonic() - started, 1)
    if as_json:
        typer.echo(json.dumps({**asdict(done), "seconds": seconds}))
        return
    row("board", f"{done.board} on {done.port}")
    row("chip", f"{done.chip}, {done.machine}")
    row("MicroPython", f"{done.micropython}{', as in the file' if done.checked else ''}")
    row("flash", f"{done.octets} octets")
    row("took", f"{seconds} s")


def port_to_flash(
    image: Firmware, port: str | None, board: str | None, volume: Path | None = None
) -> str | None:
    """The port to flash over; None for a bootloader's drive, or where nothing is plugged in."""
    if port is None and board is None:
        drive = image.kind == "uf2" and (volume or volumes() or unmounted())
        if drive or not ports():
            return None
    return port_of(port, board)
