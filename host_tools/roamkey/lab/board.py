"""A virtual board: the real MicroPython on a serial port, booting from a flash image.

To its clients it is a board on a USB cable: a port that mpremote and pyserial open, a littlefs
with `/boot.py` and `/main.py`, a REPL, and a power plug that can be pulled at any instant.

    with VirtualBoard("node.img") as board:
        board.install({"/main.py": b"print('hello')"})
        board.start(power=False)
        console = serial.Serial(board.port, timeout=1)
        board.power_on()
        console.readline()
        board.power_cut()
        board.power_on()  # console is still open, and the files are as the cut left them

User code runs as the user who started it and can do what a unix port can: sockets, and on purpose
(`vfs.VfsPosix`, `os.system`) the host's files. By accident it can't: at `/` there is the flash.
"""

import atexit
import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

from roamkey import privatefiles
from roamkey.errors import BadInputError, BoardError
from roamkey.lab.interpreter import micropython
from roamkey.lab.virtual_board.flash import ESP32, RP2, FlashImage, Geometry
from roamkey.lab.virtual_board.process import Setup, Spawn
from roamkey.lab.virtual_board.supervisor import Supervisor

__all__ = ["ESP32", "RP2", "Geometry", "Spawn", "VirtualBoard"]

_started: set["VirtualBoard"] = set()


class VirtualBoard:
    """One board. Its flash is the file `image`, beside which `<image>.id` keeps its unique id."""

    def __init__(
        self,
        image: Path | str,
        *,
        geometry: Geometry = RP2,
        spawn: Spawn = subprocess.Popen,
        heap_size: int | None = None,
        interpreter: str | None = None,
    ) -> None:
        """Name a board; nothing starts and no file is made yet.

        `spawn` starts the interpreter (see Spawn), so that it can run in a network namespace;
        `heap_size` is in octets, None for the port's own (2 MiB); `interpreter` names a unix port
        with a raw REPL and littlefs, None for `roamkey.lab.interpreter.micropython()`.
        """
        self._flash = FlashImage(Path(image), geometry)
        self._spawn = spawn
        self._heap_size = heap_size
        self._interpreter = interpreter
        self._supervisor: Supervisor | None = None

    def __enter__(self) -> "VirtualBoard":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def __repr__(self) -> str:
        return f"VirtualBoard({str(self.image)!r}, geometry={self.geometry!r})"

    # What it is.

    @property
    def image(self) -> Path:
        """The file that holds the flash; the power_cut copies and snapshots are of this file."""
        return self._flash.path

    @property
    def geometry(self) -> Geometry:
        """The sizes of its flash."""
        return self._flash.geometry

    @property
    def unique_id(self) -> bytes:
        """What `machine.unique_id()` returns: 8 octets, made at random once for an image."""
        path = self.image.with_name(self.image.name + ".id")
        try:
            return bytes.fromhex(path.read_text())
        except FileNotFoundError:
            privatefiles.write(path, os.urandom(8).hex() + "\n", privatefiles.SHARED)
            return bytes.fromhex(path.read_text())
        except ValueError as error:
            raise BadInputError(f"{path}: not an id in hex") from error

    @property
    def port(self) -> str:
        """The path of the serial port, from `start` to `stop`, over resets and power cuts."""
        return self._running().port

    @property
    def powered(self) -> bool:
        """Whether the interpreter runs."""
        return self.pid is not None

    @property
    def pid(self) -> int | None:
        """The process id of the interpreter; None without power."""
        return self._supervisor.pid if self._supervisor else None

    @property
    def boots(self) -> int:
        """How often it has booted since `start`, soft resets included."""
        return self._running().boots

    # Its flash, while it has no power.

    def format(self) -> None:
        """Make the flash anew, with an empty file system."""
        self._unpowered().format()

    def install(self, files: Mapping[str, bytes | Path]) -> None:
        """Write files into the flash (made first if it isn't there): board path to octets, or to
        a file of the host."""
        flash = self._unpowered()
        if not self.image.exists():
            flash.format()
        flash.write_files(files)

    def read_file(self, name: str) -> bytes:
        """The octets of one file of the flash; raises BadInputError where there is none."""
        return self._unpowered().read_file(name)

    def remove_file(self, name: str) -> None:
        """Remove one file of the flash; raises BadInputError where there is none."""
        self._unpowered().remove_file(name)

    def list_files(self) -> dict[str, int]:
        """The path and size in octets of every file of the flash."""
        return self._unpowered().list_files()

    # Its power and its reset button. All that switch power on return once the flash is mounted,
    # before boot.py, and raise BoardError if it doesn't come to that.

    def start(self, *, power: bool = True) -> None:
        """Plug the board in: make the flash if there is none, open the port, power on.

        Without `power` only the port is there, so that a client can hear the first octet.
        """
        if not self.image.exists():
            self._flash.format()
        if self._supervisor is None:
            setup = Setup(
                interpreter=_program(self._interpreter or micropython()),
                flash=self._flash,
                unique_id=self.unique_id,
                heap_size=self._heap_size,
                spawn=self._spawn,
            )
            self._supervisor = Supervisor(setup)
            _started.add(self)
        if not power:
            return
        try:
            self._supervisor.power_on()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Unplug it: no power, no port. `start` plugs it in again, on another port."""
        if self._supervisor:
            self._supervisor.close()
            self._supervisor = None
            _started.discard(self)

    def reset(self) -> None:
        """Press the reset button: the interpreter dies at once and starts again."""
        self._running().reset()

    def power_cut(self, copy_to: Path | str | None = None) -> None:
        """Take the power away at once. The image stays as it was at that instant; `copy_to` gets
        a copy of it. The port stays open; what is sent to it is lost until `power_on`."""
        self._running().power_off()
        if copy_to is not None:
            self._copy(copy_to)

    def power_on(self) -> None:
        """Give the power back after `power_cut`."""
        self._running().power_on()

    def snapshot(self, path: Path | str) -> Path:
        """Copy the flash into a file, as a power cut at this instant would leave it."""
        if self._supervisor:
            self._supervisor.frozen(lambda: self._copy(path))
        else:
            self._copy(path)
        return Path(path)

    def restore(self, path: Path | str) -> None:
        """Put a snapshot back into the flash; a board with power is reset with it."""
        powered = self.powered
        if powered:
            self.power_cut()
        privatefiles.write(self.image, Path(path).read_bytes())
        if powered:
            self.power_on()

    def _copy(self, path: Path | str) -> None:
        privatefiles.write(Path(path), self.image.read_bytes())  # keys may be in it

    def _running(self) -> Supervisor:
        if self._supervisor is None:
            raise BoardError(f"the virtual board {self.image} is not started")
        return self._supervisor

    def _unpowered(self) -> FlashImage:
        if self.powered:
            raise BoardError(f"the virtual board {self.image} has power: its flash is in use")
        return self._flash


def _program(name: str) -> str:
    """An absolute path: the interpreter starts in another folder."""
    return str(Path(shutil.which(name) or name).absolute())


@atexit.register
def _stop_all() -> None:
    """End what a program left running."""
    for board in list(_started):
        board.stop()
