"""A virtual board and a client on its serial port; nodes without a board round them."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import serial
from support.agents import Lab

from roamkey.lab.board import VirtualBoard
from roamkey.lab.interpreter import micropython


@pytest.fixture
def board(tmp_path: Path) -> Iterator[VirtualBoard]:
    """A board with an empty flash, not started."""
    with VirtualBoard(tmp_path / "board.img") as board:
        board.format()
        yield board


@pytest.fixture
def open_console() -> Iterator[Callable[[VirtualBoard], serial.Serial]]:
    """Opens a board's port as a client does; `read_until` waits for half a minute at most."""
    opened = []

    def open_port(board: VirtualBoard) -> serial.Serial:
        opened.append(serial.Serial(board.port, timeout=30))
        return opened[-1]

    yield open_port
    for console in opened:
        console.close()


@pytest.fixture
def started(
    board: VirtualBoard, open_console: Callable[[VirtualBoard], serial.Serial]
) -> Callable[[str], serial.Serial]:
    """Starts the board with a main.py; returns its console from the first octet on."""

    def start(program: str = "") -> serial.Serial:
        board.install({"/main.py": program.encode()})
        board.start(power=False)
        console = open_console(board)
        board.power_on()
        return console

    return start


@pytest.fixture(params=["cpython", "micropython"])
def interpreter(request: pytest.FixtureRequest) -> str:
    return sys.executable if request.param == "cpython" else micropython()


@pytest.fixture
def lab(lab_network: Any, tmp_path: Path) -> Iterator[Lab]:
    yield Lab(lab_network, tmp_path)
