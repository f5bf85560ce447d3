"""Overwriting what old records left in unused flash, and what else a store does seldom."""

import errno
import os

from ..compat import const

TYPE_CHECKING = const(False)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..protocols import Filled

_ENOSPC = const(28)  # MicroPython's errno has no name for it
_COMMITS = const(96)  # rewrites of 128 octets or more: they fill a log of 4,096 three times
_CHUNK = const(512)  # octets
_FILLER = "filler"


def make_folders(file: str) -> None:
    """Make the folders that `file` (a path) lies in."""
    path = ""
    for part in file.split("/")[:-1]:
        path += part
        if path:
            try:
                os.mkdir(path)
            except OSError as error:
                if error.args[0] != errno.EEXIST:
                    raise
        path += "/"


def names(store: "Filled", prefix: str = "") -> list[str]:
    """The names of the records below `prefix`, in no order; removes what is half-written."""
    try:
        entries = os.listdir(store.path(prefix)[:-1])
    except OSError as error:
        if error.args[0] == errno.ENOENT:
            return []
        raise
    found = []
    for entry in entries:
        if os.stat(store.path(prefix + entry))[0] & 0x4000:
            found.extend(names(store, prefix + entry + "/"))
        elif entry.endswith(".new"):
            try:
                os.remove(store.path(prefix + entry))
            except OSError:  # of a read-only file system, say
                pass
        else:
            found.append(prefix + entry)
    return found


def scrub(store: "Filled") -> "Iterator[None]":
    """Overwrite what removed records left behind, as far as the file system lets us.

    A generator: each step takes a page or an erase of flash, and others may write in between.
    littlefs never writes in place. So: rewrite a filler until both blocks of the folder's
    metadata pair have been erased, then let it grow until every free block has been, too.
    Whoever needs a block meanwhile gets the filler's (`FileStore.write`), and OSError ends this.
    """
    path = store.path(_FILLER)
    try:
        for _ in range(_COMMITS):
            with open(path, "wb") as file:
                file.write(bytes(100))
            yield
        store.filler = open(path, "wb")  # noqa: SIM115 (closed by end_filling)
        yield from _fill(store)
    finally:
        end_filling(store)


def _fill(store: "Filled") -> "Iterator[None]":
    """Write zeros until the file system is full."""
    chunk = bytes(_CHUNK)
    while store.filler is not None:
        try:
            store.filler.write(chunk)
        except OSError as error:
            if error.args[0] != _ENOSPC:
                raise
            return
        yield
    raise OSError(errno.EAGAIN)


def end_filling(store: "Filled") -> bool:
    """Give the filler's space back, also after a cut; whether there was one."""
    filler, store.filler = store.filler, None
    if filler is not None:
        try:
            filler.close()
        except OSError:  # what it still held back finds no place
            pass
    try:
        os.stat(store.path(_FILLER))
    except OSError:
        return filler is not None
    store.remove(_FILLER)
    return True
