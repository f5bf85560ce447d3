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
from .bindings import ways
from .compat import const
from .errors import StorageError, Unsupported
from .eventlog import AirLog, EventLog
from .keystore.keystore import Keystore
from .keystore.records import EMPTY, KEYS
from .node import Node
from .ports import board
from .ports.files import FileStore
from .supervise import STUCK, Part

TYPE_CHECKING = const(False)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine
    from typing import Any

    from .console.methods import Console
    from .maintenance.absent import NoNode
    from .protocols import Port, Store

    Serve = Callable[[terminal.Desk], Awaitable[int | None]]

ROOT = "/roamkey"
_SEAL = "seal"  # lock.RECORD
_QUIET = const(200)  # ms with nothing due in which old keys may be overwritten
_LOOK_S = const(1)
_BUSY_S = 0.05
_AGAIN_S = const(60)
_KEEP_MS = const(600000)  # between writes of which ways won
# Garbage on a Pico W's heap of 190 KB, at most: where it may fill all of it, what stays is made
# everywhere, and in the end a hundred KB are free in pieces of which none has four.
_GARBAGE_OCTETS = const(32768)


class Agent:
    """Node, application, console and idle work side by side: one that fails is started again.

    The console asks here how they are. `feed()` feeds the chip's watchdog; None where none runs.
    """

    def __init__(
        self,
        node: "Node | NoNode",
        port: "Port | None" = None,
        store: "Store | None" = None,
        interrupts: "Callable[[bool], None] | None" = None,
    ) -> None:
        self.node = node
        self._store = store
        self._interrupts = interrupts
        self.application = Application(store, board.started_by("DEEPSLEEP_RESET"), None, self.end)
        self.parts = (node.part, self.application.part, Part("idle work"), Part("console"))
        self.over = False
        self._keep_at = 0
        self.feed: "Callable[[], object] | None" = None
        self._port = port
        self._ending: asyncio.Event = None  # type: ignore[assignment]  # until `run`
        self._outcome: int | None = None

    def status(self) -> "dict[str, Any]":
        """The node's status, and how the others fare. A load point: status.py."""
        from .status import of_agent

        return of_agent(self)

    def reload(self) -> bool:
        """Have the node read the keys again; and which ways won, where they are the same.

        True: they wait for a start of the board, which is due. What a home agent takes, loaded
        beside all that runs, would leave a Pico W's heap in pieces too small for a console.
        """
        if sys.platform == "rp2" and __file__.endswith(".mpy"):  # else it stays where it is
            late = self._ending is not None and "mip6.homeagent" not in sys.modules
            if late and _names_home_agent():
                self.node.bindings = None  # they would go on with numbers that are other keys' now
                return True
        self.node.reload()
        store, node = self._store, self.node
        if store is None or not isinstance(node, Node):
            return False
        try:
            if node.bindings is not None:
                node.bindings.ways.restore(store.read(ways.RECORD) or b"")
            elif node.keystore.status == EMPTY:
                store.remove(ways.RECORD)
        except OSError as error:
            node.part.note(error)
        return False

    def keep(self) -> None:
        """Have flash know which ways won, each ten minutes at most."""
        bindings, store, at = self.node.bindings, self._store, clock.now()
        if bindings is None or store is None or not bindings.ways.changed or at < self._keep_at:
            return
        self._keep_at = at + _KEEP_MS
        bindings.ways.changed = False
        try:
            store.write(ways.RECORD, bindings.ways.record())
        except OSError as error:
            self.node.part.note(error)

    def farewell(self) -> None:
        """Have the correspondents told that the keys are about to go."""
        if isinstance(self.node, Node):
            self.node.farewell()

    def networks_changed(self) -> None:
        """Have the port read the record of Wi-Fi networks again, where it joins any."""
        if hasattr(self._port, "reload"):
            self._port.reload()  # type: ignore[union-attr]  # None has no reload

    def seal_changed(self) -> None:
        """The board may be sealed now, or no more: have it known to the application, which 0x03
        may interrupt, and to the chip's watchdog. A load point."""
        sealed = self._interrupts is None or self._store is None or is_sealed(self._store)
        self.application.interrupts = None if sealed else self._interrupts
        from .maintenance import watchdog

        watchdog.follow(self, sealed)

    async def _guard(self) -> None:
        """Nobody else feeds the watchdog where there is no node, or one that waits to start."""
        while True:
            if self.feed and (self.node.part.failed or not isinstance(self.node, Node)):
                self.feed()
            await asyncio.sleep(_LOOK_S)

    def idle(self) -> bool:
        """Whether nothing is due for a while."""
        bindings = self.node.bindings
        at = None if bindings is None else bindings.wakes_at()
        return at is None or at - clock.now() > _QUIET

    def open(self, log: "EventLog") -> None:
        """Have all that happens noted in `log`, and the log read over the air."""
        for part in self.parts:
            part.log = log.add
        if self._port is not None:
            node: Node = self.node  # type: ignore[assignment]  # there is one where a port is
            self._port.note = log.add  # type: ignore[method-assign]  # a port's own says nothing
            node.emit = log.emit
            node.add_socket(AirLog(log, node, clock.now))
            node.reload()

    def end(self, outcome: int | None) -> None:
        """Have `run` come to its end and return `outcome`; None: all else works on."""
        if self._outcome is None and outcome is not None:
            self._outcome = outcome
            self._ending.set()

    async def run(
        self,
        tend: "Callable[[], Awaitable[None]]",
        serve: "Callable[[], Awaitable[int | None]]",
    ) -> "int | None":
        """Run all of them, `tend` being the idle work and `serve` the console, until one says that
        this is the end; see `operate`."""
        node, _, idle, console = self.parts
        tasks: "list[asyncio.Task[None]]" = []
        try:
            self._ending = asyncio.Event()
            tasks.append(asyncio.create_task(self._guard()))
            self.seal_changed()
            self.application.begin(self.node)  # type: ignore[arg-type]  # see NoNode
            for part, work in ((node, self.node.run), (idle, tend), (console, serve)):
                tasks.append(asyncio.create_task(part.run(work, self.end)))
            await self._ending.wait()
            return self._outcome
        finally:
            for part in self.parts:
                part.last = True
            self.application.cancel()
            for task in tasks:
                task.cancel()
            for task in tasks:
                try:
                    await task  # the node may have a de-registration to send
                except asyncio.CancelledError:
                    pass
                except Exception as error:
                    node.note(error)
            self.over = True

    def escaped(self, error: "BaseException") -> bool:
        """What came through asyncio's loop itself, which goes on: an application's SystemExit,
        mostly. Whether that is too often."""
        self.application.escaped(error)
        return self.application.note(error)


