"""Opening a board's port; where that fails, why, and what to do about it."""

import errno
import fcntl
import grp
import os
import pwd
import stat
from contextlib import suppress
from pathlib import Path

import serial

from roamkey.board import ports
from roamkey.errors import BoardError

BAUD = 115_200
_LOOK_S = 0.05  # how long to wait for an octet before looking at the clock
_GROUPS = ("dialout", "uucp")  # of serial ports: on Debian's relatives, on Arch's and Red Hat's


class PortError(BoardError):
    """A port can't be opened. `brief`: why, without what to do."""

    def __init__(self, port: str, brief: str, todo: str = "") -> None:
        super().__init__(f"{port}: {brief}{'; ' * bool(todo)}{todo}")
        self.brief = brief


def open_port(port: str) -> serial.Serial:
    """The port, for nobody else meanwhile; raises PortError."""
    try:
        return serial.Serial(port, BAUD, timeout=_LOOK_S, write_timeout=2.0, exclusive=True)
    except (OSError, ValueError) as error:
        raise refusal(port, error) from None


def unlock(port: serial.Serial) -> None:
    """End a port's lock, before it is closed: a program that another thread is just starting has
    a copy of the descriptor, and would have the port busy until then."""
    with suppress(OSError):
        fcntl.flock(port.fileno(), fcntl.LOCK_UN)


def refusal(port: str, error: Exception) -> PortError:
    """What a person has to know where opening failed with this error."""
    number = getattr(error, "errno", None)
    if number == errno.ENOENT:
        return PortError(port, "no such port", _there_are())
    if number in (errno.EAGAIN, errno.EBUSY):
        by = ports.holders(port)
        if by:
            return PortError(port, f"busy: {', '.join(by)} has it open")
        todo = f"`sudo fuser -v {port}` names it"
        return PortError(port, "busy: another user's program has it open", todo)
    if number == errno.EACCES:
        return PortError(port, "permission denied", _permission(port))
    if number == errno.EPERM:
        return PortError(port, "not permitted", "a container has to be given the device")
    if number in (errno.ENXIO, errno.ENODEV, errno.EIO):
        return PortError(port, "its device is gone", "unplug the board and plug it in again")
    if number in (errno.ENOTTY, errno.EISDIR, errno.EINVAL) or "Could not configure" in str(error):
        return PortError(port, "not a serial port")
    return PortError(port, "can't be opened")


def _there_are() -> str:
    there = ports.ports()
    if there:
        return f"there is {ports.listed(there)}"
    return "none is plugged in (a cable for charging alone carries no data)"


def _permission(port: str) -> str:
    """The command that lets this user open a port, from now on."""
    owner, group, mode = _rights(port)
    user = _user()
    if mode & stat.S_IRGRP and mode & stat.S_IWGRP and group not in ("root", ""):
        if user in _members(group):
            return (
                f"this session began before {user} was in the group {group}: log in again, or "
                f"run `newgrp {group}`"
            )
        return f"run `sudo usermod -aG {group} {user}` and log in again"
    if owner and owner != user:
        known = next((name for name in _GROUPS if _has(name)), "")
        if known:
            return f"run `sudo chgrp {known} {port} && sudo chmod 660 {port}`, or a udev rule"
        return f"run `sudo chown {user} {port}`: until it is plugged in again"
    return f"run `chmod u+rw {port}`"


def _rights(port: str) -> tuple[str, str, int]:
    """Owner and group by name, and the mode; empty where nobody tells."""
    with suppress(OSError):
        found = Path(port).stat()
        owner, group = str(found.st_uid), str(found.st_gid)
        with suppress(KeyError):
            owner = pwd.getpwuid(found.st_uid).pw_name
        with suppress(KeyError):
            group = grp.getgrgid(found.st_gid).gr_name
        return owner, group, found.st_mode
    return "", "", 0


def _user() -> str:
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return "$USER"


def _members(group: str) -> list[str]:
    with suppress(KeyError):
        return list(grp.getgrnam(group).gr_mem)
    return []


def _has(group: str) -> bool:
    with suppress(KeyError):
        return bool(grp.getgrnam(group))
    return False
