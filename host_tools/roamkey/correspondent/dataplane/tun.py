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
_IFF_VNET_HDR = 0x4000
_TUNSETOFFLOAD = 0x400454D0
_TUN_F_CSUM, _TUN_F_TSO6 = 0x01, 0x04
_REQUEST = struct.Struct("16sH22x")  # struct ifreq


def open_wide(pattern: str, is_wanted: bool = True) -> tuple[int, str, bool]:
    """As `open_device`; and whether each packet has a virtio-net header, there and back: then the
    kernel leaves checksums to us, and TCP comes as packets longer than any link takes (see
    `superpackets`). Where it isn't wanted, or the kernel can't, the device is one without."""
    if not is_wanted:
        return *open_device(pattern), False
    try:
        descriptor, name = open_device(pattern, _IFF_VNET_HDR)
    except SystemRefusedError:
        return *open_device(pattern), False
    try:
        fcntl.ioctl(descriptor, _TUNSETOFFLOAD, _TUN_F_CSUM | _TUN_F_TSO6)
    except OSError:
        os.close(descriptor)
        return *open_device(pattern), False
    return descriptor, name, True


def open_device(pattern: str, flags: int = 0) -> tuple[int, str]:
    """Make a device; its descriptor (non-blocking) and its name.

    `pattern`: a name, in which %d stands for the first number that is free; `flags`: more of the
    kernel's. It is down at first. Raises SystemRefusedError.
    """
    try:
        descriptor = os.open(PATH, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise SystemRefusedError(f"{PATH}: {error.strerror}") from None
    request = _REQUEST.pack(pattern.encode(), _IFF_TUN | _IFF_NO_PI | flags)
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
