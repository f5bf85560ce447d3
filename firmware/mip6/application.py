"""The user's own program beside the agent: the coroutine `main(node)` of /app.py, if there is one.

It runs until it ends. What it raises is kept for the console's status, harms nothing else, and has
it started again after a pause; its sockets are closed at each end. What it prints is kept, too.

/app.try goes before it, once: a program that is tried. It leaves no record, and the next start is
that of /app.py again.
"""

import asyncio
import os

from .compat import const
from .supervise import Part

TYPE_CHECKING = const(False)

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from typing import Any

    from .applog import Printed
    from .node import Node
    from .protocols import Store

_NAMES = ("/app.py", "/app.mpy")
_TRIED = "/app.try"
_TRYING = "/app_try.py"  # so that it can be imported, and at no other start: see applog.py
_PAUSE_MAX_S = const(600)

_RECORD = "app"  # how many of the last starts were not got over, or _KEPT
_ONCE = b"1"
_TWICE = b"2"
_KEPT = b"stop"
_TURNS = b"12"
_ROUNDS = const(5)  # of a second each: then nothing blocks the loop
_HELD_S = const(3600)


class Ended(Exception):
    """The program asked for its end as a program does that is alone: sys.exit(). With an argument:
    somebody typed 0x03 while it ran, on a board that isn't sealed."""


