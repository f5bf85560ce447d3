"""The emulated ESP32-C3 as far as it goes without its emulator; with it: tests/esp32."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from support import images

from roamkey.errors import BadInputError, BoardError, SystemRefusedError
from roamkey.lab.esp32 import EmulatedEsp32
from roamkey.lab.esp32.board import FLASH_OCTETS, NETWORKS, flash_image

_C3, _ESP32 = 5, 0  # as image headers name the chips
_SOON_S = 10.0  # less than a monitor is waited for
_RUN = "import sys; from roamkey.cli import main; sys.exit(main())"

#: Stands in for the emulator: says so, and answers on a monitor as QEMU does. What it was asked is
#: in the file `asked`, how it was called in `called`.
_STAND_IN = """#!{python}
# A stand-in for the emulator of tests/lab/test_esp32_emulator.py: it runs no firmware.
import json, os, pty, socket, sys
here = os.path.dirname(os.path.abspath(__file__))
print("a stand-in, no emulator", flush=True)
with open(here + "/called", "w") as file:
    json.dump(sys.argv[1:], file)
_, end = pty.openpty()
path = sys.argv[sys.argv.index("-qmp") + 1].removeprefix("unix:").split(",")[0]
with socket.socket(socket.AF_UNIX) as listening:
    listening.bind(path)
    listening.listen()
    line, _ = listening.accept()
reader = line.makefile("rb")
def say(found):
    line.sendall(json.dumps(found).encode() + b"\\n")
say({{"QMP": {{"version": "a stand-in"}}}})
for asked in reader:
    asked = json.loads(asked)
    with open(here + "/asked", "a") as file:
        print(json.dumps(asked), file=file)
    say({{"event": "an event that nobody waits for"}})
    if asked["execute"] == "query-chardev":
        say({{"return": [{{"label": "{label}", "filename": "pty:" + os.ttyname(end)}}]}})
    elif asked["arguments"].get("name") == "n1":
        say({{"error": {{"desc": "no such link"}}}})
    else:
        say({{"return": {{}}}})
