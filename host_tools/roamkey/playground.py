"""Where this user's playground is, and whether one is up: what the rest has to know of it.

`roamkey lab up` makes it (roamkey.lab.playground). While it is up its board counts as plugged in,
and a user without a registry of their own has the playground's.
"""

import fcntl
import os
from pathlib import Path

from platformdirs import user_state_path


def folder() -> Path:
    """The folder of this user's playground, which is there while it is up."""
    return user_state_path("roamkey", appauthor=False) / "lab"


def lock() -> Path:
    """The file that whoever runs the playground holds a lock on, however that ends."""
    return folder().with_name("lab.lock")


def is_up() -> bool:
    """Whether a playground of this user is up."""
    try:
        descriptor = os.open(lock(), os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def registry() -> Path:
    """The playground's registry."""
    return folder() / "registry.sqlite"


def ports() -> Path:
    """The folder of links to the serial ports of its boards."""
    return folder() / "ports"
