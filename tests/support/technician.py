"""What a technician does with an emulated board: the commands, with the patience they need."""

import contextlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import serial

_SENSOR = Path(__file__).parents[2] / "firmware" / "examples" / "sensor.py"
_COMMAND_S = 900.0  # on the wall
_HAMMER_EACH_S = 1.0  # on the wall
_PATIENCE = "60"  # emulated seconds are a fraction of those on the wall


class Technician:
    """In front of `board`, which has a REPL."""

    board: Any

    def mpremote(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run it on the board without a soft reset."""
        return run("mpremote", "connect", self.board.repl, "resume", *arguments)

    def printed(self, program: str) -> str:
        """What a program prints at the REPL; the board starts afresh afterwards."""
        done = self.mpremote("exec", program)
        assert done.returncode == 0, done.stdout + done.stderr
        self.board.power_cut()
        self.board.power_on()
        return done.stdout.strip()

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
        with self.resetting():
            done = run("roamkey", *command, "--port", self.board.repl, "--json")
        assert done.returncode == 0, done.stdout + done.stderr
        return json.loads(done.stdout)

    def resetting(self) -> contextlib.AbstractContextManager[None]:
        """Meanwhile, a board that resets itself starts afresh where its emulator ends then."""
        return contextlib.nullcontext()

    def events(self) -> list[dict[str, Any]]:
        """What `roamkey log pull` tells of the board, in order."""
        done = run("roamkey", "log", "pull", "--port", self.board.repl, "--json")
        assert done.returncode == 0, done.stdout + done.stderr
        told = map(json.loads, done.stdout.splitlines())
        return [one for one in told if one["type"] == "event"]

    def install(self) -> dict[str, Any]:
        """Put the agent on a board that has none; what the command printed."""
        installed: dict[str, Any] = self.roamkey("install")
        assert installed["form"] == "mpy" and installed["slot"] == "a"
        return installed

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
