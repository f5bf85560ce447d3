"""A TUN device: IPv6 packets that the kernel routes into it can be read, and the other way round.

The device is not persistent: it goes with its descriptor, and its routes go with it, however the
process ends. So there is never a stale route.
"""

import fcntl
import os
import struct

from roamkey.errors import SystemRefusedError

PATH = "/dev/net/tun"

# linux/if_tun.h
_TUNSETIFF = 0x400454CA
_IFF_TUN = 0x0001
_IFF_NO_PI = 0x1000
_REQUEST = struct.Struct("16sH22x")  # struct ifreq


def open_device(pattern: str) -> tuple[int, str]:
    """Make a device; its descriptor (non-blocking) and its name.

    `pattern`: a name, in which %d stands for the first number that is free. It is down at first.
    Raises SystemRefusedError.
    """
    try:
        descriptor = os.open(PATH, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise SystemRefusedError(f"{PATH}: {error.strerror}") from None
    request = _REQUEST.pack(pattern.encode(), _IFF_TUN | _IFF_NO_PI)
    try:
        made = fcntl.ioctl(descriptor, _TUNSETIFF, request)
    except PermissionError:
        os.close(descriptor)
        raise SystemRefusedError("a TUN device needs root, or CAP_NET_ADMIN") from None
    except OSError as error:
        os.close(descriptor)
        raise SystemRefusedError(f"no TUN device {pattern}: {error.strerror}") from None
    return descriptor, _REQUEST.unpack(made)[0].rstrip(b"\0").decode()


def refusal() -> str | None:
    """Why no TUN device is to be had here, in a line; None where one is."""
    try:
        descriptor, _ = open_device("roamkey%d")
    except SystemRefusedError as error:
        return str(error)
    os.close(descriptor)
    return None
