"""The user's own program beside the agent: the coroutine `main(node)` of /app.py, if there is one.

It runs until it ends. What it raises is kept for the console's status, harms nothing else, and has
it started again after a pause; its sockets are closed at each end.
"""

import asyncio
import os

from .compat import const
from .supervise import Part

TYPE_CHECKING = const(False)

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from typing import Any

    from .node import Node

_NAMES = ("/app.py", "/app.mpy")
_PAUSE_MAX_S = const(600)


class Ended(Exception):
    """The program asked for its end as a program does that is alone: sys.exit()."""


class Application:
    """`status` says how it fares: "none", "running", "ended", or the error that ended it;
    `part`: what went wrong so far.
    """

    def __init__(self) -> None:
        self.status = "none"
        self.part = Part("application")
        self._task: "asyncio.Task[None] | None" = None
        self._escaped: BaseException | None = None

    async def run(self, node: "Node") -> None:
        """Run /app.py's `main(node)` to its end; `node`: a node.Node."""
        if any(_exists(name) for name in _NAMES):
            self._task = asyncio.current_task()
            await self.part.run(lambda: self._start(node), 0, _PAUSE_MAX_S)

    async def _start(self, node: "Node") -> None:
        self.status = "running"
        self._escaped = None
        try:
            await _Steps(_main(node))  # type: ignore[misc]  # MicroPython awaits iterators
            self.status = "ended"
        except Ended:
            self.status = "ended"
        except asyncio.CancelledError:
            self.status = "ended"
            if self._escaped is None:
                raise
            if not isinstance(self._escaped, SystemExit):
                self.status = "%s in a task of its own" % type(self._escaped).__name__
                raise RuntimeError(self.status) from None
        except Exception as error:  # whatever it is: it is the user's, and the console must stay
            self.status = "%s: %s" % (type(error).__name__, error)
            raise
        finally:
            for socket in list(node.sockets.values()):
                if hasattr(socket, "close"):  # the log's stays
                    socket.close()

    def escaped(self, error: "BaseException") -> None:
        """A task of its own raised what ends a program that is alone: so this one ends."""
        if self._task is not None and self.status == "running":
            self._escaped = error
            self._task.cancel()


class _Steps:
    """Goes through a coroutine: what would end the whole agent becomes an Exception."""

    def __init__(self, coroutine: "Coroutine[Any, Any, None]") -> None:
        self._coroutine = coroutine

    def __iter__(self) -> "_Steps":
        return self

    __await__ = __iter__

    def __next__(self) -> "Any":
        return self._step(self._coroutine.send, None)

    def throw(self, *error: "Any") -> "Any":
        """Raise something where the coroutine waits."""
        return self._step(self._coroutine.throw, *error)

    def _step(self, step: "Any", *how: "Any") -> "Any":
        try:
            return step(*how)
        except (KeyboardInterrupt, SystemExit) as error:
            raise Ended(type(error).__name__) from None

    def close(self) -> None:
        """The coroutine is given up."""
        self._coroutine.close()


async def _main(node: "Node") -> None:
    import app

    await app.main(node)


def _exists(name: str) -> bool:
    try:
        os.stat(name)
    except OSError:
        return False
    return True
