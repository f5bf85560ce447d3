"""A user's program on a board with the agent: whatever it does, a person gets in."""

import time
from collections.abc import Callable

import pytest
import serial
from json_output import checked

from roamkey.lab.board import VirtualBoard
from roamkey.waiting import until

BLOCKING = b"""
import time

async def main(node):
    print("blocks")
    while True:
        time.sleep(5)
"""
WORKING = b"""
import asyncio

async def main(node):
    while True:
        await asyncio.sleep(1)
"""
EXITING = b"""
import sys

async def main(node):
    sys.exit()
"""
EXITING_IN_A_TASK = b"""
import asyncio, sys

async def ends():
    sys.exit(1)

async def main(node):
    asyncio.create_task(ends())
    await asyncio.sleep(60)
"""
RAISING = b"""
async def main(node):
    raise ValueError("of the user")
"""

Command = Callable[..., tuple[int, str, str]]


def with_program(board: VirtualBoard, program: bytes) -> None:
    """The board starts afresh with this /app.py."""
    board.power_cut()
    board.install({"/app.py": program})
    board.power_on()


def blocked(board: VirtualBoard, power: Callable[[], None]) -> None:
    """Wait until its program, started by `power`, leaves nobody else a turn."""
    with serial.Serial(board.port, timeout=60) as line:
        power()
        assert line.read_until(b"blocks").endswith(b"blocks")


def application(board: VirtualBoard, roamkey: Command) -> str:
    code, out, error = roamkey("status", "--port", board.port, "--json")
    assert code == 0, error
    told: str = checked("status", out)["node"]["application"]
    return told


def asked(board: VirtualBoard, roamkey: Command, what: str) -> str:
    code, out, error = roamkey("app", what, "--port", board.port, "--json")
    assert code == 0, error
    told: str = checked(f"app-{what}", out)["application"]
    return told


def test_a_program_that_gives_nobody_a_turn_yields_to_ctrl_c(virtual, roamkey) -> None:
    with_program(virtual, WORKING)
    virtual.power_cut()
    virtual.install({"/app.py": BLOCKING})
    blocked(virtual, virtual.power_on)
    with serial.Serial(virtual.port, timeout=60) as line:
        line.write(b"\r\x03")
        assert line.read_until(b">>> ").endswith(b">>> ")
    blocked(virtual, virtual.reset)
    _, out, error = roamkey("doctor", "--port", virtual.port)
    assert "ok      agent" in out, out + error  # (an ordinary user's board lacks raw sockets)
    blocked(virtual, virtual.reset)
    code, _, error = roamkey("app", "status", "--port", virtual.port)
    assert code == 3 and error.count("\n") == 1  # the console alone gets no turn


def test_it_is_not_started_a_third_time_until_somebody_asks(virtual, roamkey, tmp_path) -> None:
    virtual.power_cut()
    virtual.install({"/app.py": BLOCKING})
    blocked(virtual, virtual.power_on)
    virtual.power_cut()
    blocked(virtual, virtual.power_on)
    virtual.reset()
    held = "held for an hour: its last two starts left nobody else a turn"
    assert application(virtual, roamkey) == held
    assert asked(virtual, roamkey, "status") == held
    code, out, _ = roamkey("status", "--port", virtual.port)
    assert code == 0 and "held for an hour" in out

    with serial.Serial(virtual.port, timeout=60) as line:
        line.write(b'{"jsonrpc": "2.0", "id": 1, "method": "app", "params": {"set": "start"}}\n')
        assert line.read_until(b"blocks").endswith(b"blocks")
    blocked(virtual, virtual.reset)
    virtual.reset()
    assert application(virtual, roamkey) == held
    both = ("--port", virtual.port, "--registry", tmp_path / "registry.sqlite")
    assert roamkey("seal", *both)[0] == 0
    assert application(virtual, roamkey) == "held"  # in a word, where the board is sealed
    assert roamkey("unseal", *both)[0] == 0
    kept = "kept from starting: roamkey app start"
    assert asked(virtual, roamkey, "stop") == kept
    with_program(virtual, WORKING)
    assert application(virtual, roamkey) == kept
    assert asked(virtual, roamkey, "start") in ("none", "running")
    assert until(lambda: application(virtual, roamkey) == "running", 30)
    assert asked(virtual, roamkey, "stop") == kept
    assert roamkey("seal", *both)[0] == 0
    assert application(virtual, roamkey) == "kept"
    assert roamkey("unseal", *both)[0] == 0
    assert asked(virtual, roamkey, "start") in ("none", "running")
    virtual.reset()
    assert until(lambda: application(virtual, roamkey) == "running", 30)


@pytest.mark.parametrize("program", [EXITING, EXITING_IN_A_TASK])
def test_an_end_that_it_asks_for_ends_it_alone(virtual, roamkey, program: bytes) -> None:
    with_program(virtual, program)
    boots = virtual.boots
    assert until(lambda: application(virtual, roamkey) == "ended", 30)
    time.sleep(3)  # a board that starts again does so after a second
    assert application(virtual, roamkey) == "ended"
    assert virtual.boots == boots


def test_what_it_raises_is_told_with_the_line_it_came_from(virtual, roamkey) -> None:
    with_program(virtual, RAISING)
    assert until(lambda: application(virtual, roamkey) == "ValueError: of the user", 30)
    code, out, error = roamkey("status", "--port", virtual.port, "--json")
    assert code == 0, error
    node = checked("status", out)["node"]
    assert "app.py" in node["application_traceback"]
    (part,) = [one for one in node["parts"] if one["part"] == "application"]
    assert part["faults"] >= 1 and part["fault"] == "ValueError: of the user"


@pytest.mark.parametrize("program", [WORKING, None])
def test_a_ctrl_c_typed_while_sealed_is_void_after_it_was_opened(
    virtual, roamkey, tmp_path, program
) -> None:
    if program:
        with_program(virtual, program)
    both = ("--port", virtual.port, "--registry", tmp_path / "registry.sqlite")
    assert roamkey("seal", *both)[0] == 0
    boots = virtual.boots
    with serial.Serial(virtual.port, timeout=0.2) as line:
        for octets in (b"\x03", b"\n\x03", b"half a line\x03\x03"):
            line.write(octets)
            assert b">>>" not in line.read(4096)
        line.write(b"\x03")
    code, _, error = roamkey("unseal", *both)
    assert code == 0, error
    with serial.Serial(virtual.port, timeout=1) as line:
        assert line.read(4096) == b""  # no prompt, no traceback
    assert application(virtual, roamkey) == ("running" if program else "none")
    assert virtual.boots == boots
    with serial.Serial(virtual.port, timeout=60) as line:  # one typed now counts
        line.write(b"\r\x03")
        assert line.read_until(b">>> ").endswith(b">>> ")
