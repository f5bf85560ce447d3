"""`EmulatedEsp32`: an ESP32-C3 that can be switched on, unplugged and carried out of reach."""

import contextlib
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from roamkey import children, privatefiles
from roamkey.board import images
from roamkey.errors import BadInputError, BoardError, SystemRefusedError
from roamkey.lab.emulated import EmulatedBoard
from roamkey.lab.esp32.qmp import Monitor
from roamkey.lab.virtual_board.process import Spawn

CHIP = "ESP32-C3"
FLASH_OCTETS = 4 << 20
#: The emulator's access points, in the order of its network devices: it has no others.
NETWORKS = ("PICSimLabWifi", "Espressif", "MasseyWifi")
_MACHINE = "esp32c3-picsimlab"
_RADIO = "esp32c3_wifi"
_END_S = 5.0


def flash_image(firmware: Path, files: bytes = b"") -> bytes:
    """The chip's flash as it comes with this firmware. `files`: the file system at its end, if it
    has one already. Raises BadInputError."""
    found = images.read_firmware(firmware)
    if found.kind != "esp" or found.chip != CHIP:
        raise BadInputError(f"{firmware}: firmware for {found.chip}, not for the {CHIP}")
    if found.offset + len(found.content) + len(files) > FLASH_OCTETS:
        raise BadInputError(f"{firmware}: longer than the flash of {FLASH_OCTETS >> 20} MiB")
    content = bytes(b"\xff" * found.offset) + found.content
    return content.ljust(FLASH_OCTETS - len(files), b"\xff") + files


class EmulatedEsp32(EmulatedBoard):
    """An emulated ESP32-C3 with its flash in an image file, as a context manager.

    firmware: what MicroPython's build calls firmware.bin. emulator: QEMU with the machine
    esp32c3-picsimlab. image: the whole flash (made of the firmware if missing; by default in a
    folder that vanishes with the board). taps: of each network of `NETWORKS` in reach, in order,
    the TAP device on its wired side, which the emulator makes and which goes with its power, or
    None: nothing is behind it. spawn: starts the process, like subprocess.Popen (for one in a
    network namespace). Raises BadInputError, SystemRefusedError (no emulator), BoardError (it
    doesn't run).
    """

    def __init__(
        self,
        firmware: Path,
        *,
        emulator: Path,
        image: Path | None = None,
        taps: Sequence[str | None] = (None,),
        spawn: Spawn = subprocess.Popen,
    ) -> None:
        found = shutil.which(emulator)
        if found is None:
            raise SystemRefusedError(f"{emulator}: no such program")
        if len(taps) > len(NETWORKS):
            raise BadInputError(f"the emulator has {len(NETWORKS)} networks at most")
        content = flash_image(firmware)
        self._emulator, self._taps, self._spawn = found, tuple(taps), spawn
        super().__init__("esp32")
        self.image = (image or self._run / "flash.bin").absolute()
        privatefiles.create(self.image, content)  # unless it is there; it will hold keys
        if self.image.stat().st_size != FLASH_OCTETS:
            self._folder.cleanup()
            raise BadInputError(f"{self.image}: not a flash image of {FLASH_OCTETS} octets")
        self._monitor: Monitor | None = None

    def power_on(self) -> None:
        """Plug it in; it boots then. Nothing happens if it has power."""
        if self.running:
            return
        monitor = self._run / "monitor"
        monitor.unlink(missing_ok=True)
        with (self._run / "emulator.log").open("wb") as log:
            self._process = self._spawn(
                self._command(monitor),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        try:
            self._monitor = Monitor(monitor, lambda: not self.running)
            told = self._monitor.ask("query-chardev")
            place = next(one["filename"] for one in told if one["label"] == "serial0")
        except (BoardError, StopIteration):
            self._reap()
            raise BoardError(f"{self._emulator}: {self._last_words()}") from None
        except BaseException:
            self._reap()
            raise
        self._lead_to(place.removeprefix("pty:"))

    def power_cut(self) -> None:
        """Unplug it: the image is as the board's flash was at that instant. Nothing happens
        without power."""
        if self._process is None:
            return
        if self._monitor is not None and self.running:
            with contextlib.suppress(BoardError):  # it ends just now
                self._monitor.ask("stop")  # what the flash took is in the file then
        self._reap()

    def stop(self) -> None:
        """End the emulator and remove what it made, save an image that was named."""
        if self._process is not None:
            children.end(self._process, patience_s=_END_S)
            self._reap()
        self._folder.cleanup()

    def lose_network(self, name: str, *, silently: bool = False) -> None:
        """Carry the board out of a network's reach. The access point says so, as one that is
        switched off in good order, or `silently`: it isn't heard any more. Raises BoardError."""
        self._link(name, False, silently)

    def regain_network(self, name: str, *, silently: bool = False) -> None:
        """Carry it back into reach, after it was lost in the same way. Raises BoardError."""
        self._link(name, True, silently)

    def _link(self, name: str, up: bool, silently: bool) -> None:
        if self._monitor is None or not self.running:
            raise BoardError("the emulated ESP32 has no power")
        place = NETWORKS.index(name)
        self._monitor.ask("set_link", name=f"{'ap' if silently else 'n'}{place}", up=up)

    def _command(self, monitor: Path) -> list[str]:
        command = [
            self._emulator, "-display", "none", "-monitor", "none", "-icount", "shift=3,align=off",
            "-M", _MACHINE, "-drive", f"file={_plain(self.image)},if=mtd,format=raw",
            "-qmp", f"unix:{_plain(monitor)},server=on,wait=off", "-serial", "pty",
        ]  # fmt: skip
        for place, tap in enumerate(self._taps):
            wired = f"tap,id=n{place},ifname={tap},script=no,downscript=no"
            nothing = f"hubport,id=n{place},hubid={place}"
            command += ["-netdev", nothing if tap is None else wired]
            command += ["-net", f"nic,netdev=n{place},model={_RADIO}"]
        return command

    def _last_words(self) -> str:
        lines = (self._run / "emulator.log").read_text(errors="replace").split("\n")
        said = [line.strip() for line in lines if line.strip()]
        return said[-1] if said else "it ended without a word"

    def _reap(self) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait()
        self._process = None
        if self._monitor is not None:
            self._monitor.close()
            self._monitor = None
        (self._run / "repl").unlink(missing_ok=True)


def _plain(path: Path) -> str:
    """As QEMU wants it within a list with commas."""
    return str(path).replace(",", ",,")
