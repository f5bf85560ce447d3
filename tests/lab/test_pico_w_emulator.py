"""The emulated Pico W as far as it goes without firmware; with it: tests/pico_w."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from roamkey.errors import BadInputError, BoardError, SystemRefusedError
from roamkey.lab.pico_w import EmulatedPicoW, Wear
from roamkey.lab.pico_w import board as module

_RP2040 = 0xE48BFF56
_ESP32 = 0x1C5F21B0


def _uf2(path: Path, family: int = _RP2040) -> Path:
    """The first block of a UF2 file."""
    words = (0x0A324655, 0x9E5D5157, 0x2000, 0x10000000, 256, 0, 1, family)
    block = b"".join(word.to_bytes(4, "little") for word in words)
    path.write_bytes(block.ljust(508, b"\0") + 0x0AB16F30.to_bytes(4, "little"))
    return path


def test_firmware_is_looked_at_before_it_is_run(tmp_path: Path) -> None:
    missing = tmp_path / "missing.uf2"
    with pytest.raises(BadInputError, match="No such file"):
        EmulatedPicoW(missing)
    other = tmp_path / "other.uf2"
    other.write_bytes(b"\x7fELF" * 200)
    with pytest.raises(BadInputError, match="not a UF2"):
        EmulatedPicoW(other)
    with pytest.raises(BadInputError, match="another chip"):
        EmulatedPicoW(_uf2(other, _ESP32))


def test_a_missing_emulator_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(module, "find_spec", lambda _: None)
    with pytest.raises(SystemRefusedError, match="needs the package rp2040py"):
        EmulatedPicoW(_uf2(tmp_path / "fw.uf2"))


def test_without_power_nothing_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(module, "find_spec", lambda _: True)
    board = EmulatedPicoW(_uf2(tmp_path / "fw.uf2"))
    with pytest.raises(BoardError, match="no power"):
        board.lose_network("a")
    assert not board.running
    assert board.flash_log() == Wear()
    assert board.seconds() == 0
    board.power_cut()
    board.stop()


def test_wear_is_added_up_and_a_torn_line_is_not(tmp_path: Path) -> None:
    log = tmp_path / "flash.log"
    log.write_text("erase 4096 4096\nprogram 4096 256\nerase 0 65536\nprogram 4352 16\nprogr")
    wear = Wear.read(log)
    assert wear.erases[4096] == 2 and wear.erases.total() == 17
    assert (wear.page_programs, wear.octets_programmed) == (2, 272)


def test_the_command_says_what_is_wrong_in_one_line(tmp_path: Path) -> None:
    import typer

    from roamkey.cli.lab_pico_w import pico_w

    app = typer.Typer()
    app.command()(pico_w)
    done = CliRunner().invoke(app, ["--uf2", str(_uf2(tmp_path / "fw.uf2")), "--network", "=tap0"])
    assert isinstance(done.exception, BadInputError)
    done = CliRunner().invoke(app, ["--uf2", str(tmp_path)])
    assert isinstance(done.exception, BadInputError)


def test_networks_are_found_joined_and_lost() -> None:
    pytest.importorskip("rp2040py")
    from roamkey.lab.pico_w.wifi import Air

    air = Air({"alpha": None, "beta": None})
    queued: list[bytes] = []
    air.queue_rx_packet = queued.append

    def joined(name: str) -> bool:
        queued.clear()
        air._wanted = name.encode()
        air._queue_join_events()
        return len(queued) > 1

    air._queue_scan_events()
    assert len(queued) == 3  # two networks and the end
    assert b"alpha" in queued[0] and b"beta" in queued[1]
    assert joined("alpha") and not joined("gamma") and joined("beta")
    queued.clear()
    air.lose("alpha")
    assert not queued  # the board isn't there
    air.lose("beta")
    assert len(queued) == 2  # disassociated, link down
    assert not joined("beta")
    air.regain("beta")
    assert joined("beta")


def test_flash_is_written_through(tmp_path: Path) -> None:
    pytest.importorskip("rp2040py")
    from types import SimpleNamespace

    from roamkey.lab.pico_w import flash

    memory = bytearray(b"\xff" * flash.FLASH_OCTETS)

    class Ssi:
        _tx_buffer = b""
        _write_enabled = True

        def _apply_command(self) -> None:
            address = int.from_bytes(self._tx_buffer[1:4], "big")
            data = self._tx_buffer[4:] or b"\xff" * 4096
            memory[address : address + len(data)] = data

    ssi = Ssi()
    image, log = tmp_path / "fs.bin", tmp_path / "flash.log"
    device = SimpleNamespace(mcu=SimpleNamespace(flash=memory, ssi=ssi))
    flash.WrittenThrough(device, image, log)
    start = flash.FILE_SYSTEM_START
    for command, address, data in (
        (flash.CMD_PAGE_PROGRAM, start + 8192, b"x" * 256),
        (flash.CMD_PAGE_PROGRAM, start - 4096, b"y" * 256),  # the firmware's, not the files'
        (flash.CMD_PAGE_PROGRAM, start + 16384, b"z" * 256),
        (flash.CMD_SECTOR_ERASE, start + 16384, b""),
    ):
        ssi._tx_buffer = bytes([command]) + address.to_bytes(3, "big") + data
        ssi._apply_command()
    content = image.read_bytes()
    assert content[8192:8448] == b"x" * 256 and content.count(b"x") == 256
    assert b"y" not in content and b"z" not in content
    wear = Wear.read(log)
    assert wear.erases == {16384: 1} and wear.page_programs == 2
    image.write_bytes(b"short")
    with pytest.raises(BadInputError, match="not a file system image"):
        flash.WrittenThrough(device, image, log)
