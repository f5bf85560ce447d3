"""The flash of a virtual board: an image file that holds one littlefs, nothing before or after it.

Reading and writing here goes through littlefs-python and is for a board without power: a running
interpreter keeps littlefs state in memory and would not see, or would undo, what changes below it.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from littlefs import LittleFS, LittleFSError, UserContext

from roamkey import privatefiles
from roamkey.errors import BadInputError, SystemRefusedError


@dataclass(frozen=True)
class Geometry:
    """The littlefs parameters that a port of MicroPython gives its flash; sizes in octets."""

    block_count: int
    prog_size: int
    read_size: int = 32
    block_size: int = 4096
    lookahead: int = 32

    @property
    def size(self) -> int:
        """The octets of the whole image."""
        return self.block_size * self.block_count

    @property
    def cache_size(self) -> int:
        """As extmod/vfs_lfsx.c sets it: it limits inline files, so both sides must agree."""
        return min(self.block_size, 4 * max(self.read_size, self.prog_size))


RP2 = Geometry(block_count=212, prog_size=256)
"""RPI_PICO_W: 848 KiB of flash for files (ports/rp2/boards/RPI_PICO_W, modules/_boot.py)."""

ESP32 = Geometry(block_count=512, prog_size=32)
"""ESP32 with 4 MiB of flash: the 2 MiB partition `vfs` (ports/esp32/modules/inisetup.py)."""


class FlashImage:
    """An image file of `geometry.size` octets. Paths inside it are absolute, as on the board."""

    def __init__(self, path: Path, geometry: Geometry = RP2) -> None:
        self.path = path
        self.geometry = geometry

    def format(self) -> None:
        """Make the image anew, with an empty file system."""
        files = self._open(bytearray(b"\xff" * self.geometry.size))
        files.format()
        self._store(files)

    def write_files(self, files: Mapping[str, bytes | Path]) -> None:
        """Write each board path's octets, or the host file's; make the folders they need."""
        with self._mounted() as flash:
            for name, content in files.items():
                folder = str(PurePosixPath(name).parent)
                flash.makedirs(folder, exist_ok=True)
                with flash.open(name, "wb") as target:
                    target.write(content if isinstance(content, bytes) else content.read_bytes())

    def read_file(self, name: str) -> bytes:
        """The octets of one file; raises BadInputError where there is none."""
        with self._mounted(keep=False) as flash, flash.open(name, "rb") as source:
            return bytes(source.read())

    def remove_file(self, name: str) -> None:
        """Remove one file; raises BadInputError where there is none."""
        with self._mounted() as flash:
            flash.remove(name)

    def list_files(self) -> dict[str, int]:
        """Every file's path with its size in octets, in order of path."""
        found = {}
        with self._mounted(keep=False) as flash:
            for folder, _, names in flash.walk("/"):
                for name in names:
                    path = str(PurePosixPath(folder) / name)
                    found[path] = int(flash.stat(path).size)
        return dict(sorted(found.items()))

    def used_blocks(self) -> int:
        """How many blocks the file system has given away.

        os.statvfs() under MicroPython says two more for each folder: it counts their pairs twice.
        """
        with self._mounted(keep=False) as flash:
            return int(flash.used_block_count)

    @contextmanager
    def _mounted(self, keep: bool = True) -> Iterator[LittleFS]:
        try:
            content = bytearray(self.path.read_bytes())
        except OSError as error:
            raise SystemRefusedError(f"{self.path}: {error.strerror}") from error
        if len(content) != self.geometry.size:
            raise BadInputError(
                f"{self.path}: {len(content)} octets, the board's flash has {self.geometry.size}"
            )
        flash = self._open(content)
        try:
            flash.mount()
            yield flash
            flash.unmount()
        except LittleFSError as error:
            raise BadInputError(f"{self.path}: littlefs: {error.name}") from error
        except OSError as error:
            raise BadInputError(f"{self.path}: littlefs: {error}") from error
        if keep:
            self._store(flash)

    def _open(self, content: bytearray) -> LittleFS:
        return LittleFS(
            context=UserContext(buffer=content),
            mount=False,
            block_size=self.geometry.block_size,
            block_count=self.geometry.block_count,
            read_size=self.geometry.read_size,
            prog_size=self.geometry.prog_size,
            cache_size=self.geometry.cache_size,
            lookahead_size=self.geometry.lookahead,
            block_cycles=100,
        )

    def _store(self, flash: LittleFS) -> None:
        # The image can hold key material, so it is the owner's alone from its first octet.
        privatefiles.write(self.path, flash.context.buffer)
