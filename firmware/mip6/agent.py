"""The board's main program: node, serial line and application side by side, on what there is.

A board that lacks something (keys, a port for its platform) still answers its console, and the
status says what is missing.

While nothing else is due the agent overwrites old keys, and keeps its log. Old keys stay in unused
flash until a scrub has erased every free block, seconds to a minute of work. It goes a page or an
erase at a time, everybody else having a turn between, and not while an update is on its way: a
handover waits for one slice at most.
"""

import asyncio
import gc
import sys

from . import clock, terminal
from .application import Application
from .compat import const
from .errors import StorageError, Unsupported, traceback_of
from .eventlog import AirLog, EventLog
from .keystore.keystore import Keystore
from .node import Node
from .ports import board
from .ports.files import FileStore

TYPE_CHECKING = const(False)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from typing import Any

    from .console.methods import Console
    from .protocols import Port, Store

    Serve = Callable[[terminal.Desk], Awaitable[bool | None]]

ROOT = "/roamkey"

_SEAL = "seal"  # lock.RECORD
_QUIET = const(200)  # ms with nothing due in which old keys may be overwritten
_LOOK_S = const(1)
_BUSY_S = 0.05
_AGAIN_S = const(60)


def _nowhere(kind: str, text: str) -> None:
    pass


class NoNode:
    """Stands in for the node where it can't run; `text` says why, in one line."""

    bindings = None

    def __init__(self, text: str) -> None:
        self.text = text

    def status(self) -> "dict[str, Any]":
        """As Node.status(): the state and a line for a person."""
        return {"state": "absent", "text": self.text}

    def reload(self) -> None:
        """New keys change nothing here."""

    async def run(self) -> None:
        """End at once: there is nothing to run."""


class Guarded:
    """Runs a node and keeps the console alive when it fails; `status()` then names the fault."""

    def __init__(self, node: "Node | NoNode", port: "Port | None" = None) -> None:
        self._node = node
        self._port = port
        self._fault: str | None = None
        self._traceback: str | None = None
        self._note: "Callable[[str, str], None]" = _nowhere
        self._application = Application()

    def status(self) -> "dict[str, Any]":
        """The node's status, how the application fares, and what stopped either: `fault` and
        `traceback` of the node, `application_traceback`."""
        status = dict(self._node.status())
        if self._fault:
            status["fault"] = self._fault
            status["traceback"] = self._traceback
        status["application"] = self._application.status
        if self._application.traceback:
            status["application_traceback"] = self._application.traceback
        return status

    def reload(self) -> None:
        """Have the node read the keys again."""
        self._node.reload()

    def farewell(self) -> None:
        """Have the correspondents told that the keys are about to go."""
        node: Node = self._node  # type: ignore[assignment]  # there is one where bindings are
        if node.bindings is not None:
            node.farewell()

    def networks_changed(self) -> None:
        """Have the port read the record of Wi-Fi networks again, where it joins any."""
        if hasattr(self._port, "reload"):
            self._port.reload()  # type: ignore[union-attr]  # None has no reload

    def idle(self) -> bool:
        """Whether nothing is due for a while."""
        bindings = self._node.bindings
        at = None if bindings is None else bindings.wakes_at()
        return at is None or at - clock.now() > _QUIET

    def open(self, log: "EventLog") -> None:
        """Have all that happens noted in `log`, and the log read over the air."""
        if self._port is not None:
            node: Node = self._node  # type: ignore[assignment]  # there is one where a port is
            self._note = log.add
            self._port.note = log.add  # type: ignore[method-assign]  # a port's own says nothing
            node.emit = log.emit
            node.add_socket(AirLog(log, node, clock.now))
            node.reload()

    async def run(self) -> None:
        """Run the node to its end; a failure is kept and shown, and never ends the console."""
        beside = asyncio.create_task(
            self._application.run(self._node)  # type: ignore[arg-type]  # see NoNode
        )
        try:
            await self._node.run()
        except Exception as error:  # whatever it is, the console must stay to report it
            self._fault = "%s: %s" % (type(error).__name__, error)
            self._traceback = traceback_of(error)
            self._note("fault", self._traceback.replace("\n", " | "))
        finally:
            beside.cancel()


def make_node(keystore: "Keystore") -> "tuple[Node | NoNode, Port | None]":
    """The node of this platform and its port; or a NoNode that says what is missing, and None."""
    try:
        port = board.open_port()
        return Node(keystore, port), port
    except Unsupported as error:
        return NoNode(str(error)), None
    except Exception as error:  # whatever it is, the console must stay to report it
        return NoNode("the node can't start: %s: %s" % (type(error).__name__, error)), None


