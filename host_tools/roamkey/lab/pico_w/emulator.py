"""The emulator's process: a UF2 on an emulated Pico W, its console on a pty, its networks on TAPs.

It prints one line of JSON when the board's USB console is there, {"repl": PTY}, takes commands
on stdin ("lose NETWORK", "regain NETWORK") and ends at its end or at SIGTERM. Where the firmware
resets itself, or its watchdog does, it ends with the exit code RESET. Into `--run` it writes
`flash.log`, `clock` (emulated seconds since power-on) and, where it was reset, `watchdog`: what
that one's registers hold, for the next process.
"""

import argparse
import asyncio
import contextlib
import json
import os
import signal
import sys
from pathlib import Path

import rp2040py.device.base_device as base_device
from rp2040py.boards import BOARDS, BoardSpec, FlashLayout
from rp2040py.cli.pty_repl import PtyInteractiveRepl
from rp2040py.device import MicroPythonDevice
from rp2040py.external.cyw43 import Cyw43439
from rp2040py.peripherals.watchdog import RPWatchdog

from roamkey.errors import RoamkeyError
from roamkey.lab.pico_w import flash, usb, wifi
from roamkey.lab.pico_w.board import RESET
from roamkey.lab.pico_w.pace import PacedSimulator
from roamkey.lab.pico_w.wear import SECTOR

_CLOCK_INTERVAL_S = 0.1


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m roamkey.lab.pico_w.emulator")
    parser.add_argument("--uf2", type=Path, required=True)
    parser.add_argument("--image", type=Path, required=True)
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--network", action="append", default=[], metavar="SSID[=TAP]")
    return parser.parse_args()


def _open_networks(given: list[str]) -> dict[str, int | None]:
    networks: dict[str, int | None] = {}
    for word in given:
        name, _, tap = word.partition("=")
        networks[name] = wifi.open_tap(tap) if tap else None
    return networks


def _device(uf2: Path, air: wifi.Air) -> MicroPythonDevice:
    layout = FlashLayout(flash.FILE_SYSTEM_START, flash.FILE_SYSTEM_OCTETS // SECTOR, SECTOR)
    extras = tuple(
        (lambda: wifi.Chip(air)) if extra is Cyw43439 else extra
        for extra in BOARDS["pico_w"].extras
    )
    base_device.Simulator = PacedSimulator  # the device makes its simulator itself
    return MicroPythonDevice(board=BoardSpec(extras=extras, layout=layout, image=str(uf2)))


def _listen(air: wifi.Air, ended: asyncio.Event) -> None:
    """Take commands from stdin; its end means that nobody is left who needs the board."""

    def take() -> None:
        data = os.read(0, 4096)
        if not data:
            asyncio.get_running_loop().remove_reader(0)
            ended.set()
        for line in data.decode().splitlines():
            verb, _, network = line.partition(" ")
            {"lose": air.lose, "regain": air.regain}[verb](network)

    asyncio.get_running_loop().add_reader(0, take)


def _remember(watchdog: RPWatchdog, file: Path) -> None:
    """What outlives a reset of the chip: why it was reset, and the scratch registers."""
    kept = {"reason": watchdog._reason, "scratch": watchdog.scratch_data}
    file.write_text(json.dumps(kept))


def _recall(watchdog: RPWatchdog, file: Path) -> None:
    """As the chip was reset; nothing where it was unplugged."""
    if file.exists():
        kept = json.loads(file.read_text())
        file.unlink()
        watchdog._reason, watchdog.scratch_data = kept["reason"], kept["scratch"]


async def _run(arguments: argparse.Namespace) -> int:
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, ended.set)
    air = wifi.Air(_open_networks(arguments.network))
    device = _device(arguments.uf2, air)
    usb.hold_idle_reads(device)
    flash.WrittenThrough(device, arguments.image, arguments.run / "flash.log")
    simulator = device.simulator
    simulator.bind_loop(loop)
    code = 0

    def reset() -> None:
        nonlocal code
        code = RESET
        _remember(device.mcu.watchdog, arguments.run / "watchdog")
        simulator.stop()  # its console leaves USB, as a real board's does

    device.mcu.watchdog.on_watchdog_trigger = reset
    _recall(device.mcu.watchdog, arguments.run / "watchdog")
    console = PtyInteractiveRepl(device.cdc, simulator, on_quit=lambda _code: ended.set())
    await console.start()
    for number in (signal.SIGINT, signal.SIGTERM):  # the console takes SIGTERM for itself
        loop.add_signal_handler(number, ended.set)
    _listen(air, ended)
    await device.astart(timeout=None)
    print(json.dumps({"repl": console.slave_path}), flush=True)
    clock = os.open(arguments.run / "clock", os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
    while not ended.is_set() and simulator.executing:
        os.pwrite(clock, f"{simulator.clock.nanos / 1e9:15.6f}\n".encode(), 0)
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(ended.wait(), _CLOCK_INTERVAL_S)
    device.stop()
    if simulator.engine_room_error is not None:
        raise simulator.engine_room_error
    return code


def main() -> None:
    """Run until told to end; a failure is one line of JSON on stdout, {"error": text}."""
    try:
        sys.exit(asyncio.run(_run(_arguments())))
    except (RoamkeyError, OSError, ValueError) as error:
        print(json.dumps({"error": str(error), "kind": type(error).__name__}), flush=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
