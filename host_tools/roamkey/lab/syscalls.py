"""The few system calls that Python 3.10 lacks: unshare, setns, mount, umount2, prctl.

Each raises OSError with errno set, as the functions of `os` do.
"""

import ctypes
import os

CLONE_NEWNS = 0x00020000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000

MS_NOSUID = 2
MS_NODEV = 4
MS_NOEXEC = 8
MS_BIND = 4096
MS_REC = 16384
MS_PRIVATE = 1 << 18

_MNT_DETACH = 2
_PR_SET_PDEATHSIG = 1
_PR_SET_TIMERSLACK = 29

_libc = ctypes.CDLL(None, use_errno=True)
_libc.mount.argtypes = (
    ctypes.c_char_p,
    ctypes.c_char_p,
    ctypes.c_char_p,
    ctypes.c_ulong,
    ctypes.c_char_p,
)
_libc.umount2.argtypes = (ctypes.c_char_p, ctypes.c_int)
_libc.prctl.argtypes = (ctypes.c_int, *[ctypes.c_ulong] * 4)


def _checked(result: int, call: str) -> None:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{call}: {os.strerror(number)}")


def unshare(flags: int) -> None:
    """Give the calling thread namespaces of its own; see unshare(2)."""
    _checked(_libc.unshare(flags), "unshare")


def setns(descriptor: int, kind: int) -> None:
    """Move the calling thread into the namespace behind a descriptor; see setns(2)."""
    _checked(_libc.setns(descriptor, kind), "setns")


def mount(source: str, target: str, kind: str, flags: int) -> None:
    """Mount a file system, or change how a mount propagates; see mount(2)."""
    names = (text.encode() or None for text in (source, target, kind))
    _checked(_libc.mount(*names, flags, None), "mount")


def unmount(target: str) -> None:
    """Take a mount away, now or when nobody uses it any more; see umount2(2)."""
    _checked(_libc.umount2(target.encode(), _MNT_DETACH), "umount2")


def signal_on_parent_death(number: int) -> None:
    """Have the kernel send this process a signal when its parent dies, however it dies.

    The kernel forgets the request when the process changes its credentials: ask afterwards.
    """
    _checked(_libc.prctl(_PR_SET_PDEATHSIG, number, 0, 0, 0), "prctl")


def set_timer_slack(nanoseconds: int) -> None:
    """How late the kernel may let this thread's timeouts run, to batch them (50 µs by default)."""
    _checked(_libc.prctl(_PR_SET_TIMERSLACK, nanoseconds, 0, 0, 0), "prctl")
