"""The chip's watchdog under real firmware: it bites what hangs, once, and no REPL ever."""

import os
import time
from pathlib import Path

import pytest

from roamkey.lab.pico_w import EmulatedPicoW

from .station import board_resetting, run

_BLOCKING = "import time\n\n\nasync def main(node):\n    while True:\n        time.sleep(1)\n"
#: Whether it runs, why the chip was reset last; then a wait that is longer than its own.
_LOOK = """
import machine, time
print(machine.mem32[0x40058000] >> 30 & 1, machine.mem32[0x40058008])
time.sleep(10)
print("alive")
"""
_WAIT_S = 600.0  # on the wall


def _mpremote(board: EmulatedPicoW, *words: str) -> str:
    done = run("mpremote", "connect", board.repl, "resume", *words)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def _emulated(board: EmulatedPicoW, seconds: float) -> None:
    """Let the board live for so many seconds of its own clock, or until it is reset."""
    end, until = time.monotonic() + _WAIT_S, board.seconds() + seconds
    while board.running and board.seconds() < until:
        assert time.monotonic() < end
        time.sleep(0.1)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_board_that_hangs_is_reset_once_and_no_repl_is(tmp_path: Path) -> None:
    with EmulatedPicoW(Path(os.environ["PICO_W_UF2"]), image=tmp_path / "fs.bin") as board:
        with board_resetting(board):
            done = run("roamkey", "install", "--port", board.repl, "--json")
        assert done.returncode == 0, done.stdout + done.stderr

        # Fed, it lets the agent be; and the REPL that follows has none.
        board.power_cut()
        board.power_on()
        _emulated(board, 20)
        assert board.running
        assert _mpremote(board, "exec", _LOOK).split() == ["0", "0", "alive"]

        # A program that gives nobody a turn is ended by it.
        app = tmp_path / "app.py"
        app.write_text(_BLOCKING)
        _mpremote(board, "fs", "cp", str(app), ":/app.py")
        board.power_cut()
        board.power_on()
        _emulated(board, 40)
        assert board.asks_for_reset

        # That was its own reset, so an open board now has none, and a person gets in.
        board.power_cut()
        board.power_on()
        _emulated(board, 25)
        assert board.running
        assert _mpremote(board, "exec", _LOOK).split() == ["0", "1", "alive"]
