"""Sealed boards: no REPL by any way of the serial line, and the seal opens to its key alone."""

import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
import serial
from json_output import checked

from mip6.console.lock import response
from roamkey.board.serial_client import ConsoleRefusedError, SerialClient
from roamkey.board.slots import PORTS_BOOT
from roamkey.enroll import lock
from roamkey.errors import BoardError, RefusedError
from roamkey.lab.board import VirtualBoard

ADDRESSES = ("--home-address", "2001:db8:a::1", "--correspondent", "2001:db8:c::2")
REPL_SIGNS = (b">>>", b"raw REPL", b'Type "help', b"Traceback")


def listen(port: str, octets: bytes, seconds: float) -> bytes:
    """What a board says while it is sent `octets` again and again."""
    said = b""
    with serial.Serial(port, timeout=0.02) as line:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            line.write(octets)
            said += line.read(4096)
    return said


def no_repl(said: bytes) -> None:
    for sign in REPL_SIGNS:
        assert sign not in said, said


@pytest.fixture
def sealed(virtual: VirtualBoard, roamkey, tmp_path: Path):
    """A provisioned and sealed board, its registry, and the command line for both."""
    registry = tmp_path / "registry.sqlite"
    both = ("--port", virtual.port, "--registry", registry)
    assert roamkey("provision", *both, *ADDRESSES)[0] == 0
    code, out, error = roamkey("seal", *both, "--json")
    assert (code, error) == (0, "")
    told = checked("seal", out)
    assert told["board"] == virtual.unique_id.hex() and not told["finished"]
    return virtual, both


def test_no_repl_by_any_key(sealed) -> None:
    board, _ = sealed
    for octets in (b"\x03", b"\r\x03\x03", b"\x01", b"\x04", b"\x02", b"\x05A\x01", b"\n\x03\n"):
        no_repl(listen(board.port, octets, 0.3))
    no_repl(listen(board.port, bytes(range(256)), 0.5))
    with SerialClient(board.port) as client:
        assert client.identify().sealed


def test_mpremote_gets_no_repl(sealed) -> None:
    board, _ = sealed
    for command in (["exec", "print(6 * 7)"], ["resume", "exec", "print(6 * 7)"]):
        with pytest.raises(subprocess.TimeoutExpired) as caught:
            subprocess.run(
                [sys.executable, "-m", "mpremote", "connect", board.port, *command],
                capture_output=True,
                timeout=4,
                check=True,
            )
        no_repl(caught.value.stdout or b"")
        assert b"42" not in (caught.value.stdout or b"")
    with SerialClient(board.port, answer_s=30) as client:
        assert client.identify().sealed


@pytest.mark.slow
def test_no_repl_while_it_starts(sealed) -> None:
    """Ctrl-C all the time, through power cycles and resets, from before power until long after."""
    board, _ = sealed
    with serial.Serial(board.port, timeout=0) as line:
        said = b""
        for turn in range(12):
            if turn % 2:
                board.reset()
            else:
                board.power_cut()
                line.write(b"\x03" * 50)
                board.power_on()
            end = time.monotonic() + 0.4
            while time.monotonic() < end:
                line.write(b"\r\x03\x03")
                said += line.read(4096)
                time.sleep(0.001 * turn)
        no_repl(said)
    with SerialClient(board.port, answer_s=30) as client:
        assert client.identify().sealed


def test_no_repl_where_the_agent_is_broken(sealed, tmp_path: Path) -> None:
    """A file that is missing or wrong leads to restarts, or fails alone: never to a prompt."""
    board, _ = sealed
    for name, content, restarts in (
        ("agent", b"raise KeyError(5)", 3),
        ("console/methods", b"this is no program", 0),
    ):
        path = f"/lib/mip6/{name}.py"
        board.power_cut()
        whole = board.read_file(path)
        board.install({path: content})
        boots = board.boots
        board.power_on()
        said, end = b"", time.monotonic() + (60 if restarts else 5)
        while not restarts or board.boots < boots + restarts:
            if time.monotonic() >= end:
                break
            said += listen(board.port, b"\r\x03\x03{}\n", 0.5)
        no_repl(said)
        assert board.boots >= boots + restarts
        board.power_cut()
        board.install({path: whole})
    board.power_on()
    with SerialClient(board.port, answer_s=30) as client:
        assert client.identify().sealed


def test_it_answers_who_and_how_it_is_and_nothing_else(sealed, roamkey) -> None:
    board, both = sealed
    status = checked("status", roamkey("status", "--port", board.port, "--json")[1])
    assert status["identity"]["sealed"]
    code, out, _ = roamkey("status", "--port", board.port)
    assert code == 0 and "seal" in out and "2001:db8:a::1" in out
    for command in (
        ("provision", *both, *ADDRESSES, "--replace"),
        ("rekey", *both),
        ("erase", *both, "--yes"),
        ("networks", "list", "--port", board.port),
    ):
        code, _, error = roamkey(*command)
        assert code == 4 and "the board is sealed" in error and error.count("\n") == 1, command


