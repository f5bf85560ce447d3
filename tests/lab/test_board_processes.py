"""Virtual boards as processes: none left behind, many at once, idle ones idle, elsewhere."""

import functools
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import serial

from roamkey.lab.board import VirtualBoard

HOLD = """
import sys, time
from roamkey.lab.board import VirtualBoard
board = VirtualBoard(sys.argv[1])
board.install({"/main.py": b"while True: pass"})
board.start()
print(board.pid, flush=True)
"""


def open_descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def alive(pid: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False


def wait_for(condition, seconds=30.0) -> bool:
    until = time.monotonic() + seconds
    while not condition() and time.monotonic() < until:
        time.sleep(0.01)
    return condition()


def test_nothing_is_left_running(board):
    descriptors = open_descriptors()
    board.start()
    pids = [board.pid]
    board.reset()
    pids.append(board.pid)
    board.power_cut()
    board.power_on()
    pids.append(board.pid)
    assert len(set(pids)) == 3
    assert [alive(pid) for pid in pids] == [False, False, True]
    board.stop()
    assert not alive(pids[-1])
    assert open_descriptors() == descriptors


KILLED = "import os; os.kill(os.getpid(), 9)"
UNDER_NOHUP = "import signal; signal.signal(signal.SIGHUP, signal.SIG_IGN)"


@pytest.mark.parametrize("beginning", ["", UNDER_NOHUP])
@pytest.mark.parametrize("ending", ["", KILLED])
def test_a_board_ends_with_its_host(tmp_path, beginning, ending):
    argv = [sys.executable, "-c", beginning + HOLD + ending, str(tmp_path / "board.img")]
    host = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)
    with host:
        pid = int(host.stdout.readline())
        host.wait(timeout=20)
    assert wait_for(lambda: not alive(pid))


def test_sixteen_boards_at_once_and_idle(tmp_path):
    program = b"import machine\nprint(machine.unique_id().hex())"
    boards = [VirtualBoard(tmp_path / f"{number}.img") for number in range(16)]
    consoles = []
    try:
        for board in boards:
            board.install({"/main.py": program})
            board.start(power=False)
            consoles.append(serial.Serial(board.port, timeout=30))
            board.power_on()
        for board, console in zip(boards, consoles, strict=True):
            assert console.readline().strip().decode() == board.unique_id.hex()
            console.read_until(b">>> ")
        before = time.process_time() + sum(cpu_time(board.pid) for board in boards)
        time.sleep(1)
        after = time.process_time() + sum(cpu_time(board.pid) for board in boards)
        assert after - before < 0.1
    finally:
        for board in boards:
            board.stop()
        for console in consoles:
            console.close()


def cpu_time(pid: int) -> float:
    """The seconds of processor time that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@pytest.mark.lab
def test_a_board_runs_in_a_namespace(tmp_path, lab_network):
    lab_network.add_node("board")
    program = b"import socket\nsocket.socket(socket.AF_INET6, socket.SOCK_RAW, 135)\nprint('raw')"
    spawn = functools.partial(lab_network.spawn, "board")
    with VirtualBoard(tmp_path / "board.img", spawn=spawn) as board:
        board.install({"/main.py": program})
        board.start(power=False)
        with serial.Serial(board.port, timeout=30) as console:
            board.power_on()
            ours, theirs = (Path(f"/proc/{pid}/ns/net").readlink() for pid in ("self", board.pid))
            assert ours != theirs
            assert console.readline() == b"raw\n"
            console.read_until(b">>> ")
            console.write(b"\x04")
            assert b"soft reboot" in console.read_until(b"soft reboot")
            assert console.read_until(b">>> ").startswith(b"\r\nraw\n")
