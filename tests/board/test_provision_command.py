"""`roamkey provision` and `roamkey status` as a technician meets them, on a virtual board."""

import os
import pty
import subprocess
import sys
import tty
from pathlib import Path

import pytest
import serial
from json_output import checked
from mobility_samples import vector

from roamkey.board.serial_client import SerialClient
from roamkey.errors import BoardError
from roamkey.lab.board import VirtualBoard
from roamkey.waiting import until

ADDRESSES = ("--home-address", "2001:db8:a::1", "--correspondent", "2001:db8:c::2")
KCN = "5ec2e7" * 10


def one_line(error: str) -> bool:
    return error.startswith("roamkey: ") and error.count("\n") == 1


def test_provision_and_status(virtual: VirtualBoard, roamkey, tmp_path: Path) -> None:
    registry = tmp_path / "registry.sqlite"
    code, out, _ = roamkey("status", "--port", virtual.port)
    assert code == 0 and "no keys: provision the board" in out
    status = checked("status", roamkey("status", "--port", virtual.port, "--json")[1])
    assert (status["keystore"]["status"], status["node"]["state"]) == ("empty", "keyless")

    options = ("provision", "--port", virtual.port, "--registry", registry, *ADDRESSES)
    code, out, error = roamkey(*options, "--generations", "3", "--lifetime", "600")
    assert (code, error) == (0, "")
    board_id = virtual.unique_id.hex()
    for words in (board_id, "2001:db8:a::1", "2001:db8:c::2, key generation 0 to 2", "600 s"):
        assert words in out

    code, out, error = roamkey(*options)
    assert code == 4 and one_line(error) and "--replace" in error

    code, out, _ = roamkey(*options, "--replace", "--json")
    told = checked("provision", out)
    assert told["board"] == board_id and told["correspondents"][0]["generations"] == [3, 4, 5, 6]

    virtual.reset()
    code, out, _ = roamkey("status", "--port", virtual.port, "--json")
    status = checked("status", out)
    assert status["identity"]["set_id"] == told["set_id"]
    assert status["identity"]["board"] == board_id
    (peer,) = status["keystore"]["peers"]
    assert peer["generation"] == 3 and peer["uses_left"] > 65000
    assert status["node"]["state"]
    code, out, _ = roamkey("status", "--port", virtual.port)
    assert code == 0 and "2001:db8:c::2, key generation 3" in out


def test_an_encrypted_registry(virtual: VirtualBoard, roamkey, tmp_path: Path) -> None:
    """Provisioned into with its passphrase, and read by `decode` with the same option."""
    registry, passphrase = tmp_path / "registry.sqlite", tmp_path / "passphrase"
    passphrase.write_text("correct horse battery staple\n")
    passphrase.chmod(0o600)
    both = ("--registry", registry, "--passphrase-file", passphrase)
    code, _, error = roamkey("provision", "--port", virtual.port, *both, *ADDRESSES)
    assert (code, error) == (0, "")
    code, _, error = roamkey("decode", vector("kcn20-nonce0-bu").hex(), "--registry", registry)
    assert code == 4 and one_line(error) and "--passphrase-file" in error
    code, out, error = roamkey("decode", vector("kcn20-nonce0-bu").hex(), *both)
    assert (code, error) == (0, "") and "Binding Update" in out


def test_a_key_file(virtual: VirtualBoard, roamkey, tmp_path: Path) -> None:
    file = tmp_path / "kcn"
    file.write_text(KCN + "\n")
    file.chmod(0o600)
    registry = tmp_path / "registry.sqlite"
    options = ("provision", "--port", virtual.port, "--registry", registry, *ADDRESSES)
    code, out, error = roamkey(*options, "--kcn-file", file)
    assert code == 0, error
    assert KCN not in out + error
    again = roamkey(*options, "--kcn-file", file, "--replace")
    assert again[0] == 4 and one_line(again[2]) and "every key must be of its own" in again[2]
    assert KCN not in again[1] + again[2]
    virtual.power_cut()
    assert bytes.fromhex(KCN) in virtual.read_file("/roamkey/keys")


