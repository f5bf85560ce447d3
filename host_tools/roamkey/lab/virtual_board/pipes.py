"""Pipes whose ends several processes share: looking into them without changing them."""

import fcntl
import os
import struct
import termios


def waiting(pipe: int) -> int:
    """The octets that wait in a pipe."""
    (count,) = struct.unpack("i", fcntl.ioctl(pipe, termios.FIONREAD, b"\0" * 4))
    return int(count)


def drain(pipe: int) -> bytes:
    """Take what waits in a pipe. O_NONBLOCK would do, but it is shared with the other readers."""
    count = waiting(pipe)
    return os.read(pipe, count) if count else b""
