"""The technician's hour: one board and a cable, from a bare board to a node, and back to nothing.

Nowhere is a port named: what is plugged in is what is meant.
"""

from pathlib import Path

import pytest
import serial
from support import devices, images
from support.account import Account
from support.devices import Device

from roamkey.lab.board import VirtualBoard

APP = b"import node_that_is_not_there\n\nasync def main(node):\n    pass\n"
PASSWORD = "correct horse battery"


class Bench:
    """The sockets of a computer: a folder of ports, in which things are plugged in and out."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()

    def plug(self, port: str) -> None:
        """Have this port there, and no other."""
        self.clear()
        (self.folder / "usb").symlink_to(port)

    def clear(self) -> None:
        """Unplug what is there."""
        for link in self.folder.iterdir():
            link.unlink()


@pytest.mark.slow
@pytest.mark.lab
def test_one_board_and_no_patience(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "sockets")
    variables = {"ROAMKEY_PORTS": str(bench.folder)}
    with (
        Account(tmp_path / "account", variables=variables) as technician,
        VirtualBoard(tmp_path / "board.img") as board,
    ):
        run = technician.run

        # Nothing is plugged in, or the wrong thing.
        assert "no board is plugged in" in run("roamkey status").ended(3).errors
        uf2 = images.uf2(
            tmp_path / "pico.uf2", images.names("Raspberry Pi Pico W with RP2040", "1.28.0")
        )
        assert "hold BOOTSEL on the Pico" in run(f"roamkey flash {uf2}").ended(3).errors
        with Device(devices.NMEA, 0.3) as gps:
            bench.plug(gps.port)
            assert "a GPS receiver (NMEA), not a board" in run("roamkey status").ended(3).errors
        bench.clear()
        assert "no such port; none is" in run("roamkey status --port /dev/ttyX9").ended(3).errors

        # A bare board, and what to do about it.
        board.start()
        bench.plug(board.port)
        assert "`roamkey install` puts one" in run("roamkey status").ended(3).errors
        assert "`roamkey init` makes one" in run("roamkey setup").ended(1).errors
        run("roamkey init --reach 192.0.2.1").ok()
        assert "--open if it has none" in run("roamkey setup --wifi depot").ended(2).errors
        done = run(
            "roamkey setup --wifi depot --password-file - --lifetime 1h", typed=PASSWORD + "\n"
        ).ok()
        assert board.unique_id.hex() in done.output and "Wi-Fi          depot" in done.output
        assert "depot  (with a password)" in run("roamkey networks list").ok().output
        told = run("roamkey status --json").ok().json()
        assert told["keystore"]["status"] == "ready"
        assert "fit for the agent" in run("roamkey doctor").ok().output

        # Again, and nothing happens to it.
        boots = board.boots
        assert "nothing to do" in run("roamkey install").ok().output
        assert board.boots == boots

        # An application that fails says how.
        app = tmp_path / "app.py"
        app.write_bytes(APP)
        run(f"roamkey install --app {app}").ok()
        said = run("roamkey status").ok().output
        assert "application    ImportError: no module named 'node_that_is_not_there'" in said
        assert 'File "app.py", line 1, in <module>' in said

        # mpremote was killed amid a program: its raw REPL is left behind, and then not any more.
        with serial.Serial(board.port, 115200, timeout=5, exclusive=True) as line:
            line.write(b"\r\x03\r\x01")
            assert line.read_until(b"raw REPL; CTRL-B to exit\r\n>").endswith(b">")
        assert board.unique_id.hex() in run("roamkey status").ok().output

        # Back to nothing, once it is meant.
        kept = run("roamkey erase", typed="n\n").ended(1)
        assert "Wi-Fi          depot" in kept.output and "nothing done" in kept.errors
        gone = run("roamkey erase", typed="y\n").ok().output
        assert "Wi-Fi depot; the event log" in gone and "its keys are retired" in gone
        assert "no networks" in run("roamkey networks list").ok().output
        board.power_cut()
        assert PASSWORD.encode() not in board.image.read_bytes()
    for path in (tmp_path / "account" / "home").rglob("*"):
        assert not path.is_file() or PASSWORD.encode() not in path.read_bytes()
