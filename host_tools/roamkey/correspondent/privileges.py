"""Under sudo the daemon goes on as the user who called it, with the two rights that it needs.

So the registry, the events and the daemon are that user's own: what `provision` put there is
served, and `bindings`, `drops` and the page need no sudo. CAP_NET_RAW and CAP_NET_ADMIN become
ambient (capabilities(7)), for the data plane's process and for nft.

It stays root where the registry is another's, and where the user can't read this installation.
"""

import ctypes
import os
import pwd
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import roamkey
from roamkey.correspondent import control
from roamkey.errors import SystemRefusedError
from roamkey.registry import database

_RIGHTS = {"CAP_NET_RAW": 13, "CAP_NET_ADMIN": 12}  # linux/capability.h
#: A home agent's: the kernel checks what comes out of its tunnels by a program of ours.
BPF = {"CAP_BPF": 39}

_VERSION_3 = 0x20080522
_PR_SET_KEEPCAPS = 8
_PR_CAP_AMBIENT = 47
_PR_CAP_AMBIENT_RAISE = 2

_Header = ctypes.c_uint32 * 2  # version, thread: 0 is this one
_Sets = ctypes.c_uint32 * 6  # effective, permitted, inheritable, 32 at a time


def leave_root(registry: str | None, more: Mapping[str, int] | None = None) -> str | None:
    """Go on as the user behind sudo where that serves; what to tell about it, or None.

    `registry`: a path, a URL or None, as for `Registry.open`; `more`: rights to keep, beside those
    of every daemon, where the kernel has them. Raises SystemRefusedError.
    """
    user = _caller()
    if user is None:
        return None
    registry = registry or os.environ.get(database.REGISTRY_VARIABLE) or None
    if not (_is_for(user, registry) and _finds_us(user)):
        return None
    try:
        with suppress(OSError):  # the user has other places
            control.make_folder_for(user.pw_uid, user.pw_gid)
        kept = _become(user, {**_RIGHTS, **(more or {})})
    except OSError as error:
        raise SystemRefusedError(f"can't go on as {user.pw_name}: {error.strerror}") from None
    os.environ["HOME"] = user.pw_dir
    named = " and ".join((", ".join(kept[:-1]), kept[-1])) if kept[1:] else "".join(kept) or "none"
    return f"goes on as {user.pw_name}, with {named} alone"


def _caller() -> pwd.struct_passwd | None:
    """The user who called sudo, if that is how root came here."""
    told = os.environ.get("SUDO_UID", "")
    if os.geteuid() != 0 or not told.isdecimal() or int(told) == 0:
        return None
    try:
        return pwd.getpwuid(int(told))
    except KeyError:
        return None


def _is_for(user: pwd.struct_passwd, registry: str | None) -> bool:
    """Whether that registry is the user's, or would be."""
    if registry is None:
        roots = database.default_path()
        return _default_of(user).exists() or not roots.exists()
    path = database.file_of(registry)
    if path is None:
        return True
    try:
        return (path if path.exists() else path.absolute().parent).stat().st_uid == user.pw_uid
    except OSError:
        return False


def _default_of(user: pwd.struct_passwd) -> Path:
    ours = os.environ.get("HOME")
    os.environ["HOME"] = user.pw_dir
    try:
        return database.default_path()
    finally:
        if ours is None:
            del os.environ["HOME"]
        else:
            os.environ["HOME"] = ours


def _finds_us(user: pwd.struct_passwd) -> bool:
    """Whether the user may run this Python and read this package."""
    groups, group = os.getgroups(), os.getegid()
    try:
        os.initgroups(user.pw_name, user.pw_gid)
        os.setegid(user.pw_gid)
        os.seteuid(user.pw_uid)
        return os.access(sys.executable, os.X_OK, effective_ids=True) and os.access(
            roamkey.__file__, os.R_OK, effective_ids=True
        )
    except OSError:
        return False
    finally:
        os.seteuid(0)
        os.setegid(group)
        os.setgroups(groups)


def _become(user: pwd.struct_passwd, rights: Mapping[str, int]) -> list[str]:
    """The names of the rights that are kept: a container's root may have fewer."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl.argtypes = (ctypes.c_int, *[ctypes.c_ulong] * 4)
    header, sets = _Header(_VERSION_3, 0), _Sets()
    _checked(libc.capget(header, sets))
    permitted = sets[1] | sets[4] << 32
    kept = {name: right for name, right in rights.items() if permitted >> right & 1}
    _checked(libc.prctl(_PR_SET_KEEPCAPS, 1, 0, 0, 0))
    os.initgroups(user.pw_name, user.pw_gid)
    os.setresgid(*[user.pw_gid] * 3)
    os.setresuid(*[user.pw_uid] * 3)
    low, high = ((sum(1 << right for right in kept.values()) >> at) & 0xFFFFFFFF for at in (0, 32))
    _checked(libc.capset(header, _Sets(low, low, low, high, high, high)))
    for right in kept.values():
        _checked(libc.prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE, right, 0, 0))
    return list(kept)


def _checked(result: int) -> None:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
