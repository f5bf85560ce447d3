"""What is installed, by its SHA-256: how a host sees that there is nothing to install."""

import binascii
import hashlib
import os
import sys

from ..compat import const

TYPE_CHECKING = const(False)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

_FOUND = ("/app.py", "/boot.py", "/main.py", "/agent")  # the last: its copies
_AT_ONCE = const(8)  # files of one answer: the node has its turn between
_HEAD = const(64)  # octets of a manifest that hold the version
_FOLDER = const(0x4000)
_BLOCK = const(1024)


def tell(skip: int, root: str = "") -> "dict[str, Any]":
    """The next of the files below /agent and beside it, after `skip` of them: path, sum in
    hexadecimal, and the first octets of a manifest (else None). `next`: what to skip then, None at
    the end; `frozen`: whether the agent that runs is part of the firmware. `root`: a folder to
    look in, "" for the whole flash. Raises OSError.
    """
    found: "list[tuple[str, str, str | None]]" = []
    at = 0
    for path in _paths(root):
        if at >= skip:
            if len(found) == _AT_ONCE:
                break
            found.append((path[len(root) :], _sum_of(path), _head_of(path)))
        at += 1
    else:
        at = -1
    frozen = not str(sys.modules["mip6"].__file__).startswith("/")
    return {"files": found, "next": None if at < 0 else at, "frozen": frozen}


def _paths(root: str) -> "Iterator[str]":
    left = [root + path for path in _FOUND]
    while left:
        path = left.pop()
        try:
            mode = os.stat(path)[0]
        except OSError:
            continue  # none, or it went meanwhile
        if mode & _FOLDER:
            left.extend(path + "/" + name for name in sorted(os.listdir(path)))
        else:
            yield path


def _sum_of(path: str) -> str:
    digest = hashlib.sha256()
    block = bytearray(_BLOCK)
    view = memoryview(block)
    with open(path, "rb") as file:
        while True:
            count = file.readinto(block)
            if not count:
                return binascii.hexlify(digest.digest()).decode()
            digest.update(view[:count])


def _head_of(path: str) -> "str | None":
    if not path.endswith(".json"):
        return None
    with open(path, "rb") as file:
        return file.read(_HEAD).decode()
