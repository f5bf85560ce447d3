"""The key store's files: littlefs on boards, POSIX elsewhere. One back end for rp2, ESP32, unix.

On littlefs a rewrite of a file is atomic (old or new, in one metadata commit); writing to a
temporary name and renaming would cost three commits. On POSIX file systems it is the rename that
is atomic. On FAT nothing is, so nothing is written there. See docs/DESIGN.md, "Storage".
"""

import errno
import os
import sys

from ..compat import MICROPYTHON, const

TYPE_CHECKING = const(False)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO

_LITTLEFS = "littlefs"
_POSIX = "posix"
_FAT = "fat"

_ENOSPC = const(28)  # MicroPython's errno has no name for it


def _kind(root: str) -> str:
    """Which of the three holds `root`: the mounted file system of the longest matching path."""
    try:
        import vfs

        mounts = vfs.mount()
    except ImportError:
        return _POSIX  # CPython
    except TypeError:  # MicroPython before 1.26 doesn't tell; boards come with littlefs
        return _POSIX if sys.platform in ("linux", "darwin") else _LITTLEFS
    best, found = -1, None
    for system, path in mounts:
        inside = path == "/" or root == path or root.startswith(path + "/")
        if inside and len(path) > best:
            best, found = len(path), system
    name = str(type(found))
    return _LITTLEFS if "VfsLfs" in name else _FAT if "VfsFat" in name else _POSIX


def _open_private(path: str) -> "BinaryIO":
    """Open a file to write that only its owner may read, where there are owners."""
    if not MICROPYTHON:
        return open(path, "wb", opener=lambda name, flags: os.open(name, flags, 0o600))
    return open(path, "wb")


def _missing(error: "OSError") -> bool:
    return bool(error.args) and error.args[0] == errno.ENOENT


class FileStore:
    """Records as files below the folder `root` (an absolute path). Raises OSError."""

    def __init__(self, root: str) -> None:
        self._root = root
        self._kind = _kind(root)
        self.filler = None  # a file that grows until flash is full (scrubbing.py)

    def path(self, name: str) -> str:
        """Where the record is."""
        return self._root + "/" + name

    def read(self, name: str) -> bytes | None:
        """The octets of the record, or None if there is none."""
        try:
            with open(self.path(name), "rb") as file:
                return file.read()
        except OSError as error:
            if _missing(error):
                return None
            raise

    def write(self, name: str, data: bytes) -> None:
        """Replace or create the record: afterwards it is on the medium; on failure, the old is."""
        if self._kind == _FAT:
            raise OSError(errno.EPERM)
        try:
            self._put(name, data)
        except OSError as error:
            from ..maintenance import scrubbing

            if _missing(error):
                scrubbing.make_folders(self.path(name))
            elif error.args[0] != _ENOSPC or not scrubbing.end_filling(self):
                raise
            self._put(name, data)

    def _put(self, name: str, data: bytes) -> None:
        path = self.path(name)
        if self._kind == _LITTLEFS:
            with open(path, "wb") as file:
                file.write(data)
            return
        with _open_private(path + ".new") as file:
            file.write(data)
            file.flush()  # MicroPython: this is fsync
            if not MICROPYTHON:
                os.fsync(file.fileno())
        os.rename(path + ".new", path)
        if not MICROPYTHON:
            folder = os.open(path.rsplit("/", 1)[0], os.O_RDONLY)
            try:
                os.fsync(folder)  # the new name is durable only then
            finally:
                os.close(folder)

    def remove(self, name: str) -> None:
        """Remove the record, if there is one, and what a cut left of one half-written."""
        for end in ("", ".new") if self._kind == _POSIX else ("",):
            try:
                os.remove(self.path(name) + end)
            except OSError as error:
                if not _missing(error):
                    raise

    def names(self) -> list[str]:
        """The names of the records, sorted."""
        from ..maintenance import scrubbing

        return sorted(scrubbing.names(self))

    def scrubbing(self) -> "Iterator[None]":
        """Overwrite what removed records left behind: a generator, see scrubbing.py."""
        from ..maintenance import scrubbing

        return scrubbing.scrub(self) if self._kind == _LITTLEFS else iter(())