@pytest.mark.parametrize(
    ("content", "mode", "words"),
    [
        (KCN[:38], 0o600, "19 octets"),
        ("z" * 40, 0o600, "not hexadecimal"),
        (KCN, 0o644, "chmod 600"),
        (None, 0, "No such file"),
    ],
)
def test_bad_key_files(content, mode, words, roamkey, tmp_path: Path) -> None:
    file = tmp_path / "kcn"
    if content is not None:
        file.write_text(content)
        file.chmod(mode)
    registry = tmp_path / "registry.sqlite"
    code, out, error = roamkey(
        *("provision", "--port", "/dev/nowhere", "--registry", registry, *ADDRESSES),
        *("--kcn-file", file),
    )
    assert code == 1 and out == "" and one_line(error) and words in error
    assert KCN[:20] not in error
    assert not registry.exists()


@pytest.mark.parametrize(
    ("home_address", "correspondent", "words"),
    [
        ("fe80::1", "2001:db8:c::2", "--home-address: fe80::1 is not unicast and global"),
        ("ff0e::1", "2001:db8:c::2", "not unicast and global"),
        ("::1", "2001:db8:c::2", "not unicast and global"),
        ("2001:db8::g", "2001:db8:c::2", "not an IPv6 address"),
        ("2001:db8:a::1", "ff02::1", "--correspondent"),
        ("2001:db8:a::1", "2001:db8:A:0::1", "given as a correspondent too"),
    ],
)
def test_bad_addresses(home_address, correspondent, words, roamkey, tmp_path: Path) -> None:
    registry = tmp_path / "registry.sqlite"
    code, _, error = roamkey(
        *("provision", "--port", "/dev/nowhere", "--registry", registry),
        *("--home-address", home_address, "--correspondent", correspondent),
    )
    assert code == 1 and one_line(error) and words in error
    assert not registry.exists()


def test_bad_ports(roamkey, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for port, words in ((tmp_path / "none", "no such port"), (tmp_path / "file", "not a serial")):
        for command in (("status",), ("provision", "--registry", tmp_path / "r", *ADDRESSES)):
            code, _, error = roamkey(*command, "--port", port)
            assert code == 3 and one_line(error) and words in error


def test_a_board_that_does_not_answer(roamkey, tmp_path: Path) -> None:
    master, slave = pty.openpty()
    tty.setraw(slave)
    code, _, error = roamkey("status", "--port", os.ttyname(slave))
    os.close(master)
    os.close(slave)
    assert code == 3 and one_line(error) and "no answer" in error


def test_control_c_gives_the_repl_and_loses_no_number(virtual: VirtualBoard, roamkey) -> None:
    with SerialClient(virtual.port) as client:
        client.identify()
    with serial.Serial(virtual.port, timeout=30) as line:
        line.write(b"half a line\x03")  # drops the line
        line.write(b"\x03")
        assert line.read_until(b">>> ").endswith(b">>> ")
    code, _, error = roamkey("status", "--port", virtual.port)
    assert code == 3 and one_line(error) and "REPL" in error
    with serial.Serial(virtual.port, timeout=30) as line:
        line.write(b"\x04")
        assert b"soft reboot" in line.read_until(b"soft reboot")
    assert roamkey("status", "--port", virtual.port)[0] == 0


def test_mpremote_takes_the_line_and_gives_it_back(virtual: VirtualBoard) -> None:
    with SerialClient(virtual.port) as client:
        client.identify()
    mpremote = [sys.executable, "-m", "mpremote", "connect", virtual.port]
    done = subprocess.run([*mpremote, "exec", "print(6 * 7)"], capture_output=True, timeout=30)
    assert done.stdout.strip() == b"42", done.stderr
    virtual.reset()
    with SerialClient(virtual.port) as client:
        client.identify()


def test_reboot(virtual: VirtualBoard) -> None:
    with SerialClient(virtual.port, answer_s=30) as client:
        client.identify()
        boots = virtual.boots
        client.reboot()
        until(lambda: virtual.boots > boots, 10)
        assert virtual.boots == boots + 1
        client.identify()


def test_noise_on_the_line(virtual: VirtualBoard) -> None:
    with SerialClient(virtual.port, answer_s=30) as client:
        for octets in (b"\x00\xff\x01\x02\x04\r\x80", b"x" * 5000, b"{" * 300 + b"\n" * 20):
            client._line.serial.write(octets)
            client.identify()
        counts = client.status()["console"]
    assert counts["oversized"] == 1 and counts["damaged"] >= 2


def test_a_board_without_power(virtual: VirtualBoard) -> None:
    virtual.power_cut()
    with (
        SerialClient(virtual.port, answer_s=0.3) as client,
        pytest.raises(BoardError, match="no answer"),
    ):
        client.identify()