def test_the_right_key_opens_it_and_wrong_ones_wait(sealed, roamkey, monkeypatch) -> None:
    board, both = sealed
    wrong = {}
    monkeypatch.setattr(
        lock,
        "response",
        lambda key, *rest: response(bytes(32), *rest) if wrong else response(key, *rest),
    )
    wrong["now"] = True
    code, _, error = roamkey("unseal", *both)
    assert code == 4 and "doesn't take the registry's key" in error and error.count("\n") == 1
    waits: list[int] = []
    while len(waits) < 3:
        time.sleep(waits[-1] + 0.1 if waits else 0)
        code, _, error = roamkey("unseal", *both)
        while "doesn't take" in error:  # again, should the command have taken longer than the wait
            assert code == 4 and error.count("\n") == 1
            code, _, error = roamkey("unseal", *both)
        found = re.search(r"takes no attempt for (\d+) s", error)
        assert code == 4 and found, error
        waits.append(int(found[1]))
    assert waits == sorted(set(waits))
    board.power_cut()  # gains nothing: the wait starts anew
    board.power_on()
    del wrong["now"]
    found = re.search(r"takes no attempt for (\d+) s", roamkey("unseal", *both)[2])
    assert found
    with SerialClient(board.port) as client, pytest.raises(ConsoleRefusedError) as refused:
        client.identify()
        client.ask("unseal", {"response": "00" * 20})
    assert refused.value.code == -32004
    time.sleep(int(found[1]) + 0.1)
    code, out, _ = roamkey("unseal", *both, "--json")
    assert code == 0 and checked("unseal", out)["finished"] is False
    code, _, error = roamkey("unseal", *both)
    assert code == 4 and "is not sealed" in error
    assert roamkey("rekey", *both)[0] == 0
    with serial.Serial(board.port, timeout=30) as line:
        line.write(b"\r\x03")
        assert line.read_until(b">>> ").endswith(b">>> ")


def test_another_registry_has_no_key(sealed, roamkey, tmp_path: Path) -> None:
    board, both = sealed
    other = ("--port", board.port, "--registry", tmp_path / "other.sqlite")
    for command in ("seal", "unseal"):
        (tmp_path / "other.sqlite").unlink(missing_ok=True)
        boardseal_registry(tmp_path / "other.sqlite")
        code, _, error = roamkey(command, *other)
        assert code == 4 and "not in this registry" in error
    code, out, _ = roamkey("seal", *both)
    assert code == 0 and "was sealed already" in out


def boardseal_registry(path: Path) -> None:
    from roamkey.registry import Registry

    Registry.open(path).close()


def test_a_boot_py_keeps_it_from_being_sealed(virtual: VirtualBoard, roamkey, tmp_path) -> None:
    virtual.power_cut()
    virtual.install({"/boot.py": b"# nothing\n"})
    virtual.power_on()
    both = ("--port", virtual.port, "--registry", tmp_path / "registry.sqlite")
    code, _, error = roamkey("seal", *both)
    assert code == 4 and "/boot.py can be interrupted" in error
    assert "roamkey install" in error and "mpremote fs rm :/boot.py" in error
    assert error.count("\n") == 1
    code, _, error = roamkey("unseal", *both)
    assert code == 4 and "is not sealed" in error


def test_the_boot_py_of_the_esp32_port_goes_with_an_installation(
    virtual: VirtualBoard, roamkey, tmp_path
) -> None:
    virtual.power_cut()
    virtual.install({"/boot.py": PORTS_BOOT.encode()})
    virtual.power_on()
    both = ("--port", virtual.port, "--registry", tmp_path / "registry.sqlite")
    assert roamkey("seal", *both)[0] == 4
    code, out, _ = roamkey("install", "--port", virtual.port, "--json")
    assert code == 0 and checked("install", out)["boot"] == "removed"
    code, out, _ = roamkey("install", "--port", virtual.port, "--json")
    assert code == 0 and checked("install", out)["boot"] == "none"
    assert roamkey("seal", *both)[0] == 0


@pytest.mark.parametrize("lost", ["seal", "unseal"])
def test_a_lost_answer_is_settled_by_a_second_run(lost, registry, fake, hasty) -> None:
    def lose(line: bytes) -> bytes:
        wanted = b'"result": {"seal_id": "' if lost == "seal" else b'"result": {}'
        return b"" if wanted in line and b"challenge" not in line else line

    if lost == "unseal":
        lock.seal(registry, fake.port, connect=hasty)
    job = lock.seal if lost == "seal" else lock.unseal
    fake.says = lose
    with pytest.raises(BoardError, match="run the same command again"):
        job(registry, fake.port, connect=hasty)
    assert registry.seal_of("fa4e") is not None
    fake.says = bytes
    done = job(registry, fake.port, connect=hasty)
    assert done.finished
    assert (registry.seal_of("fa4e") is None) == (lost == "unseal")
    if lost == "seal":
        assert not lock.unseal(registry, fake.port, connect=hasty).finished
        with pytest.raises(RefusedError, match="not sealed"):
            lock.unseal(registry, fake.port, connect=hasty)
