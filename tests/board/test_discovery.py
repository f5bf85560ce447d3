"""What is plugged in, and boards named by their ids."""

import json
import os
import pty
import tty
from pathlib import Path

import pytest
from serial.tools import list_ports

from roamkey.board import discovery
from roamkey.board.discovery import Port
from roamkey.errors import BadInputError, BoardError, RefusedError
from roamkey.lab.board import VirtualBoard


class _Info:
    """As pyserial tells of a port."""

    def __init__(self, device: str, vid: int | None, serial_number: str | None = None) -> None:
        self.device, self.vid, self.pid = device, vid, 5
        self.serial_number, self.product = serial_number, "Board in FS mode"


def test_ports_of_usb_and_named_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usb, other, named = (tmp_path / name for name in ("ttyACM0", "ttyS0", "named"))
    folder = tmp_path / "ports"
    folder.mkdir()
    for path in (usb, other, named):
        path.write_text("")
    (folder / "first").symlink_to(named)
    (folder / "again").symlink_to(usb)
    infos = [_Info(str(usb), 0x2E8A, "E66"), _Info(str(other), None)]
    monkeypatch.setattr(list_ports, "comports", lambda: infos)
    monkeypatch.setenv("ROAMKEY_PORTS", f"{folder}:{named}:")
    found = discovery.ports()
    assert [port.path for port in found] == [str(folder / "first"), str(usb)]
    assert found[1].usb is not None
    assert (found[1].usb.vendor, found[1].usb.serial_number) == (0x2E8A, "E66")


def test_what_is_behind_a_port(fake, tmp_path: Path) -> None:
    master, slave = pty.openpty()
    tty.setraw(slave)
    with VirtualBoard(tmp_path / "board.img") as bare:
        bare.start()
        paths = [fake.port, bare.port, os.ttyname(slave), str(tmp_path / "none")]
        found = discovery.look_at_all([Port(path) for path in paths], ask_s=0.5)
    os.close(master)
    os.close(slave)
    states = [each.state for each in found]
    assert states == ["agent", "repl", "silent", "unreachable"]
    assert (found[0].board, found[0].keystore, found[0].provisioned) == ("fa4e", "empty", False)
    assert (found[1].board, found[1].platform) == (bare.unique_id.hex(), "linux")
    assert found[1].provisioned is None and found[1].micropython
    assert found[3].text == "no such port"


def test_a_board_by_its_id(fake) -> None:
    ports = [Port("/dev/none"), Port(fake.port)]
    assert discovery.find("FA4E", ports).port.path == fake.port
    with pytest.raises(BoardError, match=r"no board fa4f is plugged in \(2 port"):
        discovery.find("fa4f", ports)
    for text in ("fa4", "xyzw", ""):
        with pytest.raises(BadInputError, match="hexadecimal"):
            discovery.find(text, ports)


def test_a_beginning_that_fits_two(fake, monkeypatch: pytest.MonkeyPatch) -> None:
    boards = {"a": "aaaa01", "b": "aaaa02", "c": "aaaa"}

    def look(port: Port, ask_s: float) -> discovery.Found:
        return discovery.Found(port, discovery.AGENT, board=boards[port.path])

    monkeypatch.setattr(discovery, "look", look)
    two = [Port("a"), Port("b")]
    with pytest.raises(RefusedError, match="2 boards"):
        discovery.find("aaaa", two)
    assert discovery.find("aaaa02", two).port.path == "b"
    assert discovery.find("aaaa", [*two, Port("c")]).port.path == "c"


def test_usb_serial_numbers_spare_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def look(port: Port, ask_s: float) -> discovery.Found:
        asked.append(port.path)
        return discovery.Found(port, discovery.AGENT, board=f"{port.path}{port.path}")

    monkeypatch.setattr(discovery, "look", look)
    usb = discovery.Usb(0x2E8A, 5, "BBBB", None)
    assert discovery.find("bbbb", [Port("aa"), Port("bb", usb)]).port.path == "bb"
    assert asked == ["bb"]


def test_commands_take_a_board(fake, roamkey, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROAMKEY_PORTS", fake.port)
    code, out, error = roamkey("status", "--board", "fa4e", "--json")
    assert code == 0, error
    assert json.loads(out)["identity"]["board"] == "fa4e"
    code, _, error = roamkey("status", "--board", "0123", "--json")
    assert (
        code == 3
        and error
        == "roamkey: no board 0123 is plugged in (1 port(s) asked); there is fa4e on "
        + fake.port
        + "\n"
    )
    assert roamkey("status", "--board", "fa4e", "--port", fake.port)[0] == 2


def test_the_only_board_is_the_board_meant(fake, roamkey, monkeypatch, tmp_path) -> None:
    """Beside it a port where nobody answers."""
    monkeypatch.delenv("ROAMKEY_PORTS", raising=False)
    monkeypatch.setattr(list_ports, "comports", list)
    code, _, error = roamkey("status")
    assert code == 3 and error.startswith("roamkey: no board is plugged in: no serial port on USB")
    monkeypatch.setenv("ROAMKEY_PORTS", fake.port)
    code, out, error = roamkey("status", "--json")
    assert (code, error) == (0, "") and json.loads(out)["identity"]["board"] == "fa4e"
    master, slave = pty.openpty()
    tty.setraw(slave)
    silent = os.ttyname(slave)
    monkeypatch.setenv("ROAMKEY_PORTS", f"{fake.port}:{silent}")
    assert json.loads(roamkey("status", "--json")[1])["identity"]["board"] == "fa4e"
    monkeypatch.setenv("ROAMKEY_PORTS", f"/dev/null:{silent}")
    code, _, error = roamkey("status")
    assert (
        code == 3
        and f"no board answers on any port: name it by --port: /dev/null, {silent}" in error
    )
    os.close(master)
    os.close(slave)
    with VirtualBoard(tmp_path / "board.img") as other:
        other.start()
        monkeypatch.setenv("ROAMKEY_PORTS", f"{fake.port}:{other.port}")
        code, _, error = roamkey("status")
        there = f"{other.unique_id.hex()} on {other.port}"
    assert code == 2 and "2 boards are plugged in: name one by --board or --port: " in error
    assert f"fa4e on {fake.port}" in error and there in error
