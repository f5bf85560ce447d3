"""Flashing: what doesn't fit is refused; an RP2's bootloader and an ESP32's ROM take the rest.

The RP2's bootloader is a stand-in that does with its drive as the ROM does (a folder; a FAT image
where this machine can mount one). The ESP32's is esp32-mock-bootloader, which speaks the ROM's
protocol over a pty to the real esptool. MicroPython afterwards is a virtual board.
"""

import io
import os
import random
import re
import shutil
import struct
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from json_output import checked
from rom import Mock
from support import images

from roamkey.board import bootloader, discovery, flasher
from roamkey.board.esp_images import CHIPS
from roamkey.board.images import read_firmware
from roamkey.board.repl import Repl
from roamkey.errors import BadInputError, BoardError, RefusedError
from roamkey.lab.board import VirtualBoard
from roamkey.waiting import until

_INFO = "UF2 Bootloader v3.0\r\nModel: Raspberry Pi RP2\r\nBoard-ID: RPI-RP2\r\n"
_SIGNAL = "bootloader"


class BootRom:
    """Does as the RP2's ROM: shows a drive once it is entered, starts the board with the file."""

    def __init__(self, board: VirtualBoard, drive: Path, signal: Path) -> None:
        self.board, self.drive, self.signal = board, drive, signal
        self.taken = b""
        self.ended = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> "BootRom":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.ended.set()
        self._thread.join()

    def _run(self) -> None:
        if not self._wait(self.signal.exists):
            return
        self.board.power_cut()
        (self.drive / "INFO_UF2.TXT").write_text(_INFO)
        if self._wait(self._is_complete):
            self.taken = (self.drive / "firmware.uf2").read_bytes()
            for file in self.drive.iterdir():
                file.unlink()
            self.board.power_on()

    def _is_complete(self) -> bool:
        file = self.drive / "firmware.uf2"
        size = file.stat().st_size if file.exists() else 0
        if size < 512:
            return False
        with file.open("rb") as opened:
            return size == 512 * struct.unpack_from("<I", opened.read(32), 24)[0]

    def _wait(self, condition) -> bool:
        while not self.ended.wait(0.02):
            if condition():
                return True
        return False


@pytest.fixture
def rp2(tmp_path: Path) -> Iterator[VirtualBoard]:
    """A virtual board with machine.bootloader()."""
    program = f"""
import machine
def bootloader():
    import time, vfs
    with vfs.VfsPosix().open("{tmp_path / _SIGNAL}", "w") as file:
        file.write("entered")
    time.sleep(1000)
machine.bootloader = bootloader
"""
    with VirtualBoard(tmp_path / "board.img") as board:
        board.install({"/boot.py": program.encode()})
        board.start()
        yield board


def facts(board: VirtualBoard) -> tuple[str, str]:
    """How the board calls itself, and its version."""
    with Repl(board.port) as repl:
        found = repl.facts()
    return str(found.machine), found.micropython


def drive_at(tmp_path: Path) -> Path:
    drive = tmp_path / "RPI-RP2"
    drive.mkdir()
    return drive


def flash_through(rp2: VirtualBoard, drive: Path, tmp_path: Path) -> None:
    content = images.names(*facts(rp2)) * 3000
    firmware = read_firmware(images.uf2(tmp_path / "new.uf2", content))
    steps = []
    with BootRom(rp2, drive, tmp_path / _SIGNAL) as rom:
        done = flasher.flash(
            firmware,
            rp2.port,
            drive=drive,
            progress=lambda step, octets, total: steps.append((step, octets, total)),
            start_s=20,
        )
    assert rom.taken == firmware.content
    assert done.checked and done.chip == "RP2040" and done.port == rp2.port
    assert done.board == rp2.unique_id.hex()
    assert ("writing", len(firmware.content), len(firmware.content)) in steps


def test_rp2_through_its_bootloader(rp2: VirtualBoard, tmp_path: Path) -> None:
    flash_through(rp2, drive_at(tmp_path), tmp_path)


