"""The agent of a Linux machine, whose console is a serial port: any command takes it with --port.

Keys and counters are in a folder, and there `console` leads to the port. The files are those of an
agent under MicroPython (boards/OPENWRT).
"""

import asyncio
import fcntl
import os
import pty
import signal
import sys
import tty
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from mip6 import agent, terminal
from mip6.keystore.keystore import Keystore
from mip6.ports.posix import Port
from mip6.programs import plane
from mip6.programs.plane import Programs, RoutedNode
from roamkey.correspondent.dataplane import control, tun
from roamkey.errors import SystemRefusedError
from roamkey.node.tun_plane import TunPlane

if TYPE_CHECKING:
    from mip6.protocols import Plane

CONSOLE = "console"
_OWNER_ALONE = 0o700
_CHUNK = 256
_REST_S = 0.3  # between an answer and the end that it announces


def run(state: Path, uplinks: list[str], wanted: str) -> bool:
    """Run until a signal ends it, or the console does; whether a part of it failed for good.

    `wanted`: KERNEL or TUN of `control`, plane.NONE, or AUTO: the kernel's where it has it. Raises
    SystemRefusedError; where another runs on that folder, too.
    """
    with ExitStack() as held:
        try:
            state.mkdir(mode=_OWNER_ALONE, parents=True, exist_ok=True)
            held.enter_context(_alone(state))
            line = held.enter_context(closing(_Line(state / CONSOLE)))
        except OSError as error:
            where = error.filename2 or error.filename or state
            raise SystemRefusedError(f"{where}: {error.strerror}") from None
        return _operate(state, uplinks, wanted, line)


@contextmanager
def _alone(state: Path) -> Iterator[None]:
    """No other agent works on this folder: two would give out the same sequence numbers."""
    folder = os.open(state, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise SystemRefusedError(f"{state}: another agent runs on it") from None
    else:
        yield
    finally:
        os.close(folder)


def _operate(state: Path, uplinks: list[str], wanted: str, line: "_Line") -> bool:
    # What the agent asks of MicroPython's module isn't on the unix port either.
    sys.modules.setdefault("machine", ModuleType("machine"))
    port = Port(uplinks or None)
    programs = _plane(port, wanted)

    def make(keystore: Keystore) -> tuple[RoutedNode, Port]:
        return RoutedNode(keystore, port, programs), port

    return agent.operate(str(state), make, line.serve, service=True) == agent.STUCK


def _plane(port: Port, wanted: str) -> "Plane":
    """What gives the programs the home address. Raises SystemRefusedError."""
    which, why = plane.choose(plane.NONE if wanted == control.TUN else wanted)
    if wanted == control.KERNEL and which != plane.KERNEL:
        raise SystemRefusedError(f"no data plane: {why}")
    if which == plane.KERNEL or wanted == plane.NONE:
        return Programs(port, which, why)
    refusal = tun.refusal()
    if refusal is None:
        return TunPlane(why)
    if wanted == control.TUN:
        raise SystemRefusedError(f"no data plane: {refusal}")
    return Programs(port, plane.NONE, f"{why}; {refusal}")


class _Line:
    """A pseudo-terminal as the agent's serial line; `path` leads to it."""

    def __init__(self, path: Path) -> None:
        """Raises OSError."""
        self._path = path
        self._ours, self._theirs = pty.openpty()
        tty.setraw(self._theirs)  # it stays open here: the port outlives its callers
        os.set_blocking(self._ours, False)
        if path.is_symlink():  # of one that was killed; a file of another kind is someone's
            path.unlink()
        path.symlink_to(os.ttyname(self._theirs))

    def close(self) -> None:
        """The port is gone."""
        self._path.unlink(missing_ok=True)
        os.close(self._ours)
        os.close(self._theirs)

    async def serve(self, desk: terminal.Desk) -> bool:
        """Answer lines until a signal, or a reboot is asked for."""
        loop = asyncio.get_running_loop()
        ended = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, ended.set)
        arrived = asyncio.Event()
        loop.add_reader(self._ours, arrived.set)
        answering = asyncio.create_task(self._answer(desk, arrived, ended))
        try:
            await ended.wait()
        finally:
            answering.cancel()
            loop.remove_reader(self._ours)
        return True

    async def _answer(
        self, desk: terminal.Desk, arrived: asyncio.Event, ended: asyncio.Event
    ) -> None:
        reader = terminal.LineReader()
        while True:
            await arrived.wait()
            arrived.clear()
            with suppress(OSError):
                for octet in os.read(self._ours, _CHUNK):
                    if await terminal.take(desk, reader, octet, self):
                        await asyncio.sleep(_REST_S)
                        ended.set()
                reader.interrupted = False

    def write(self, octets: bytes) -> int:
        """Write what the line takes; nobody may be reading."""
        with suppress(BlockingIOError):
            return os.write(self._ours, octets)
        return 0
