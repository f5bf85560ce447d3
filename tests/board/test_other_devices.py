"""A port that speaks, and not as a board of ours: it is told by what it says, and soon."""

import grp
import os
import subprocess
import sys
import time
from pathlib import Path

import devices
import pytest
import serial
from devices import Device
from rom import Mock
from terminals import on_terminal

from roamkey.board import hearing
from roamkey.board.line import ForeignError
from roamkey.board.repl import Repl
from roamkey.board.serial_client import SerialClient
from roamkey.errors import BoardError
from roamkey.lab.board import VirtualBoard

# Where, what it says, each how many seconds, and what a person is told.
OTHERS = {
    "download": (devices.ESP32_DOWNLOAD, 1, "an ESP32 that waits for firmware: write it with "
                 "`roamkey flash`, or let go of BOOT and press reset; it said "
                 '"waiting for download"'),
    "S3": (devices.ESP32_S3_DOWNLOAD, 1, 'firmware: write it with `roamkey flash`'),
    "empty": (devices.ESP32_EMPTY, 0.4, "an ESP32 with nothing in its flash: give it MicroPython: "
              '`roamkey flash`; it said "invalid header: 0xffffffff"'),
    "panic": (devices.ESP32_PANIC, 0.5, "an ESP32 whose firmware crashed (LoadProhibited)"),
    "loop": (devices.ESP32_LOOP, 0.3, "an ESP32 that starts over and over: TG1WDT_SYS_RESET"),
    "brownout": (devices.ESP32_BROWNOUT, 0.4, "an ESP32 that resets for want of power: another "
                 'cable or USB socket, or a supply of its own; it said "Brownout detector was'),
    "circuitpython": (devices.CIRCUITPYTHON, 1, "a board with CircuitPython: give it MicroPython"),
    "nmea": (devices.NMEA, 0.5, 'a GPS receiver (NMEA), not a board; it said "$GP'),
    "login": (devices.LOGIN, 1, "a computer (raspberrypi) that wants a login"),
    "speed": (devices.WRONG_SPEED, 0.2, "what comes isn't text at 115200 baud"),
    "program": (devices.THERMOMETER, 0.3, "something speaks there that isn't roamkey's agent; it "
                'said "t=21.4 h=40"'),
}  # fmt: skip


@pytest.mark.parametrize("name", OTHERS)
def test_it_is_told_by_what_it_says(name: str, roamkey) -> None:
    octets, each_s, words = OTHERS[name]
    with Device(octets, each_s) as device:
        began = time.monotonic()
        code, out, error = roamkey("status", "--port", device.port)
        took = time.monotonic() - began
    assert (code, out) == (3, "") and error.count("\n") == 1
    assert words in error, error
    assert b"\x03" not in device.heard  # nothing was interrupted
    assert took < 8


@pytest.mark.parametrize(
    ("answers", "words"),
    [
        ([devices.MODEM], "a modem, not a board"),
        ([devices.MARLIN], "a 3D printer"),
        ([devices.CIRCUITPYTHON_REPL] * 9, "a board with CircuitPython"),
    ],
)
def test_and_by_what_it_answers(answers: list[bytes], words: str, roamkey) -> None:
    with Device(answer=devices.after(answers)) as device:
        code, _, error = roamkey("status", "--port", device.port)
    assert code == 3 and words in error, error


def test_an_esp32_that_waits_for_firmware_and_says_nothing(roamkey, tmp_path: Path) -> None:
    """It said so before anybody listened; esptool's question is answered."""
    pytest.importorskip("esptool")
    for chip in ("esp32", "esp32s3"):
        with Mock(chip, tmp_path) as rom:
            for command in ("status", "install"):
                code, _, error = roamkey(command, "--port", rom.port)
                assert code == 3
                assert "an ESP32 that waits for firmware: write it with `roamkey" in error


def test_a_terminal_is_told_what_is_waited_for(roamkey) -> None:
    """Until the answer, of which it then shows nothing more; a pipe isn't."""
    with Device() as device:
        shown, code = on_terminal(["status", "--port", device.port])
        notice = f"asking the board at {device.port} ."
        assert code == 3 and notice in shown
        assert shown.index(notice) < shown.index("no answer")
        assert shown[: shown.index("roamkey: ")].endswith("\r")  # it has gone away
        assert "asking" not in "".join(roamkey("status", "--port", device.port)[1:])


def test_boards_says_it_too(roamkey, monkeypatch: pytest.MonkeyPatch) -> None:
    with Device(devices.NMEA, 0.3) as device:
        monkeypatch.setenv("ROAMKEY_PORTS", device.port)
        code, out, _ = roamkey("boards", "--json")
    assert code == 0 and '"silent"' in out and "a GPS receiver (NMEA)" in out


def test_install_waits_for_no_prompt_where_none_will_come(roamkey) -> None:
    for octets, each_s, most_s in ((devices.ESP32_DOWNLOAD, 1, 4), (devices.NMEA, 0.3, 8)):
        with Device(octets, each_s) as device:
            began = time.monotonic()
            code, _, error = roamkey("install", "--port", device.port)
            assert code == 3 and ("waits for firmware" in error or "a GPS receiver" in error)
            assert time.monotonic() - began < most_s + 2


def test_a_board_without_memory_left(roamkey) -> None:
    """What mip6.terminal says then: no answer to anybody's request, and not covered."""
    said = b'{"jsonrpc":"2.0","id":null,"error":{"code":-32603,"message":"no memory left"}}\n'
    with Device(answer=lambda octets: said if octets.endswith(b"\n") else b"") as device:
        code, _, error = roamkey("status", "--port", device.port)
        with pytest.raises(BoardError, match="no memory left to answer"):
            SerialClient(device.port).request("networks")
    assert code == 3
    assert (
        "the board has no memory left to answer: its application (/app.py) takes it all" in error
    )