def make_node(keystore: "Keystore") -> "tuple[Node | NoNode, Port | None]":
    """The node of this platform and its port; or a NoNode that says what is missing, and None.

    A load point.
    """
    try:
        port = board.open_port()
        return Node(keystore, port), port
    except Unsupported as error:
        text, again = str(error), False
    except Exception as error:  # whatever it is, the console must stay to report it
        text, again = "the node can't start: %s: %s" % (type(error).__name__, error), True
    from .maintenance.absent import NoNode

    return NoNode(text, again), None


async def make_console(
    keystore: "Keystore", node: "Agent", store: "Store", log: "EventLog", service: bool
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
    except Exception:  # whatever it is
        return True


async def on_terminal(desk: "terminal.Desk") -> bool | None:
    """Serve the console on the board's own line; what terminal.serve() returns."""
    return await terminal.serve(desk, sys.stdin.buffer, sys.stdout.buffer)


async def tend(
    keystore: "Keystore", node: "Agent", log: "EventLog", desk: "terminal.Desk"
) -> None:
    """Work for ever. `log`: EventLog; `desk`: terminal.Desk."""
    while True:
        log.tend(node.idle())
        if node.idle():
            node.keep()
        if keystore.scrub_due and node.idle() and not await _scrub(keystore, node, log):
            await asyncio.sleep(_AGAIN_S)
        desk.tidy()
        await asyncio.sleep(_LOOK_S)


async def _scrub(keystore: "Keystore", node: "Agent", log: "EventLog") -> bool:
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


def operate(
    root: str,
    make: "Callable[[Keystore], tuple[Node | NoNode, Port | None]]",
    serve: "Serve",
    service: bool = False,
) -> int | None:
    """Run on the state in the folder `root` until the coroutine `serve(desk)` ends.

    `make(keystore)`: node and port, as `make_node`. `serve` returns True for a reboot, False for
    the REPL (which is the caller's turn), None if nobody can talk any more: the node works on
    alone. STUCK comes back where a part failed for good and all has to start anew. `service`: see
    `make_console`.
    """
    if sys.platform == "rp2":
        gc.threshold(_GARBAGE_OCTETS)  # type: ignore[attr-defined]  # MicroPython's own
    store = FileStore(root)
    renewed = board.started_by("PWRON_RESET", "DEEPSLEEP_RESET")
    keystore = Keystore(store, board.retained(), renewed)
    # What stays in memory first: what goes leaves holes behind it.
    agent = Agent(*make(keystore), store, None if service else board.interrupts)
    keystore.load()
    agent.reload()
    log = make_log(store, root)
    agent.open(log)
    desk = terminal.Desk(
        lambda: make_console(keystore, agent, store, log, service),
        lambda: is_sealed(store),
        agent.parts[3],
    )
    gc.collect()
    try:
        return _loop(
            agent,
            agent.run(lambda: tend(keystore, agent, log, desk), lambda: serve(desk)),
            service,
        )
    finally:
        asyncio.new_event_loop()
        try:
            log.write_lines()
            log.save()
        finally:
            _release(keystore)


def _loop(agent: "Agent", work: "Coroutine[Any, Any, int | None]", service: bool) -> int | None:
    """Run asyncio's loop until `work` is done, again where something comes through it."""
    loop = asyncio.new_event_loop()
    loop.set_exception_handler(
        lambda _, context: agent.application.note(context["exception"]) and None
    )
    main = loop.create_task(work)
    while True:
        try:
            return loop.run_until_complete(main)
        except BaseException as error:
            if agent.over or main.done():
                raise
            if service and isinstance(error, KeyboardInterrupt):  # run by hand
                agent.end(False)
            elif agent.escaped(error):
                agent.end(STUCK)


def _release(keystore: "Keystore") -> None:
    """The numbers reserved and not used aren't lost."""
    try:
        keystore.release()
    except StorageError as error:
        print("counter not released:", error)


def _names_home_agent() -> bool:
    """Whether the keys in flash do, by how such a set begins: keychange/check.py."""
    return (FileStore(ROOT).read(KEYS) or b"").startswith(b"\x4b\x03")


def _run_in_place() -> None:
    """Have bytecode run from flash where the platform can; what fails leaves it in RAM. A load
    point. No coroutine has begun, and of functions these two alone."""
    if sys.platform == "rp2" and __file__.endswith(".mpy"):
        try:
            if _names_home_agent():
                from .homeagent import update_list  # noqa: F401
                from .homelink import wlan  # noqa: F401
                from .routability import binding  # noqa: F401
            from .inplace import begin

            begin.begin(main, _run_in_place)
        except Exception as error:  # whatever it is: it ran without until now
            print("bytecode stays in RAM:", repr(error))
        terminal.forget()


def main() -> None:
    """Run until 0x03 (return: the REPL follows) or until a reboot is asked for.

    Whoever called (main.py) sees to it that no REPL follows on a sealed board.
    """
    board.interrupts(False)  # 0x03 is an octet like others: nothing is torn in mid-write
    _run_in_place()
    try:
        outcome = operate(ROOT, make_node, on_terminal)
    finally:
        if not is_sealed(FileStore(ROOT)):
            board.interrupts(True)
            from .maintenance import watchdog

            watchdog.stop(False)  # the REPL follows
    if outcome:
        board.reboot(outcome is STUCK)
