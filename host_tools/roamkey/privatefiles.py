"""Files that are there whole or not at all, and those of mode 0600, which hold secrets.

What `write` replaces is never lost: a kill or a power cut at any moment leaves the old one or the
new one, and no half of one beside it. Of those of mode 0600 none is readable by others even for a
moment, whatever the umask; what others may read is refused. Nothing here writes through a link
that somebody planted.
"""

import errno
import os
import secrets
import stat
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from roamkey.errors import BadInputError

PRIVATE = 0o600
SHARED = 0o666
OTHERS = 0o077  # what nobody but the owner may be allowed
# Of file systems without files that have no name; of folders that aren't there, the last.
_NAMELESS_NOT = (errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL, errno.ENOENT)


def create(path: Path, content: bytes = b"") -> bool:
    """Make a file where there is none, whole or not at all; whether it was. Raises OSError."""
    descriptor = _nameless(path.parent, PRIVATE)
    nameless = descriptor is not None
    try:
        if descriptor is None:
            descriptor = _made(path, PRIVATE)
        with os.fdopen(descriptor, "wb") as made:
            made.write(content)
            made.flush()
            os.fsync(made.fileno())
            if nameless:
                _give_name(made.fileno(), path)
    except FileExistsError:
        return False
    except BaseException:
        if not nameless:
            path.unlink(missing_ok=True)
        raise
    _settle(path.parent)
    return True


def write(path: Path, content: bytes | bytearray | memoryview | str, mode: int = PRIVATE) -> None:
    """Put a file there, in place of one that is: whole, or not at all.

    `mode`: `PRIVATE`, or `SHARED` as far as the umask goes; then a device or pipe is written to.
    A link at `path` is replaced, not followed. Raises OSError, and BadInputError for what is in
    the way and no file.
    """
    octets = content.encode() if isinstance(content, str) else content
    if _is_special(path):
        if mode == PRIVATE:
            raise BadInputError(f"{path} is no file that could be replaced")
        with path.open("wb") as special:
            special.write(octets)
        return
    new = path.parent / f".roamkey-{secrets.token_hex(8)}"
    descriptor = _nameless(path.parent, mode)
    nameless = descriptor is not None
    if descriptor is None:
        descriptor = _made(new, mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(octets)
            file.flush()
            os.fsync(file.fileno())
            if nameless:
                _give_name(file.fileno(), new)
        new.replace(path)
    except FileExistsError:  # somebody else's, who guessed the name
        raise
    except BaseException:
        new.unlink(missing_ok=True)
        raise
    _settle(path.parent)


def write_each(folder: Path, files: Mapping[str, bytes | str]) -> None:
    """`write` several into a folder, made where there is none; as others may read them. Raises
    OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        write(folder / name, content, SHARED)


def open_to_others(path: Path) -> int | None:
    """The mode of a file that others may touch; None where it is its owner's alone.

    Raises OSError.
    """
    return _open_to(path.stat().st_mode, OTHERS)


def read(path: str | Path, limit: int, forbidden: int = OTHERS) -> bytes:
    """What a file holds, `limit` octets and one more at most.

    Raises BadInputError (one line) where somebody else may touch it, OSError, and ValueError for
    what is no path.
    """
    with Path(path).open("rb") as file:  # judged once open, so that it can't be swapped between
        mode = _open_to(os.fstat(file.fileno()).st_mode, forbidden)
        if mode is not None:
            raise BadInputError(f"{path}: mode {mode:04o} opens the key to others; chmod 600 it")
        return file.read(limit + 1)


def read_regular(path: Path, limit: int) -> bytes:
    """What a file that holds no secret has in it; never of a device or pipe, which may be endless.

    Raises BadInputError (one line): not there, not readable, longer than `limit` octets.
    """
    return regular(path, limit)[0]


def regular(path: Path, limit: int) -> tuple[bytes, int]:
    """As `read_regular`, and the mode of the file, for one that may turn out to hold a secret."""
    try:
        with path.open("rb") as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise BadInputError(f"{path}: not a regular file")
            content = file.read(limit + 1)
    except OSError as error:
        raise BadInputError(f"{path}: {error.strerror}") from None
    except ValueError:  # a NUL in it
        raise BadInputError(f"{path}: no path") from None
    if len(content) > limit:
        raise BadInputError(f"{path}: longer than {limit >> 20} MiB")
    return content, stat.S_IMODE(status.st_mode)


def _open_to(mode: int, forbidden: int) -> int | None:
    return stat.S_IMODE(mode) if mode & forbidden else None


def _made(path: Path, mode: int) -> int:
    """A new file, open for writing; never one that is there, nor what a link leads to."""
    flags = os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_WRONLY | os.O_CLOEXEC
    return os.open(path, flags, mode)


def _nameless(folder: Path, mode: int) -> int | None:
    """A new file without a name, which goes with whoever writes it; None where there are none."""
    try:
        made = os.open(folder, os.O_TMPFILE | os.O_WRONLY | os.O_CLOEXEC, mode)
    except OSError as error:
        if error.errno in _NAMELESS_NOT:
            return None
        raise
    if Path(_by_number(made)).exists():
        return made
    os.close(made)
    return None


def _give_name(descriptor: int, path: Path) -> None:
    # With a folder's descriptor, which an absolute path doesn't need, it is linkat(2), which alone
    # follows the link.
    os.link(_by_number(descriptor), path, src_dir_fd=descriptor, follow_symlinks=True)


def _by_number(descriptor: int) -> str:
    return f"/proc/self/fd/{descriptor}"


def _settle(folder: Path) -> None:
    """Have the folder's new entries outlast a power cut, where it can be opened."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _is_special(path: Path) -> bool:
    try:
        mode = path.lstat().st_mode
        if stat.S_ISLNK(mode):  # /dev/stdout is one
            mode = path.stat().st_mode
    except FileNotFoundError:
        return False
    return not stat.S_ISREG(mode) and not stat.S_ISDIR(mode)