def test_a_bare_board_is_told_to_install(roamkey, tmp_path: Path) -> None:
    with VirtualBoard(tmp_path / "board.img") as board:
        board.start()
        code, _, error = roamkey("status", "--port", board.port)
    assert (
        code == 3 and "is at its REPL prompt, and no agent runs: `roamkey install` puts" in error
    )
    assert "MicroPython " in error and "(linux [" in error


def raw_repl(port: str) -> None:
    """Leave a board in its raw REPL, as mpremote does that is killed while a program runs."""
    with serial.Serial(port, 115200, timeout=5, exclusive=True) as line:
        line.write(b"\r\x03\r\x01")
        assert line.read_until(b"raw REPL; CTRL-B to exit\r\n>").endswith(b">")


def test_a_raw_repl_that_somebody_left(roamkey, virtual: VirtualBoard, tmp_path: Path) -> None:
    """The agent that the board holds starts again; a board without one comes to its prompt."""
    raw_repl(virtual.port)
    code, out, error = roamkey("status", "--port", virtual.port)
    assert (code, error) == (0, "") and virtual.unique_id.hex() in out
    with VirtualBoard(tmp_path / "bare.img") as bare:
        bare.start()
        raw_repl(bare.port)
        code, _, error = roamkey("status", "--port", bare.port)
        assert code == 3 and "`roamkey install` puts one there" in error
        raw_repl(bare.port)
        with Repl(bare.port) as repl:
            assert repl.facts().platform == "linux"


def test_a_prompt_is_left_as_it_is(roamkey, tmp_path: Path) -> None:
    """Somebody may sit there: what they have in memory stays."""
    with VirtualBoard(tmp_path / "board.img") as board:
        board.start()
        with serial.Serial(board.port, 115200, timeout=1) as line:
            line.write(b"kept = 4711\r\n")
            line.read_until(b">>> ")
        assert roamkey("status", "--port", board.port)[0] == 3
        with serial.Serial(board.port, 115200, timeout=1) as line:
            line.reset_input_buffer()
            line.write(b"print(kept + 1)\r\n")
            assert b"4712" in line.read_until(b"4712")
        assert board.boots == 1


def test_a_busy_port_names_the_program(roamkey, fake) -> None:
    program = (
        "import serial, sys; p = serial.Serial(sys.argv[1], exclusive=True); print(); input()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, fake.port],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    ) as holder:  # fmt: skip
        assert holder.stdout and holder.stdout.readline()
        code, _, error = roamkey("status", "--port", fake.port)
        holder.communicate(b"\n")
    assert code == 3 and "busy: python" in error and f"(process {holder.pid}) has it open" in error


def test_who_reads_a_port_without_a_lock_is_named(roamkey) -> None:
    """As screen and ModemManager do: both open it, and one of them has what comes."""
    with Device() as device, Path(device.port).open() as opened:
        holder = subprocess.Popen(["sleep", "60"], stdin=opened)
        opened.close()
        code, _, error = roamkey("status", "--port", device.port)
        holder.kill()
        holder.wait()
    assert code == 3
    assert f"no answer: sleep (process {holder.pid}) has the port open too" in error


def test_permission_denied_gives_the_command(fake, tmp_path: Path) -> None:
    """As a user without rights, which root has to become."""
    if os.geteuid():
        pytest.skip("needs root, to be somebody else")
    slave = Path(os.path.realpath(fake.port))
    program = (
        "import os, sys\n"
        "from roamkey.board.opening import open_port\n"
        "from roamkey.errors import BoardError\n"
        "os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
        "try: open_port(sys.argv[1])\n"
        "except BoardError as error: print(error)\n"
    )

    def told(group: int, mode: int) -> str:
        os.chown(slave, 0, group)
        slave.chmod(mode)
        done = subprocess.run(
            [sys.executable, "-c", program, str(slave)],
            capture_output=True, text=True, timeout=30, check=True,
        )  # fmt: skip
        return done.stdout.strip().removeprefix(f"{slave}: ")

    dialout = grp.getgrnam("dialout").gr_gid
    before = slave.stat()
    assert told(dialout, 0o660) == (
        "permission denied; run `sudo usermod -aG dialout nobody` and log in again"
    )
    assert "udev rule" in told(0, 0o600) and f"chgrp dialout {slave}" in told(0, 0o600)
    os.chown(slave, before.st_uid, before.st_gid)


def test_no_words_make_it_fail() -> None:
    """Whatever is heard, a line for a person comes of it."""
    pieces = [value for value in vars(devices).values() if isinstance(value, bytes)]
    for piece in pieces:
        for at in range(0, len(piece), 7):
            said = hearing.describe(piece[at:] + piece[:at])
            assert said.isprintable() and len(said) < 300
    assert hearing.describe(b"") == hearing.describe(b"\r\n\0") == ""
    assert hearing.describe(b"\x1b[31mred\x1b[0m\r\n").endswith('it said "red"')


def test_an_esp32_that_started_after_all_waits_for_nothing() -> None:
    assert hearing.recognize(devices.ESP32_DOWNLOAD)
    assert hearing.recognize(devices.ESP32_DOWNLOAD + devices.ESP32_LOOP) is None


def test_a_tracker_whose_application_prints_positions(fake) -> None:
    """A board of ours may say what a GPS says: it answers, so it isn't taken for one."""
    fake.says = lambda line: devices.NMEA * 20 + line
    with SerialClient(fake.port) as client:
        assert client.identify().board == "fa4e"
    assert issubclass(ForeignError, BoardError)
