"""The user's own program beside the agent: the coroutine `main(node)` of /app.py, if there is one.

It runs until it ends; what it raises is kept for the console's status and harms nothing else.
"""

import asyncio
import os

from .compat import const
from .errors import traceback_of

TYPE_CHECKING = const(False)

if TYPE_CHECKING:
    from .node import Node

_NAMES = ("/app.py", "/app.mpy")


class Application:
    """`status` says how it fares: "none", "running", "ended", or the error that ended it;
    `traceback`: where that came from.
    """

    def __init__(self) -> None:
        self.status = "none"
        self.traceback: str | None = None

    async def run(self, node: "Node") -> None:
        """Run /app.py's `main(node)` to its end; `node`: a node.Node."""
        if not any(_exists(name) for name in _NAMES):
            return
        self.status = "running"
        try:
            import app

            await app.main(node)
            self.status = "ended"
        except Exception as error:  # whatever it is: it is the user's, and the console must stay
            self.status = "%s: %s" % (type(error).__name__, error)
            self.traceback = traceback_of(error)
        except asyncio.CancelledError:
            self.status = "ended"
            raise


def _exists(name: str) -> bool:
    try:
        os.stat(name)
    except OSError:
        return False
    return True
