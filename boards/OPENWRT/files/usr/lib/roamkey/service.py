"""The agent as a service of a router: `micropython service.py STATE SOCKET PLANE [UPLINK ...]`.

STATE: the folder of keys and counters. SOCKET: a local socket that gives the console to one caller
at a time. PLANE: by what all programs of the router have the home address: `kernel`, `none`, or
`auto`, the kernel's own Mobile IPv6 where it has it. UPLINK: network devices, best first; none:
every one. Nothing is read from standard input, and only faults are written to standard output. It
ends when 0x03 comes at the start of a line, or a reboot is asked for: procd starts it again, after
a failure (code 1), too. Needs CAP_NET_RAW, and CAP_NET_ADMIN for the kernel's plane.
"""

import asyncio
import errno
import os
import socket
import struct
import sys

from mip6 import agent, terminal
from mip6.ports.posix import Port
from mip6.ports.waiting import Watch
from mip6.programs.plane import PLANES, Programs, RoutedNode, choose

_AF_UNIX = 1
_NATIVE = "<" if sys.byteorder == "little" else ">"  # MicroPython has no "="


def place(path: str) -> bytes:
    """The sockaddr_un of a path, as MicroPython wants it."""
    return struct.pack(_NATIVE + "H", _AF_UNIX) + path.encode() + b"\0"


def listen(path: str) -> "socket.socket":
    """A listening local socket at `path`; what an earlier run left there goes. Raises OSError,
    EADDRINUSE where another agent answers there: two would give out the same sequence numbers."""
    stream = socket.socket(_AF_UNIX, socket.SOCK_STREAM)
    stream.setblocking(False)
    try:
        stream.connect(place(path))
        answered = True
    except OSError as error:
        answered = error.errno not in (errno.ENOENT, errno.ECONNREFUSED)
    if answered:
        stream.close()
        raise OSError(errno.EADDRINUSE)
    try:
        os.remove(path)
    except OSError:
        pass
    stream.bind(place(path))
    stream.listen(1)
    return stream


class Callers:
    """Gives the console to one caller at a time, until one of them ends the agent."""

    def __init__(self, stream: "socket.socket") -> None:
        self._stream = stream
        self._desk: terminal.Desk = None  # type: ignore[assignment]  # until `serve`
        self._caller: socket.socket | None = None
        self._serving: asyncio.Task[None] | None = None
        self._ended: asyncio.Event = None  # type: ignore[assignment]  # as above

    async def serve(self, desk: "terminal.Desk") -> bool:
        """Work until 0x03 or a reboot is asked for; True, since procd starts it again."""
        self._desk = desk
        self._ended = asyncio.Event()
        watch = Watch(self._stream, self._accept, self._failed)
        try:
            await self._ended.wait()
        finally:
            watch.stop()
        return True

    def _failed(self, error: "Exception") -> None:
        print("console: %s: %s" % (type(error).__name__, error))

    def _accept(self) -> None:
        """Take a caller; one that comes while another talks is turned away."""
        try:
            caller, _ = self._stream.accept()
        except OSError:  # gone again
            return
        if self._caller is None:
            self._caller = caller
            self._serving = asyncio.create_task(self._answer(caller))
        else:
            caller.close()

    async def _answer(self, caller: "socket.socket") -> None:
        ending = None
        try:
            ending = await terminal.serve(self._desk, caller, caller)  # type: ignore[arg-type]  # MicroPython's are streams
            if ending is not None:
                self._ended.set()
        except OSError:  # the caller went away
            pass
        finally:
            # One that asked for the end waits for the line to be closed: when all is done.
            if ending is None:
                caller.close()
                self._caller = None


def main(state: str, path: str, plane: str, uplinks: list[str]) -> int:
    """Run until a caller ends it, or a signal does; the exit code: 1 where a part of it failed
    for good, so that procd starts all anew."""

    def make(keystore: "agent.Keystore") -> "tuple[RoutedNode, Port]":
        port = Port(uplinks or None)
        return RoutedNode(keystore, port, Programs(port, *choose(plane))), port

    try:
        callers = Callers(listen(path))
    except OSError as error:
        print("console: %s: %s" % (path, error))
        return 1
    try:
        return int(agent.operate(state, make, callers.serve, service=True) == agent.STUCK)
    finally:
        os.remove(path)


if __name__ == "__main__":
    if len(sys.argv) < 4 or sys.argv[3] not in PLANES:
        print("service.py STATE SOCKET auto|kernel|none [UPLINK ...]")
        sys.exit(2)
    sys.exit(main(sys.argv[1], sys.argv[2], sys.argv[3], sys.argv[4:]))
