"""Firmware that holds the agent: it boots without a file in flash, and a copy goes before it."""

import contextlib
import json
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mip6 import __version__
from roamkey.lab.pico_w import EmulatedPicoW

from .station import run

_STATVFS = "import os; print(os.statvfs('/')[3])"
_RUNNING = "import sys, mip6.agent as a; print(sys.path[0], getattr(a, '__file__', '?'))"


@contextlib.contextmanager
def resetting(board: EmulatedPicoW) -> Iterator[None]:
    """Meanwhile, a board that resets itself starts afresh, as the chip does on hardware."""
    over = threading.Event()

    def attend() -> None:
        while not over.wait(0.2):
            if board.asks_for_reset:
                board.power_cut()
                board.power_on()

    thread = threading.Thread(target=attend)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def roamkey(board: EmulatedPicoW, *command: str) -> Any:
    with resetting(board):
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