"""


def _program(path: Path, text: str) -> Path:
    path.write_text(text)
    path.chmod(0o755)
    return path


def _shell(path: Path, lines: str) -> Path:
    """A stand-in of one line or two."""
    return _program(path, f"#!/bin/sh\n# A stand-in for the emulator.\n{lines}\n")


@pytest.fixture
def firmware(tmp_path: Path) -> Path:
    return images.esp(tmp_path / "firmware.bin", images.names("a board", "1.28.0"), _C3)


@pytest.fixture
def stand_in(tmp_path: Path) -> Callable[..., Path]:
    def make(label: str = "serial0") -> Path:
        text = _STAND_IN.format(python=sys.executable, label=label)
        return _program(tmp_path / "emulator", text)

    return make


def _asked(tmp_path: Path) -> list[dict[str, object]]:
    lines = (tmp_path / "asked").read_text().splitlines()
    return [json.loads(line) for line in lines]


def test_firmware_is_looked_at_before_it_is_run(tmp_path: Path, firmware: Path) -> None:
    other = tmp_path / "other.bin"
    with pytest.raises(BadInputError, match=r"other\.bin.*No such file"):
        flash_image(other)
    other.write_bytes(b"\x7fELF" * 200)
    with pytest.raises(BadInputError, match="neither a UF2 file nor an ESP32 image"):
        flash_image(other)
    with pytest.raises(BadInputError, match="firmware for ESP32, not for the ESP32-C3"):
        flash_image(images.esp(other, images.names("another", "1.28.0"), _ESP32))
    pico = images.uf2(other, images.names("Raspberry Pi Pico W with RP2040", "1.28.0"))
    with pytest.raises(BadInputError, match="firmware for RP2040, not for the ESP32-C3"):
        flash_image(pico)
    cut = firmware.read_bytes()[:-100]
    other.write_bytes(cut)
    with pytest.raises(BadInputError, match=r"other\.bin"):
        flash_image(other)
    larger = images.esp(other, bytes(FLASH_OCTETS), _C3, megabytes=8)
    with pytest.raises(BadInputError, match="longer than") as refused:
        flash_image(larger)
    assert "\n" not in str(refused.value)


def test_the_flash_is_as_it_comes(firmware: Path) -> None:
    flash, content = flash_image(firmware), firmware.read_bytes()
    assert len(flash) == FLASH_OCTETS and flash.startswith(content)
    assert flash[len(content) :].strip(b"\xff") == b""


def test_an_image_of_another_size_is_left_alone(tmp_path: Path, firmware: Path) -> None:
    image = tmp_path / "flash.bin"
    image.write_bytes(b"short")
    with pytest.raises(BadInputError, match="not a flash image of 4194304 octets"):
        EmulatedEsp32(firmware, emulator=Path("true"), image=image)
    assert image.read_bytes() == b"short"


def test_a_flash_image_is_kept_and_is_its_owners(tmp_path: Path, firmware: Path) -> None:
    image = tmp_path / "flash.bin"
    EmulatedEsp32(firmware, emulator=Path("true"), image=image).stop()
    assert image.read_bytes() == flash_image(firmware)
    assert image.stat().st_mode & 0o777 == 0o600
    image.write_bytes(bytes(FLASH_OCTETS))
    EmulatedEsp32(firmware, emulator=Path("true"), image=image).stop()
    assert not any(image.read_bytes())


def test_a_missing_emulator_is_named(tmp_path: Path, firmware: Path) -> None:
    missing = tmp_path / "qemu"
    with pytest.raises(SystemRefusedError, match="qemu: no such program"):
        EmulatedEsp32(firmware, emulator=missing)
    missing.write_text("not to be executed")
    with pytest.raises(SystemRefusedError, match="qemu: no such program"):
        EmulatedEsp32(firmware, emulator=missing)


def test_it_has_so_many_networks(firmware: Path) -> None:
    with pytest.raises(BadInputError, match="3 networks at most"):
        EmulatedEsp32(firmware, emulator=Path("true"), taps=[None] * 4)


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ("echo starting; echo 'no machine esp32c3-picsimlab' >&2; exit 1", "no machine esp32c3-"),
        ("exit 0", "ended without a word"),
    ],
)
def test_an_emulator_that_ends_at_once_is_quoted(
    tmp_path: Path, firmware: Path, lines: str, said: str
) -> None:
    emulator = _shell(tmp_path / "emulator", lines)
    began = time.monotonic()
    with (
        pytest.raises(BoardError, match=f"^{emulator}: .*{said}") as failed,
        EmulatedEsp32(firmware, emulator=emulator),
    ):
        pass
    assert time.monotonic() - began < _SOON_S
    assert "\n" not in str(failed.value)


def test_an_emulator_without_a_uart_is_ended(
    tmp_path: Path, firmware: Path, stand_in: Callable[..., Path]
) -> None:
    board = EmulatedEsp32(firmware, emulator=stand_in("another"))
    with pytest.raises(BoardError, match="a stand-in, no emulator"):
        board.power_on()
    assert not board.running
    board.stop()


def test_without_power_nothing_is_told(firmware: Path) -> None:
    board = EmulatedEsp32(firmware, emulator=Path("true"))
    for act in (board.lose_network, board.regain_network):
        with pytest.raises(BoardError, match="no power"):
            act(NETWORKS[0])
    assert not board.running
    board.power_cut()
    board.stop()


def test_what_the_emulator_is_told(
    tmp_path: Path, firmware: Path, stand_in: Callable[..., Path]
) -> None:
    with EmulatedEsp32(firmware, emulator=stand_in(), taps=["tap7", None]) as board:
        called = json.loads((tmp_path / "called").read_text())
        assert f"file={board.image},if=mtd,format=raw" in called
        assert "tap,id=n0,ifname=tap7,script=no,downscript=no" in called
        assert "hubport,id=n1,hubid=1" in called
        assert called.count("-net") == 2
        assert Path(board.repl).is_char_device() and board.running
        board.power_on()  # it has power
        board.lose_network(NETWORKS[0])
        board.regain_network(NETWORKS[0])
        board.lose_network(NETWORKS[1], silently=True)
        links = [one["arguments"] for one in _asked(tmp_path) if one["execute"] == "set_link"]
        assert links == [
            {"name": "n0", "up": False},
            {"name": "n0", "up": True},
            {"name": "ap1", "up": False},
        ]
        with pytest.raises(BoardError, match="set_link: no such link"):
            board.lose_network(NETWORKS[1])
        board.power_cut()
        assert _asked(tmp_path)[-1]["execute"] == "stop"
        assert not board.running and not os.path.lexists(board.repl)
        board.power_on()
        assert board.running and Path(board.repl).is_char_device()
    assert not board.running and not board.image.exists()


# `roamkey lab esp32`


def _command(*words: object) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", _RUN, "lab", "esp32", *map(str, words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_the_command_says_what_is_wrong_in_one_line(tmp_path: Path, firmware: Path) -> None:
    ends = _shell(tmp_path / "ends", "echo 'no such machine' >&2; exit 1")
    image = tmp_path / "flash.bin"
    image.write_bytes(b"short")
    for code, said, words in (
        (1, "neither a UF2", ("--firmware", ends, "--emulator", ends)),
        (1, "not a flash image", ("--firmware", firmware, "--emulator", ends, "--flash", image)),
        (5, "no such program", ("--firmware", firmware, "--emulator", tmp_path / "none")),
        (5, "No such file", ("--firmware", firmware, "--emulator", ends,
                             "--flash", tmp_path / "none" / "flash.bin")),
        (3, "no such machine", ("--firmware", firmware, "--emulator", ends)),
    ):  # fmt: skip
        with _command(*words) as command:
            out, error = command.communicate(timeout=60)
        assert (command.returncode, out) == (code, ""), error
        assert error.startswith("roamkey: ") and error.count("\n") == 1 and said in error


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 0), (signal.SIGTERM, 143)])
def test_the_command_prints_a_path_until_a_signal(
    firmware: Path, stand_in: Callable[..., Path], number: signal.Signals, code: int
) -> None:
    with _command("--firmware", firmware, "--emulator", stand_in()) as command:
        assert command.stdout is not None
        port = Path(command.stdout.readline().strip())
        assert port.is_char_device()
        command.send_signal(number)
        assert command.wait(timeout=30) == code
    assert not os.path.lexists(port)


def test_the_command_ends_with_the_emulator(
    tmp_path: Path, firmware: Path, stand_in: Callable[..., Path]
) -> None:
    answered = "os.ttyname(end)}]})"
    text = stand_in().read_text()
    assert answered in text
    emulator = _program(tmp_path / "short", text.replace(answered, f"{answered}; break"))
    with _command("--firmware", firmware, "--emulator", emulator) as command:
        _, error = command.communicate(timeout=60)
    assert (command.returncode, error) == (3, "roamkey: the emulator ended by itself\n")
