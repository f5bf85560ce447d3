"""The daemon's control socket: that it runs, that it runs alone, and what it has to tell.

It is a Unix socket in a folder that belongs to the daemon's user (mode 0700), so that nobody else
can take its name; the kernel's word on who is at the other end (SO_PEERCRED) is asked by both. Its
name is the correspondent address and the network namespace, which an address belongs to. A lock on
a file beside it keeps a second daemon of the same user from the address and goes with the process,
however that ends; that another user's serves it is told by that one's raw socket.

Whoever connects is sent one JSON object, the daemon's facts, and nothing is read from them.

Folders, the first that can be had: RUNTIME_DIRECTORY (systemd), /run/roamkey/UID (made by root),
/run/user/UID/roamkey, /tmp/roamkey-UID. Root asks the daemons of all users that root let in.
"""

import fcntl
import json
import os
import socket
import stat
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from ipaddress import IPv6Address
from pathlib import Path
from typing import Any

from mip6 import packets
from roamkey.errors import SystemRefusedError

_RUN = Path("/run/roamkey")
# RuntimeDirectory of the units
_SERVICES = (Path("/run/roamkey-correspondent"), Path("/run/roamkey-home-agent"))
_CREDENTIALS = struct.Struct("3i")  # struct ucred: pid, uid, gid
_AT_ONCE = 16  # callers served before packets have their turn again
_PATIENCE_S = 2.0  # the daemon answers at once, whatever its database does
_LEAVING_S = 2.0  # for a daemon that was killed to be gone
_OCTETS_MAX = 1 << 20
_TELL = ("address", "version", "started", "nodes", "bindings", "packets", "dropped", "refused")


class Control:
    """The listening end. `close()` it."""

    def __init__(self, address: IPv6Address) -> None:
        """Take the address's name; raises SystemRefusedError where another daemon has it."""
        folder = _make_folder()
        self._path = folder / _name(address)
        taken = SystemRefusedError(f"another daemon serves {address} on this host")
        self._lock_path = self._path.with_suffix(".lock")
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        self._lock = os.open(self._lock_path, flags, 0o600)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if not os.path.samestat(os.fstat(self._lock), self._lock_path.stat()):
                raise taken  # the one that served it goes just now
            if _is_served_by_another(address):
                raise taken
            self._path.unlink(missing_ok=True)  # of a daemon that was killed
            self._socket.bind(str(self._path))
        except BlockingIOError:
            self._let_go()
            raise taken from None
        except BaseException as error:
            self._let_go()
            if isinstance(error, OSError):
                raise SystemRefusedError(f"{self._path}: {error.strerror}") from None
            raise
        self._socket.setblocking(False)
        self._socket.listen(_AT_ONCE)

    def fileno(self) -> int:
        """What to select on."""
        return self._socket.fileno()

    def close(self) -> None:
        """Give the name back."""
        self._path.unlink(missing_ok=True)
        self._lock_path.unlink(missing_ok=True)
        self._let_go()

    def _let_go(self) -> None:
        self._socket.close()
        os.close(self._lock)

    def answer(self, facts: Callable[[], dict[str, Any]]) -> None:
        """Tell `facts()` to those who wait; never blocks."""
        for _ in range(_AT_ONCE):
            try:
                caller, _ = self._socket.accept()
            except OSError:  # nobody more, or no descriptors for them
                return
            with caller:
                caller.setblocking(False)
                if _uid(caller) in (0, os.getuid()):
                    with suppress(OSError):  # gone, or too slow for its own good
                        caller.sendall(json.dumps(facts()).encode())


def make_folder_for(uid: int, gid: int) -> None:
    """As root: the folder of a user who will be let in. Raises OSError."""
    _RUN.mkdir(mode=0o755, exist_ok=True)
    if _owner(_RUN) != 0:
        return  # not ours; the user's own will do
    folder = _RUN / str(uid)
    with suppress(FileExistsError):
        folder.mkdir(mode=0o700)
        os.chown(folder, uid, gid)


def lock_path(address: IPv6Address, name: str) -> Path:
    """A file beside the socket, for a part of the daemon to lock. Raises SystemRefusedError."""
    return _make_folder() / f"{address}.{_namespace()}.{name}"


def running() -> list[str]:
    """The addresses that daemons of this network namespace serve, as far as we may know."""
    end = f".{_namespace()}.sock"
    found = set()
    for folder in _folders_to_ask():
        with suppress(OSError):
            for path in folder.iterdir():
                if path.name.endswith(end) and _listens(path):
                    found.add(path.name.removesuffix(end))
    return sorted(found)


