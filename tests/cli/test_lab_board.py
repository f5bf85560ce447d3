"""`roamkey lab board` as a process: a port on stdout, a board behind it, a clean end."""

import signal
import subprocess
import sys

import pytest
import serial

RUN = "import typer; from roamkey.cli.lab_board import lab_board; typer.run(lab_board)"


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
def test_prints_its_port_and_ends_on_a_signal(tmp_path, ending):
    argv = [sys.executable, "-c", RUN, str(tmp_path / "board.img"), "--flash", "esp32"]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as command:
        port = command.stdout.readline().strip()
        with serial.Serial(port, timeout=30) as console:
            console.write(b"\r6 * 7\r")
            answer = console.read_until(b"42\n")
        command.send_signal(ending)
        assert command.wait(timeout=30) == 0
    assert b"\r\n42\n" in answer