class Application:
    """`status` says how it fares: "none", "running", "ended", or the error that ended it, or why
    it doesn't run; `part`: what went wrong so far; `printed`: what it printed, None before its
    first start.

    `store`: keeps a record of starts that nothing came after. `slept`: the board woke from deep
    sleep, which such a start is not. `rounds`: seconds until a start is got over.
    `interrupts(on)`: lets 0x03 interrupt, None: it never may; `interrupted(False)`: it did, and
    the REPL is next.
    """

    def __init__(
        self,
        store: "Store | None" = None,
        slept: bool = False,
        interrupts: "Callable[[bool], None] | None" = None,
        interrupted: "Callable[[bool], None] | None" = None,
    ) -> None:
        self.status = "none"
        self.part = Part("application")
        self.interrupts = interrupts
        self.interrupted = interrupted
        self.rounds = _ROUNDS
        self.printed: "Printed | None" = None
        self._tried = False
        self._store = store
        self._slept = slept
        self._node: "Node | None" = None
        self._task: "asyncio.Task[None] | None" = None
        self._escaped: BaseException | None = None

    def begin(self, node: "Node") -> None:
        """Have a task run it; `node`: a node.Node."""
        self._node = node
        self._task = asyncio.create_task(self.run(node))

    async def run(self, node: "Node") -> None:
        """Run /app.py's `main(node)` to its end."""
        while True:
            try:
                await self._run(node)
                return
            except Exception as error:  # no memory even to begin
                self.part.note(error)
            await asyncio.sleep(1)

    async def _run(self, node: "Node") -> None:
        if not self._tried:
            try:
                os.rename(_TRIED, _TRYING)
                self._tried = True
            except OSError:
                pass
        if not self._tried and not any(_exists(name) for name in _NAMES):
            return
        record = self._record()
        if record == _KEPT:
            self.status = "kept from starting: roamkey app start"
            return
        if record == _TWICE:
            self.status = "held for an hour: its last two starts left nobody else a turn"
            await asyncio.sleep(_HELD_S)
        await self.part.run(lambda: self._start(node), None, 0, _PAUSE_MAX_S)

    async def _start(self, node: "Node") -> None:
        """A load point."""
        self._escaped = None
        if self.printed is None:
            from .applog import Printed

            self.printed = Printed()
        self.printed.begin(self._tried)
        if not self._slept:
            self._keep(_TWICE if self._record() else _ONCE)
        self.status = "running"
        proving = asyncio.create_task(self._prove())
        try:
            await _Steps(_main(node, self._tried), self)  # type: ignore[misc]  # MicroPython's
            self.status = "ended"
        except Ended as error:
            self.status = "interrupted" if error.args else "ended"
            if error.args and self.interrupted is not None:
                self.interrupted(False)
        except asyncio.CancelledError:
            if self.status == "running":
                self.status = "ended"
            if self._escaped is None:
                raise
            if not isinstance(self._escaped, SystemExit):
                self.status = "%s in a task of its own" % type(self._escaped).__name__
                raise RuntimeError(self.status) from None
        except Exception as error:  # whatever it is: it is the user's, and the console must stay
            self.status = "%s: %s" % (type(error).__name__, error)
            self.printed.told(error, self.interrupts is not None)
            raise
        finally:
            self.printed.stop(self.status, self.interrupts is not None)
            proving.cancel()
            self._keep(None)
            for socket in list(node.sockets.values()):
                if hasattr(socket, "close"):  # the log's stays
                    socket.close()

    async def _prove(self) -> None:
        """The loop comes round: this start was one."""
        for _ in range(self.rounds):
            await asyncio.sleep(1)
        self._keep(None)

    def note(self, error: "BaseException") -> bool:
        """A task of its own raised this, or asyncio's loop: part.note()."""
        if self.printed is not None:
            self.printed.told(error, self.interrupts is not None)
        return self.part.note(error)

    def _record(self) -> bytes | None:
        try:
            if self._store is None or self._tried:
                return None
            return self._store.read(_RECORD)
        except Exception:  # whatever it is: the program needs no record
            return None

    def _keep(self, record: bytes | None) -> None:
        """Write the record or remove it, unless it is kept from starting; flash may fail."""
        try:
            if self._store is not None and not self._tried:
                found = self._store.read(_RECORD)
                if record is not None and found != _KEPT:
                    self._store.write(_RECORD, record)
                elif found and found != _KEPT:
                    self._store.remove(_RECORD)
        except Exception as error:
            self.part.note(error)

    def escaped(self, error: "BaseException") -> None:
        """A task of its own raised what ends a program that is alone: so this one ends."""
        if self._task is not None and self.status == "running":
            self._escaped = error
            self._task.cancel()

    def stop(self) -> None:
        """End it, and have no start begin it, until `start`. Raises OSError."""
        if self._store is not None:
            self._store.write(_RECORD, _KEPT)
        self.cancel()
        self.status = "kept from starting: roamkey app start"

    def start(self) -> None:
        """Begin it where it doesn't run, whatever kept it from that. Raises OSError."""
        if self._store is not None:
            self._store.remove(_RECORD)
        if self.status != "running" and self._node is not None:
            self.cancel()
            self.status = "none"
            self.begin(self._node)

    def cancel(self) -> None:
        """End it: the agent ends, too."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()


class _Steps:
    """Goes through a coroutine: what would end the whole agent becomes an Exception, and on a
    board that isn't sealed an 0x03 interrupts it."""

    def __init__(self, coroutine: "Coroutine[Any, Any, None]", owner: "Application") -> None:
        self._coroutine = coroutine
        self._owner = owner

    def __iter__(self) -> "_Steps":
        return self

    __await__ = __iter__

    def __next__(self) -> "Any":
        return self._step(self._coroutine.send, None)

    def throw(self, *error: "Any") -> "Any":
        """Raise something where the coroutine waits."""
        return self._step(self._coroutine.throw, *error)

    def _step(self, step: "Any", *how: "Any") -> "Any":
        interrupts = self._owner.interrupts
        try:
            if interrupts is None:
                return step(*how)
            try:
                interrupts(True)
                return step(*how)
            finally:
                interrupts(False)
                for _ in _TURNS:  # an interrupt that waits is raised at such a jump, if not before
                    pass
        except SystemExit:
            raise Ended from None
        except KeyboardInterrupt:
            raise (Ended() if interrupts is None else Ended(True)) from None

    def close(self) -> None:
        """The coroutine is given up."""
        self._coroutine.close()


async def _main(node: "Node", tried: bool) -> None:
    """A load point."""
    if tried:
        import app_try as app
    else:
        import app  # type: ignore[no-redef]
    await app.main(node)


def _exists(name: str) -> bool:
    try:
        os.stat(name)
    except OSError:
        return False
    return True