def ask(address: str) -> dict[str, Any]:
    """The facts of the daemon that serves `address`; raises SystemRefusedError."""
    refused = SystemRefusedError(f"no daemon serves {address} on this host")
    for folder in _folders_to_ask():
        path = folder / _name(address)
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as one:
            try:
                one.settimeout(_PATIENCE_S)
                one.connect(str(path))
                if _uid(one) not in (_owner(folder), 0):
                    continue
                answer = _read_all(one)
            except (ConnectionRefusedError, FileNotFoundError, NotADirectoryError):
                continue
            except OSError as error:
                text = error.strerror or "no answer"
                refused = SystemRefusedError(f"the daemon of {address}: {text}")
                continue
        if not answer:
            refused = SystemRefusedError(
                f"the daemon of {address} tells only root and its own user"
            )
            continue
        with suppress(ValueError, RecursionError):
            facts = json.loads(answer)
            if isinstance(facts, dict) and all(name in facts for name in _TELL):
                return facts
        refused = SystemRefusedError(f"the daemon of {address} answers nonsense")
    raise refused


def _name(address: IPv6Address | str) -> str:
    return f"{address}.{_namespace()}.sock"


def _namespace() -> int:
    return Path("/proc/self/ns/net").stat().st_ino


def _own_folders(uid: int) -> Iterator[Path]:
    told = os.environ.get("RUNTIME_DIRECTORY", "").partition(":")[0]
    if told:
        yield Path(told)
    yield _RUN / str(uid)
    yield Path(f"/run/user/{uid}/roamkey")
    yield Path(f"/tmp/roamkey-{uid}")


def _make_folder() -> Path:
    """A folder that nobody else can touch; raises SystemRefusedError."""
    uid, why = os.geteuid(), ""
    if uid == 0:
        with suppress(OSError):
            make_folder_for(0, 0)
    for folder in _own_folders(uid):
        try:
            folder.mkdir(mode=0o700, exist_ok=True)
            if _is_ours(folder, uid):
                return folder
            why = f"{folder} is another user's"
        except OSError as error:
            why = f"{folder}: {error.strerror}"
    raise SystemRefusedError(f"no folder for the control socket: {why}")


def _folders_to_ask() -> list[Path]:
    uid = os.geteuid()
    folders = [folder for folder in _own_folders(uid) if _is_ours(folder, uid)]
    if uid == 0:
        with suppress(OSError):
            if _owner(_RUN) == 0:
                folders += [one for one in sorted(_RUN.iterdir()) if one.name != "0"]
        folders += _SERVICES
    return list(dict.fromkeys(folders))


def _is_ours(folder: Path, uid: int) -> bool:
    """Whether a folder belongs to this user, who alone may write there."""
    try:
        found = folder.lstat()
    except OSError:
        return False
    if stat.S_ISLNK(found.st_mode) and found.st_uid in (0, uid):  # systemd's, for dynamic users
        found = folder.stat()
    return stat.S_ISDIR(found.st_mode) and found.st_uid == uid and not found.st_mode & 0o022


def _owner(folder: Path) -> int:
    return folder.stat().st_uid


def _listens(path: Path) -> bool:
    """Whether anybody is behind a socket: that of a daemon that was killed stays there."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as one:
        one.settimeout(_PATIENCE_S)
        try:
            one.connect(str(path))
        except (BlockingIOError, TimeoutError):  # one that doesn't listen any more
            return True
        except OSError:
            return False
    return True


def _is_served_by_another(address: IPv6Address) -> bool:
    """Whether another process has a raw socket for mobility messages to this address: only
    those with CAP_NET_RAW can. One that ends just now is waited for."""
    deadline = time.monotonic() + _LEAVING_S
    while _foreign_sockets(address):
        if time.monotonic() > deadline:
            return True
        time.sleep(0.05)
    return False


def _foreign_sockets(address: IPv6Address) -> set[str]:
    words = struct.unpack("=4I", address.packed)
    local = "".join(f"{word:08X}" for word in words) + f":{packets.MOBILITY:04X}"
    try:
        lines = Path("/proc/self/net/raw6").read_text().splitlines()[1:]
        rows = [line.split() for line in lines]
        bound = {row[9] for row in rows if row[1] == local}
        ours = set(map(_target, Path("/proc/self/fd").iterdir()))
    except (OSError, IndexError):
        return set()
    return {inode for inode in bound if f"socket:[{inode}]" not in ours}


def _target(link: Path) -> str:
    try:
        return str(link.readlink())
    except OSError:  # closed meanwhile
        return ""


def _uid(caller: socket.socket) -> int:
    ucred = caller.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    uid: int = _CREDENTIALS.unpack(ucred)[1]
    return uid


def _read_all(one: socket.socket) -> bytes:
    """What comes until the other end closes, within the time that there is."""
    received = bytearray()
    deadline = time.monotonic() + _PATIENCE_S
    while len(received) < _OCTETS_MAX:
        one.settimeout(max(0.001, deadline - time.monotonic()))
        octets = one.recv(65536)
        if not octets:
            break
        received += octets
    return bytes(received)
