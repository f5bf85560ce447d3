"""Boards for the tests: the console under CPython on a line made bad at will; the real thing."""

import contextlib
import os
import pty
import select
import threading
import time
import tty
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import command
import pytest
from stores import MemoryStore

from mip6 import clock, terminal
from mip6.console.lock import Seal
from mip6.console.methods import Console
from mip6.console.upkeep import Upkeep
from mip6.eventlog import EventLog
from mip6.keystore.keystore import Keystore
from mip6.maintenance import networklist
from roamkey.board.serial_client import SerialClient
from roamkey.build import files_for
from roamkey.lab.board import RP2, VirtualBoard
from roamkey.registry import Registry


class _Node:
    feed = None

    def __init__(self, restarts: bool) -> None:
        self._restarts = restarts

    def status(self) -> dict[str, str]:
        return {"state": "waiting"}

    def reload(self) -> bool:
        return self._restarts

    def farewell(self) -> None:
        pass

    def seal_changed(self) -> None:
        pass

    def networks_changed(self) -> None:
        pass


class _Platform:
    """What ports/board.py offers, without a board."""

    random = staticmethod(os.urandom)

    @staticmethod
    def opening() -> str:
        return ""


class FakeBoard:
    """The console behind a pty. `hears` and `says` change what crosses the line, or drop it (b"").
    `echoes`: a cable that gives the host back what it sends.

    With `restarts` it starts afresh for new keys, and hears nothing meanwhile: `RESTART_S`.

    After `unplug_after` octets from the host the port is gone and the board without power. `port`
    is a link that goes with it: the pty's own name may be the next board's, another test's even.
    """

    RESTART_S = 0.6

    def __init__(self, link: Path, board_id: str = "fa4e") -> None:
        self.restarts = False
        self._deaf_until = 0.0
        self.store = MemoryStore()
        self.board_id = board_id
        self.hears: Callable[[bytes], bytes] = bytes
        self.says: Callable[[bytes], bytes] = bytes
        self.echoes = False
        self.unplug_after: int | None = None
        self.heard = bytearray()
        self._stop: int | None = None
        self._link = link
        self.port = str(link)

    @property
    def set_id(self) -> str | None:
        """The set that the board would hold after a reset."""
        keystore = Keystore(self.store)
        keystore.load()
        return keystore.credentials.set_id.hex() if keystore.credentials else None

    def plug(self) -> None:
        """Power and a port, as after a reset."""
        self._start()
        self._master, self._slave = pty.openpty()
        tty.setraw(self._slave)
        self._link.symlink_to(os.ttyname(self._slave))
        self.heard.clear()
        stopped, self._stop = os.pipe()
        self._thread = threading.Thread(target=self._run, args=(stopped,), daemon=True)
        self._thread.start()

    def _start(self) -> None:
        keystore = Keystore(self.store)
        keystore.load()
        identity = {"board": self.board_id, "platform": "test", "micropython": "0", "agent": "0"}
        node = _Node(self.restarts)
        log = EventLog(clock.now)
        seal = Seal(self.store, os.urandom, clock.now)
        upkeep = Upkeep(self.store, seal, log, _Platform, networklist, node)
        self._console = Console(keystore, node, identity, upkeep)
        self._reader = terminal.LineReader()

    def unplug(self) -> None:
        """Take port and power away, if they are there."""
        if self._stop is not None:
            os.close(self._stop)
            self._thread.join()
            self._stop = None

    def _run(self, stopped: int) -> None:
        with contextlib.suppress(OSError):
            while stopped not in select.select([self._master, stopped], [], [])[0]:
                if not self._take(os.read(self._master, 4096)):
                    break
        self._link.unlink()
        for descriptor in (self._master, self._slave, stopped):
            os.close(descriptor)

    def _take(self, octets: bytes) -> bool:
        for octet in octets:
            self.heard.append(octet)
            if self.echoes:
                os.write(self._master, bytes([octet]))
            if self.unplug_after is not None and len(self.heard) > self.unplug_after:
                return False
            for taken in self.hears(bytes([octet])):
                if time.monotonic() >= self._deaf_until:
                    self._feed(taken)
        return True

    def _feed(self, octet: int) -> None:
        try:
            line = self._reader.feed(octet)
            answer = self._console.handle(line) if line else None
        except terminal.Oversized as error:
            answer = self._console.refuse(error)
        if answer:
            os.write(self._master, self.says(answer + b"\n"))
        if self._console.rebooting:
            self._deaf_until = time.monotonic() + self.RESTART_S
            self._start()


@pytest.fixture
def fake(tmp_path: Path) -> Iterator[FakeBoard]:
    """A plugged-in FakeBoard without keys."""
    board = FakeBoard(tmp_path / "port")
    board.plug()
    yield board
    board.unplug()


@pytest.fixture
def hasty() -> Callable[[str], SerialClient]:
    """Opens ports and doesn't wait long for answers."""
    return lambda port: SerialClient(port, answer_s=0.6, store_s=0.3)


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    with Registry.open(tmp_path / "registry.sqlite") as opened:
        yield opened


# The sources take more than what is installed, and there is to be room for an update.
_ROOMY = replace(RP2, block_count=300)

# In place of the machine's own uplinks: these tests send nothing into the network they run on.
_NO_UPLINKS = b"""
class Port:
    faults = {}
    native, why = True, "none here"

    def start(self, sink):
        pass

    def stop(self):
        pass

    def send(self, *packet):
        return False
"""


@pytest.fixture
def virtual(tmp_path: Path) -> Iterator[VirtualBoard]:
    """A running board with the agent on it, without keys and without uplinks."""
    with VirtualBoard(tmp_path / "board.img", geometry=_ROOMY) as board:
        board.install({**files_for("linux"), "/lib/mip6/ports/posix.py": _NO_UPLINKS})
        board.start()
        yield board


@pytest.fixture
def roamkey(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, str]]:
    """Runs the command in this process: exit code, stdout, stderr."""
    return partial(command.run, monkeypatch, capsys)
