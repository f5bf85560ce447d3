"""Firmware that holds the agent: it boots without a file in flash, and a copy goes before it."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from mip6 import __version__
from roamkey.lab.pico_w import EmulatedPicoW

from .station import board_resetting, run

_STATVFS = "import os; print(os.statvfs('/')[3])"
_RUNNING = "import sys, mip6.agent as a; print(sys.path[0], getattr(a, '__file__', '?'))"


def roamkey(board: EmulatedPicoW, *command: str) -> Any:
    with board_resetting(board):
        done = run("roamkey", *command, "--port", board.repl, "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout)


def on_board(board: EmulatedPicoW, program: str) -> str:
    """What a program prints at the REPL; the board starts afresh afterwards."""
    done = run("mpremote", "connect", board.repl, "resume", "exec", program)
    assert done.returncode == 0, done.stdout + done.stderr
    board.power_cut()
    board.power_on()
    return done.stdout.strip()


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_the_agent_in_the_firmware_and_copies_of_it(tmp_path: Path) -> None:
    uf2 = Path(os.environ["PICO_W_FROZEN_UF2"])
    with EmulatedPicoW(uf2, image=tmp_path / "fs.bin") as board:
        assert roamkey(board, "status")["identity"]["agent"] == __version__

        first = roamkey(board, "install")
        assert (first["form"], first["slot"], first["frozen"]) == ("frozen", "", __version__)
        assert first["sent"] == 0 and first["previous"] is None

        copied = roamkey(board, "install", "--copy")
        assert (copied["form"], copied["slot"], copied["previous"]) == ("mpy", "a", __version__)
        board.power_cut()
        board.power_on()
        assert roamkey(board, "status")["identity"]["agent"] == __version__
        path, file = on_board(board, _RUNNING).split()
        assert path == "/agent/a" and file.startswith("/agent/a/mip6/agent")

        back = roamkey(board, "install", "--rollback")
        assert (back["form"], back["slot"], back["previous"]) == ("frozen", "", __version__)
        assert on_board(board, _RUNNING).split()[-1] == "mip6/agent.py"

        before = int(on_board(board, _STATVFS))
        removed = roamkey(board, "install", "--remove")
        assert (removed["slot"], removed["previous"]) == ("", None)
        assert int(on_board(board, _STATVFS)) >= before + 16
        assert roamkey(board, "status")["identity"]["agent"] == __version__