def test_rp2_on_a_real_fat_volume(rp2: VirtualBoard, tmp_path: Path) -> None:
    drive = drive_at(tmp_path)
    image = tmp_path / "fat.img"
    if os.geteuid() or shutil.which("mkfs.vfat") is None:
        pytest.skip("mounting a FAT image needs root and mkfs.vfat (dosfstools)")
    with image.open("wb") as file:
        file.truncate(32 << 20)
    subprocess.run(["mkfs.vfat", "-n", "RPI-RP2", image], check=True, capture_output=True)
    mount = subprocess.run(["mount", "-o", "loop", image, drive], capture_output=True, check=False)
    if mount.returncode:
        pytest.skip("this kernel mounts no FAT image; a folder stood in for it")
    try:
        assert [volume.path for volume in bootloader.volumes()].count(drive) == 0
        flash_through(rp2, drive, tmp_path)
    finally:
        subprocess.run(["umount", drive], check=True)


def test_a_drive_that_appears_is_found(
    rp2: VirtualBoard, roamkey, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drive = drive_at(tmp_path)
    mounts = tmp_path / "mounts"
    escaped = str(drive).replace("-", r"\055")
    mounts.write_text(f"proc /proc proc rw 0 0\n/dev/sda1 {escaped} vfat rw 0 0\n")
    monkeypatch.setattr(bootloader, "_MOUNTS", mounts)
    firmware = read_firmware(images.uf2(tmp_path / "new.uf2", images.names(*facts(rp2))))
    with BootRom(rp2, drive, tmp_path / _SIGNAL):
        code, out, error = roamkey("flash", firmware.path, "--port", rp2.port, "--json")
    assert code == 0, error
    assert checked("flash", out)["checked"]
    with pytest.raises(BoardError, match="hold BOOTSEL on the Pico while you plug it in"):
        flasher.flash(firmware, None)
    (drive / "INFO_UF2.TXT").write_text(_INFO.replace("RPI-RP2", "RP2350"))
    with pytest.raises(RefusedError, match="is for RP2040"):
        flasher.flash(firmware, None)
    found = checked("boards", roamkey("boards", "--json")[1])
    assert [one["volume"] for one in found if one["state"] == "bootloader"] == [str(drive)]
    assert not (drive / "firmware.uf2").exists()


def test_the_boards_own_answer_decides(rp2: VirtualBoard, tmp_path: Path) -> None:
    drive = drive_at(tmp_path)
    machine, _ = facts(rp2)
    firmware = read_firmware(images.uf2(tmp_path / "new.uf2", images.names(machine, "1.99.0")))
    with BootRom(rp2, drive, tmp_path / _SIGNAL), pytest.raises(BoardError, match=r"says 1\.\d"):
        flasher.flash(firmware, rp2.port, drive=drive, start_s=20)


def test_another_model_is_refused_before_anything_happens(
    rp2: VirtualBoard, tmp_path: Path
) -> None:
    content = images.names("Raspberry Pi Pico W with RP2040", "1.28.0")
    firmware = read_firmware(images.uf2(tmp_path / "w.uf2", content))
    assert (firmware.machine, firmware.micropython) == (
        "Raspberry Pi Pico W with RP2040",
        "1.28.0",
    )
    with pytest.raises(RefusedError, match="--force"):
        flasher.flash(firmware, rp2.port)
    assert not (tmp_path / _SIGNAL).exists()


def damaged(path: Path, at: int, value: bytes) -> None:
    content = bytearray(path.read_bytes())
    content[at : at + len(value)] = value
    path.write_bytes(content)


def test_damaged_and_foreign_files(tmp_path: Path) -> None:
    path = tmp_path / "firmware.uf2"
    content = bytes(3000)
    for at, value, words in (
        (512, b"X", "no UF2 block"),
        (1024 - 4, b"X", "no UF2 block"),
        (512 + 28, b"\x00\x00\x00\x00", "more than one kind"),
        (8, b"\x00\x00\x00\x00", "which chip"),
        (512 + 16, b"\xff\xff", "takes 256 at a time"),
        (512 + 12, b"\x80", "takes 256 at a time"),
        (512 + 12, b"\x00\x00", "two blocks for 0x10000000"),
        (512 + 20, b"\x02", "blocks are missing before octet 512"),
        (512 + 24, b"\x02", "blocks are missing before octet 512"),
        (32 + 7, b"X", "checksum of its first block"),
    ):
        damaged(images.uf2(path, content), at, value)
        with pytest.raises(BadInputError, match=words):
            read_firmware(path)
    images.uf2(path, content, family=0x55114460)
    with pytest.raises(BadInputError, match="another chip"):
        read_firmware(path)
    images.uf2(path, content, start=0x10008000)
    with pytest.raises(BadInputError, match="begin and end where flash does"):
        read_firmware(path)
    whole = images.uf2(path, content).read_bytes()
    path.write_bytes(whole[:-512])
    with pytest.raises(BadInputError, match="incomplete"):
        read_firmware(path)
    path.write_bytes(whole[:-100])
    with pytest.raises(BadInputError, match="cut off"):
        read_firmware(path)
    last = {0x10000000: images.boot2(), 0x10000100: bytes(100)}
    path.write_bytes(images.blocks(last))
    with pytest.raises(BadInputError, match="block 1 holds 100 octets"):
        read_firmware(path)
    path.write_text("hello")
    with pytest.raises(BadInputError, match="neither"):
        read_firmware(path)
    with pytest.raises(BadInputError, match="No such file"):
        read_firmware(tmp_path / "none")


def test_a_file_system_inside_is_flashed_by_force_alone(rp2: VirtualBoard, tmp_path: Path) -> None:
    path = tmp_path / "firmware.uf2"
    code = {0x10000000 + 256 * n: images.boot2() if n == 0 else bytes(256) for n in range(64)}
    superblock = b"\x01\0\0\0\xf0\x0f\xff\xf7littlefs".ljust(256, b"\0")
    for more, what in (
        ({0x10004000: superblock}, "a file system"),
        ({0x1012C000: superblock}, "more for 0x1012c000"),
        ({0x1012C000: b"FAT".ljust(256, b"\0")}, "more for 0x1012c000"),
    ):
        path.write_bytes(images.blocks({**code, **more}))
        firmware = read_firmware(path)
        with pytest.raises(RefusedError, match=f"{what}.*--force flashes it all the same"):
            flasher.flash(firmware, rp2.port)
    assert not (tmp_path / _SIGNAL).exists()
    (tmp_path / "none").mkdir()
    with pytest.raises(BadInputError, match="no drive"):  # with force it goes on
        flasher.flash(firmware, None, drive=tmp_path / "none", force=True)


@pytest.mark.lab
def test_a_new_pico_is_set_up_by_its_drive(
    rp2: VirtualBoard, roamkey, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """BOOTSEL held, it has no port: the drive is what is plugged in. The port comes afterwards."""
    drive, sockets = drive_at(tmp_path), tmp_path / "sockets"
    sockets.mkdir()
    mounts = tmp_path / "mounts"
    mounts.write_text(f"/dev/sda1 {drive} vfat rw 0 0\n")
    monkeypatch.setattr(bootloader, "_MOUNTS", mounts)
    monkeypatch.setenv("ROAMKEY_PORTS", str(sockets))
    firmware = images.uf2(tmp_path / "new.uf2", images.names(*facts(rp2)))
    command = (
        "setup", "--firmware", firmware, "--registry", tmp_path / "registry.sqlite",
        "--home-address", "2001:db8:a::1", "--correspondent", "2001:db8:c::2", "--no-reach",
    )  # fmt: skip
    code, _, error = roamkey(*command)
    assert code == 3 and "hold BOOTSEL on the Pico while you plug it in" in error
    (tmp_path / _SIGNAL).write_text("")
    with BootRom(rp2, drive, tmp_path / _SIGNAL) as rom:
        assert until((drive / "INFO_UF2.TXT").exists, 10)

        def plug() -> None:
            until(lambda: rom.taken, 30)
            (sockets / "usb").symlink_to(rp2.port)

        thread = threading.Thread(target=plug)
        thread.start()
        code, out, error = roamkey(*command)
        thread.join()
    assert (code, error) == (0, "") and f"{rp2.unique_id.hex()} on {sockets}" in out


def test_a_real_uf2() -> None:
    named = os.environ.get("PICO_W_UF2")
    if not named:
        pytest.skip("PICO_W_UF2 names no RPI_PICO_W firmware")
    firmware = read_firmware(Path(named))
    assert firmware.machine == "Raspberry Pi Pico W with RP2040"
    assert firmware.micropython is not None


# --- ESP32


@pytest.fixture
def esp32(tmp_path: Path) -> Iterator[Mock]:
    pytest.importorskip("esptool")
    mock = Mock("esp32", tmp_path)
    yield mock
    mock.close()


def test_esp_chips_are_as_esptool_has_them() -> None:
    targets = pytest.importorskip("esptool.targets")
    by_id = {chip.IMAGE_CHIP_ID: chip for chip in targets.CHIP_DEFS.values()}
    for number, (name, offset) in CHIPS.items():
        chip = by_id[number]
        assert (name, offset) == (chip.CHIP_NAME, chip.BOOTLOADER_FLASH_OFFSET)


def whole_esp(tmp_path: Path, **options) -> bytes:
    return images.esp(tmp_path / "esp.bin", b"application" * 500, **options).read_bytes()


def refusal(path: Path, content: bytes) -> str:
    """Why a file is refused; "" where it isn't."""
    path.write_bytes(content)
    try:
        read_firmware(path)
    except BadInputError as error:
        return str(error).removeprefix(f"{path}: ")
    return ""


@pytest.mark.parametrize("digest", [True, False])
def test_an_esp32_image_that_is_cut_anywhere_is_refused(tmp_path: Path, digest: bool) -> None:
    whole = whole_esp(tmp_path, digest=digest)
    path = tmp_path / "cut.bin"
    assert refusal(path, whole) == ""
    ends = {*range(1, 1000, 37), *range(0x7000 - 40, 0x7100, 9), *range(0xF000, len(whole), 53)}
    for end in {*ends, len(whole) // 2, len(whole) - 1}:
        why = refusal(path, whole[:end])
        assert "cut off" in why or 0x7000 < end < 0x7100, (end, why)
        assert why, end


def test_an_esp32_image_that_is_damaged_anywhere_is_refused(tmp_path: Path) -> None:
    """In bootloader, partition table or application; what lies between them is never read."""
    whole = whole_esp(tmp_path)
    path = tmp_path / "damaged.bin"
    rng = random.Random(1)
    inside = [*range(610), *range(0x7000, 0x7000 + 160), *range(0xF000, len(whole))]
    for _ in range(400):
        at = rng.choice(inside)
        content = bytearray(whole)
        content[at] ^= 1 << rng.randrange(8)
        assert refusal(path, bytes(content)), at


@pytest.mark.parametrize(
    ("at", "value", "words"),
    [
        (1, b"\0", "no bootloader where one belongs"),
        (1, b"\x11", "no bootloader where one belongs"),
        (12, b"\x77\0", r"known here \(chip id 119\)"),
        (28, b"\xff\xff\0\0", "its bootloader is longer than the room for it"),
        (40, b"X", "the checksum of its bootloader is wrong"),
        (0x7000, b"\xff", "no partition table at 0x8000"),
        (0x7000 + 5, b"X", "the MD5 of its partition table is wrong"),
        (0xF000, b"\0", "no application where one belongs"),
        (0xF000 + 12, b"\x05", "the SHA-256 of its application is wrong"),
        (0xF000 + 300, b"X", "the checksum of its application is wrong"),
    ],
)
def test_a_damaged_esp32_image_is_told_for_what_it_is(
    tmp_path: Path, at: int, value: bytes, words: str
) -> None:
    content = bytearray(whole_esp(tmp_path))
    content[at : at + len(value)] = value
    assert re.search(words, refusal(tmp_path / "damaged.bin", bytes(content)))


def test_parts_of_an_esp32_image_are_named(tmp_path: Path) -> None:
    whole = whole_esp(tmp_path)
    path = tmp_path / "part.bin"
    assert "an application alone" in refusal(path, whole[0xF000:])
    assert "or a bootloader alone" in refusal(path, whole[:1000])
    other = whole[:0xF000] + whole_esp(tmp_path, chip_id=5)[0x10000:]
    assert refusal(path, other) == "its application is for another chip than its bootloader"


def test_images_are_judged_as_esptool_judges_them(tmp_path: Path) -> None:
    """Whatever esptool finds wrong with an application is found here too, and nothing else."""
    bin_image = pytest.importorskip("esptool.bin_image")
    whole = whole_esp(tmp_path)
    path = tmp_path / "mutated.bin"
    rng = random.Random(2)
    judged = {True: 0, False: 0}
    for _ in range(300):
        content = bytearray(whole)
        for _ in range(rng.randrange(3)):
            content[rng.randrange(0xF000, len(content))] = rng.randrange(256)
        if rng.random() < 0.2:
            del content[rng.randrange(0xF000, len(content)) :]
        try:
            theirs = bin_image.ESP32FirmwareImage(io.BytesIO(content[0xF000:]))
            good = theirs.checksum == theirs.calculate_checksum()
            good = good and theirs.stored_digest == theirs.calc_digest and theirs.chip_id == 0
        except Exception:
            good = False
        judged[good] += 1
        assert (refusal(path, bytes(content)) == "") == good
    assert min(judged.values()) > 50


def test_a_header_as_esptool_reads_it(tmp_path: Path) -> None:
    bin_image = pytest.importorskip("esptool.bin_image")
    file = images.esp(tmp_path / "c3.bin", b"x", chip_id=5)
    header = bin_image.LoadFirmwareImage("esp32c3", str(file))
    assert header.chip_id == 5 and read_firmware(file).chip == "ESP32-C3"


def test_files_in_an_esp32_image_need_force_where_the_boards_are_kept(
    esp32: Mock, tmp_path: Path
) -> None:
    firmware = read_firmware(images.esp(tmp_path / "files.bin", b"x", files=b"littlefs"))
    with pytest.raises(RefusedError, match="brings the partition vfs"):
        flasher.flash(firmware, esp32.port, erase=False)
    assert read_firmware(images.esp(tmp_path / "none.bin", b"x")).files == ""


def test_esp32_is_erased_written_verified_and_asked(
    esp32: Mock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(discovery, "ASK_S", 0.3)
    plug = tmp_path / "ttyUSB0"
    plug.symlink_to(esp32.port)
    with VirtualBoard(tmp_path / "board.img") as board:
        (tmp_path / "board.img.id").write_text("240ac4e29526")  # the mock's MAC
        board.start()
        firmware = read_firmware(images.esp(tmp_path / "esp.bin", images.names(*facts(board))))
        steps: list[str] = []

        def told(step: str, done: int, total: int) -> None:
            if step not in steps:
                steps.append(step)
            if step == "waiting for the board":  # the chip leaves its ROM for MicroPython
                plug.unlink()
                plug.symlink_to(board.port)

        done = flasher.flash(firmware, str(plug), progress=told, start_s=20)
    assert steps == ["connecting", "erasing", "writing", "verifying", "waiting for the board"]
    assert (done.board, done.chip, done.checked) == ("240ac4e29526", "ESP32", True)


def test_esp32_refuses_what_does_not_fit(esp32: Mock, tmp_path: Path) -> None:
    for_c3 = read_firmware(images.esp(tmp_path / "c3.bin", b"x", chip_id=5))
    with pytest.raises(RefusedError, match="is for ESP32-C3, the board has ESP32"):
        flasher.flash(for_c3, esp32.port)
    large = read_firmware(images.esp(tmp_path / "large.bin", b"x", megabytes=8))
    with pytest.raises(RefusedError, match="needs 8 MB of flash, the board has 4MB"):
        flasher.flash(large, esp32.port)
    with pytest.raises(BoardError, match=r"none is plugged in: plug it in; .* hold BOOT"):
        flasher.flash(large, None)


def test_esp32_that_does_not_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    esp = pytest.importorskip("roamkey.board.esp32")
    monkeypatch.setattr(esp, "_ATTEMPTS", 1)
    master, slave = os.openpty()
    firmware = read_firmware(images.esp(tmp_path / "esp.bin", b"x"))
    try:
        with pytest.raises(BoardError) as failure:
            esp.flash(os.ttyname(slave), firmware, erase=True, progress=lambda *step: None)
    finally:
        os.close(master)
        os.close(slave)
    assert "\n" not in str(failure.value)
    with pytest.raises(BoardError, match="no such port"):
        flasher.flash(firmware, str(tmp_path / "none"))
