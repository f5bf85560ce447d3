"""An emulated Pico W in the laboratory network, and the commands that a technician gives."""

import contextlib
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import serial
from support.pico_w import InReach

from roamkey.lab.pico_w import EmulatedPicoW

#: The board's MAC is the emulator's, so its addresses are known (RFC 4862).
INTERFACE_ID = "210:18ff:fe00:2"
_SENSOR = Path(__file__).parents[2] / "firmware" / "examples" / "sensor.py"
_COMMAND_S = 900.0  # on the wall
_HAMMER_EACH_S = 1.0  # on the wall
_PATIENCE = "60"  # emulated seconds are a fraction of those on the wall


class Station(InReach):
    """A Pico W with two Wi-Fi networks in reach, named as the laboratory's they belong to."""

    def resetting(self) -> contextlib.AbstractContextManager[None]:
        """See `board_resetting`; the wired sides are plugged in again."""
        return board_resetting(self.board, self.power_on)

    def mpremote(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run it on the board without a soft reset."""
        return run("mpremote", "connect", self.board.repl, "resume", *arguments)

    def put_sensor(self, folder: Path, settings: str) -> None:
        """The example's sensor on the board by hand, as its application; `folder`: for a file."""
        file = folder / "sensor.json"
        file.write_text(settings)
        copied = self.mpremote(
            *("fs", "cp", str(_SENSOR), ":/app.py"), *("+", "fs", "cp", str(file), ":/")
        )
        assert copied.returncode == 0, copied.stdout + copied.stderr

    def roamkey(self, *command: str) -> Any:
        """Run a subcommand with the board as its --port; what it prints as JSON."""
        done = run("roamkey", *command, "--port", self.board.repl, "--json")
        assert done.returncode == 0, done.stdout + done.stderr
        return json.loads(done.stdout)

    def hammer(self, seconds: float) -> None:
        """Ask for a REPL again and again; not faster than an emulated board refuses the lines."""
        with serial.Serial(self.board.repl, timeout=_HAMMER_EACH_S, write_timeout=2.0) as line:
            heard = b""
            end = time.monotonic() + seconds
            while time.monotonic() < end:
                with contextlib.suppress(serial.SerialTimeoutException):
                    line.write(b"\r\x03\x03\r\x01\x04")
                heard += line.read(4096)
        assert b">>>" not in heard and b"raw REPL" not in heard, heard[-500:]


@contextlib.contextmanager
def board_resetting(
    board: EmulatedPicoW, power_on: Callable[[], None] | None = None
) -> Iterator[None]:
    """Meanwhile, a board that resets itself starts afresh, as the chip does on hardware."""
    over = threading.Event()

    def attend() -> None:
        while not over.wait(0.2):
            if board.asks_for_reset:
                board.power_cut()
                (power_on or board.power_on)()

    thread = threading.Thread(target=attend)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def run(module: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command that talks to an emulated board, with the patience that it needs."""
    return subprocess.run(
        [sys.executable, "-m", module, *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=_COMMAND_S,
        env={**os.environ, "ROAMKEY_PATIENCE": _PATIENCE},
    )
