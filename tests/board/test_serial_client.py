"""The serial client on lines that are bad in every way that lines are."""

import contextlib
import os
import pty
import random
import threading
import time
import tty
from pathlib import Path

import pytest

from mip6 import addresses
from mip6.console import framing
from roamkey.board import serial_client
from roamkey.board.opening import PortError
from roamkey.board.serial_client import ConsoleRefusedError, SerialClient
from roamkey.enroll import deliver
from roamkey.enroll.plan import Plan
from roamkey.errors import BoardError
from roamkey.lab.board import VirtualBoard


def test_a_port_that_does_not_exist(monkeypatch) -> None:
    with pytest.raises(PortError, match=r"^/dev/nowhere: no such port; none is plugged in"):
        SerialClient("/dev/nowhere")
    monkeypatch.setenv("ROAMKEY_PORTS", "/dev/null:/dev/zero")
    with pytest.raises(PortError, match=r"no such port; there is /dev/null, /dev/zero$") as caught:
        SerialClient("/dev/nowhere")
    assert caught.value.brief == "no such port"


def test_a_plain_file_and_a_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file", tmp_path):
        with pytest.raises(BoardError, match="not a serial port"):
            SerialClient(str(path))


def test_a_busy_port(fake) -> None:
    with SerialClient(fake.port), pytest.raises(BoardError, match="busy"):
        SerialClient(fake.port)


def test_nobody_answers() -> None:
    master, slave = pty.openpty()
    tty.setraw(slave)
    with (
        SerialClient(os.ttyname(slave), answer_s=0.2) as client,
        pytest.raises(BoardError, match="no answer"),
    ):
        client.identify()
    os.close(master)
    os.close(slave)


def test_a_board_that_goes_away(fake) -> None:
    fake.unplug_after = 10
    with SerialClient(fake.port) as client, pytest.raises(BoardError, match="went away"):
        client.identify()


def test_a_board_at_its_repl(tmp_path: Path) -> None:
    with VirtualBoard(tmp_path / "board.img") as board:
        board.start()
        with (
            SerialClient(board.port) as client,
            pytest.raises(BoardError, match="REPL prompt"),
        ):
            client.identify()


def test_a_raw_repl_is_slow_to_end(fake) -> None:
    """Prompts for lines that came before the reset say nothing of what starts after it."""
    mode = ["raw"]

    def hears(octet: bytes) -> bytes:
        if mode[0] == "agent":
            return octet
        if octet == b"\x02":
            mode[0] = "friendly"
            os.write(fake._master, b"\r\nMicroPython v1.28.0 on a day; a board\r\n>>> ")
        elif octet == b"\n" and mode[0] == "friendly":
            os.write(fake._master, b"\r\n>>> ")
        elif octet == b"\x04" and mode[0] == "friendly":
            for said in (b"\r\n>>> ", b"\r\n>>> \r\nMPY: soft reboot\r\n", b""):
                time.sleep(0.7)
                os.write(fake._master, said)
            mode[0] = "agent"
        return b""

    fake.hears = hears
    with SerialClient(fake.port) as client:
        assert client.identify().board == "fa4e"


def test_noise_before_a_request_is_survived(fake) -> None:
    noise = random.Random(1)
    with SerialClient(fake.port) as client:
        for length in (1, 5, 300, 3000):
            octets = bytes(noise.randrange(256) for _ in range(length)).replace(b"\x03", b"")
            client._line.serial.write(octets)
            assert client.identify().board == "fa4e"


def test_what_is_no_answer_is_skipped(fake) -> None:
    fake.says = lambda line: b'log\r\n{"id": 1, "result": 3}\n\xff\x00\tdeadbeef\n[1]\n' + line
    with SerialClient(fake.port) as client:
        assert client.identify().board == "fa4e"


def test_an_error_of_the_board(fake) -> None:
    with SerialClient(fake.port) as client, pytest.raises(ConsoleRefusedError) as caught:
        client.request("no_such_method")
    assert caught.value.code == -32601
    assert caught.value.exit_code == 4


@pytest.mark.parametrize("seed", range(8))
def test_lost_and_doubled_octets_both_ways(fake, seed: int) -> None:
    dice = random.Random(seed)

    def spoil(octets: bytes) -> bytes:
        chances = (dice.random() for _ in octets)
        made = (
            b"" if chance < 0.0005 else bytes([octet] * (1 + (chance < 0.001)))
            for octet, chance in zip(octets, chances, strict=True)
        )
        return b"".join(made)

    fake.hears = fake.says = spoil
    with SerialClient(fake.port, answer_s=5) as client:
        assert client.identify().board == "fa4e"


def covered(text: str) -> bytes:
    return framing.cover(text.encode()) + b"\n"


def test_a_cable_that_echoes(fake, registry, hasty) -> None:
    """Our own lines come back, long ones in pieces too."""
    fake.echoes = True
    with SerialClient(fake.port) as client:
        assert client.identify().board == "fa4e"
        assert "keystore" in client.status()
        with pytest.raises(ConsoleRefusedError) as caught:
            client.request("no_such_method")
    assert caught.value.code == -32601
    home, peer = addresses.parse("2001:db8:a::1"), addresses.parse("2001:db8:c::2")
    held = deliver.provision(registry, fake.port, Plan(home, (peer,)), connect=hasty)
    assert held.set_id == fake.set_id


def test_a_port_is_free_though_a_program_that_just_starts_has_a_copy_of_it(fake) -> None:
    with SerialClient(fake.port) as client:
        copy = os.dup(client._line.serial.fileno())  # as a fork has until it runs another program
    try:
        with SerialClient(fake.port) as client:
            client.identify()
    finally:
        os.close(copy)


def test_a_late_answer_to_the_client_before_is_none(fake) -> None:
    """Whoever asks twice where once would do, and goes, leaves an answer on the line."""
    late: list[bytes] = []
    fake.says = lambda line: late.append(line) or b""
    with SerialClient(fake.port, answer_s=0.4) as client, pytest.raises(BoardError):
        client.identify()
    fake.says = lambda line: b"".join(late) + line
    with SerialClient(fake.port) as client:
        assert isinstance(client.status()["keystore"], dict)


def test_an_echo_is_no_board(monkeypatch) -> None:
    """What comes back may be changed on its way: only an answer is one."""
    monkeypatch.setattr(serial_client, "_first_id", lambda: 1)
    master, slave = pty.openpty()
    tty.setraw(slave)
    changes = [
        bytes,
        lambda line: line.replace(b'"id"', b'"jsonrpc":"2.0","id"'),
        lambda _: covered('{"id":3,"method":"identify","result":{"board":"x"}}'),
        lambda _: covered('{"id":4}') + covered('{"id":4,"error":"none"}'),
    ]

    def echo() -> None:
        with contextlib.suppress(OSError):
            while read := os.read(master, 4096):
                for line in read.split(b"\n"):
                    if line:
                        os.write(master, changes[0](line) + b"\n")

    thread = threading.Thread(target=echo, daemon=True)
    thread.start()
    with SerialClient(os.ttyname(slave), answer_s=0.2) as client:
        with pytest.raises(BoardError, match="the line echoes, and nothing else answers"):
            client.identify()
        while len(changes) > 1:
            del changes[0]
            with pytest.raises(BoardError):
                client.identify()
    os.close(slave)
    os.close(master)
    thread.join(5)
