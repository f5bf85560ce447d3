"""Files of mode 0600, which hold secrets: made, replaced and read so that nobody else sees them.

None is readable by others even for a moment, whatever the umask. What others may read is refused.
"""

import os
import stat
from pathlib import Path

from roamkey.errors import BadInputError

OTHERS = 0o077  # what nobody but the owner may be allowed


def create(path: Path, content: bytes = b"") -> bool:
    """Make a file where there is none; whether it was made. Raises OSError."""
    try:
        descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        return False
    with os.fdopen(descriptor, "wb") as made:
        made.write(content)
    return True


def write(path: Path, content: bytes | bytearray | memoryview) -> None:
    """Put a file there, in place of one that is: whole, or not at all. Raises OSError."""
    new = path.with_name(path.name + ".new")
    new.unlink(missing_ok=True)  # of an earlier run, and of whatever mode
    descriptor = os.open(new, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        new.replace(path)
    except BaseException:
        new.unlink(missing_ok=True)
        raise


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


def _open_to(mode: int, forbidden: int) -> int | None:
    return stat.S_IMODE(mode) if mode & forbidden else None