async def make_console(
    keystore: "Keystore", node: "Guarded", store: "Store", log: "EventLog", service: bool
) -> "Console":
    """The console with all its methods, over what this platform has. A load point.

    Its files load one by one, the node having its turn between them. `service`: a system is round
    the agent, which joins networks itself and has no REPL to seal.
    """
    from .maintenance import facts, networklist

    await asyncio.sleep(0)
    from . import status  # noqa: F401 (which the next imports: a turn for the node before that)

    await asyncio.sleep(0)
    from .keychange import check  # noqa: F401

    await asyncio.sleep(0)
    from .console.lock import Seal
    from .console.methods import Console
    from .console.upkeep import Upkeep

    seal = Seal(store, facts.random, clock.now)
    upkeep = Upkeep(store, seal, log, facts, None if service else networklist, node)
    if service:
        del upkeep.methods["seal"]
    return Console(keystore, node, facts.identity(store), upkeep)


def make_log(store: "Store", root: str) -> "EventLog":
    """The log of events, with this start in it. Makes the board's id, too, where it has none.

    A load point.
    """
    from .maintenance import facts

    facts.identity(store)
    return EventLog(clock.now, FileStore(root + "/log"), facts.start())


def is_sealed(store: "Store") -> bool:
    """Whether the board is sealed, or may be (see console/lock.py)."""
    try:
        return bool(store.read(_SEAL))
    except OSError:
        return True


async def on_terminal(desk: "terminal.Desk") -> bool | None:
    """Serve the console on the board's own line; what terminal.serve() returns."""
    return await terminal.serve(desk, sys.stdin.buffer, sys.stdout.buffer)


async def tend(
    keystore: "Keystore", node: "Guarded", log: "EventLog", desk: "terminal.Desk"
) -> None:
    """Work for ever. `node`: Guarded; `log`: EventLog; `desk`: terminal.Desk."""
    while True:
        log.tend(node.idle())
        if keystore.scrub_due and node.idle() and not await _scrub(keystore, node, log):
            await asyncio.sleep(_AGAIN_S)
        desk.tidy()
        await asyncio.sleep(_LOOK_S)


async def _scrub(keystore: "Keystore", node: "Guarded", log: "EventLog") -> bool:
    """Overwrite old keys, as slowly as the node's work demands; whether it came to its end."""
    slices = keystore.scrubbing()
    try:
        for _ in slices:
            await asyncio.sleep(0)
            while not node.idle():
                await asyncio.sleep(_BUSY_S)
    except StorageError as error:
        log.add("storage", str(error))
        return False
    finally:
        slices.close()
    log.add("scrubbed", "old keys are overwritten")
    return True


async def run(
    keystore: "Keystore", node: "Guarded", desk: "terminal.Desk", log: "EventLog", serve: "Serve"
) -> bool | None:
    """Have `serve(desk)` run beside the node and return what it does; see `operate`."""
    tasks = [
        asyncio.create_task(node.run()),
        asyncio.create_task(tend(keystore, node, log, desk)),
    ]
    try:
        reboot = await serve(desk)
        if reboot is None:
            await tasks[0]  # no terminal: the node works on alone
        return reboot
    finally:
        for task in tasks:
            task.cancel()
        for task in tasks:
            try:
                await task  # the node may have a de-registration to send
            except asyncio.CancelledError:
                pass


def operate(
    root: str,
    make: "Callable[[Keystore], tuple[Node | NoNode, Port | None]]",
    serve: "Serve",
    service: bool = False,
) -> bool | None:
    """Run on the state in the folder `root` until the coroutine `serve(desk)` ends.

    `make(keystore)`: node and port, as `make_node`. `serve` returns True for a reboot, False for
    the REPL (which is the caller's turn), None if nobody can talk any more: the node works on
    alone. `service`: see `make_console`.
    """
    store = FileStore(root)
    keystore = Keystore(store, board.retained())
    node = Guarded(*make(keystore))  # what stays in memory first: what goes leaves holes behind it
    keystore.load()
    node.reload()
    log = make_log(store, root)
    node.open(log)
    desk = terminal.Desk(
        lambda: make_console(keystore, node, store, log, service),
        lambda: is_sealed(store),
    )
    gc.collect()
    try:
        return asyncio.run(run(keystore, node, desk, log, serve))
    finally:
        asyncio.new_event_loop()
        log.write_lines()
        log.save()
        try:
            keystore.release()  # the numbers reserved and not used aren't lost
        except StorageError as error:
            print("counter not released:", error)


def main() -> None:
    """Run until 0x03 (return: the REPL follows) or until a reboot is asked for.

    Whoever called (main.py) sees to it that no REPL follows on a sealed board.
    """
    board.interrupts(False)  # 0x03 is an octet like others: nothing is torn in mid-write
    try:
        reboot = operate(ROOT, make_node, on_terminal)
    finally:
        if not is_sealed(FileStore(ROOT)):
            board.interrupts(True)
    if reboot:
        board.reboot()
