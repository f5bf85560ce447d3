"""The daemon's control socket: that it runs, that it runs alone, and what it has to tell.

It is an abstract Unix socket named after the correspondent address. Such a name belongs to the
network namespace, as the address does, and goes with the process however that ends: it is the lock
that keeps a second daemon from the address, needs no folder that some users don't have, and leaves
no stale file. Since it has no mode either, the kernel's word on who connects stands in for 0600:
root and the daemon's own user are answered, others are not.

Whoever connects is sent one JSON object, the daemon's facts, and nothing is read from them.
"""

import json
import os
import socket
import struct
from collections.abc import Callable
from contextlib import suppress
from ipaddress import IPv6Address
from pathlib import Path
from typing import Any

from roamkey.errors import SystemRefusedError

_NAME = "roamkey/correspondent/"
_CREDENTIALS = struct.Struct("3i")  # struct ucred: pid, uid, gid
_AT_ONCE = 16  # callers served before packets have their turn again
_PATIENCE_S = 20.0  # a daemon may be waiting for its database
_OCTETS_MAX = 1 << 20


class Control:
    """The listening end. `close()` it."""

    def __init__(self, address: IPv6Address) -> None:
        """Take the address's name; raises SystemRefusedError where another daemon has it."""
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self._socket.bind(f"\0{_NAME}{address}")
        except OSError:
            self._socket.close()
            raise SystemRefusedError(f"another daemon serves {address} on this host") from None
        self._socket.setblocking(False)
        self._socket.listen(_AT_ONCE)

    def fileno(self) -> int:
        """What to select on."""
        return self._socket.fileno()

    def close(self) -> None:
        """Give the name back."""
        self._socket.close()

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


def running() -> list[str]:
    """The addresses that daemons of this network namespace serve."""
    try:
        lines = Path("/proc/net/unix").read_text().splitlines()
    except OSError:
        return []
    names = {line.rpartition(" @")[2] for line in lines if f" @{_NAME}" in line}
    return sorted(name.removeprefix(_NAME) for name in names)


def ask(address: str) -> dict[str, Any]:
    """The facts of the daemon that serves `address`; raises SystemRefusedError."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as one:
        one.settimeout(_PATIENCE_S)
        try:
            one.connect(f"\0{_NAME}{address}")
            answer = _read_all(one)
        except ConnectionRefusedError:
            raise SystemRefusedError(f"no daemon serves {address} on this host") from None
        except OSError as error:
            text = error.strerror or "no answer"
            raise SystemRefusedError(f"the daemon of {address}: {text}") from None
    if not answer:
        raise SystemRefusedError(f"the daemon of {address} tells only root and its own user")
    try:
        facts = json.loads(answer)
    except ValueError:
        facts = None
    if not isinstance(facts, dict):
        raise SystemRefusedError(f"the daemon of {address} answers nonsense")
    return facts


def _uid(caller: socket.socket) -> int:
    ucred = caller.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    uid: int = _CREDENTIALS.unpack(ucred)[1]
    return uid


def _read_all(one: socket.socket) -> bytes:
    received = bytearray()
    while len(received) < _OCTETS_MAX:
        octets = one.recv(65536)
        if not octets:
            break
        received += octets
    return bytes(received)
