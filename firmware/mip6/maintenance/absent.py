"""What stands in for the node where it can't run."""

import asyncio

from ..compat import const
from ..errors import Unsupported
from ..supervise import Part

TYPE_CHECKING = const(False)

if TYPE_CHECKING:
    from typing import Any

    from ..protocols import PortSocket

_AGAIN_S = const(60)


class NoNode:
    """Stands in for the node where it can't run; `text` says why, in one line. `again`: whether
    the whole agent has to start anew in a minute, which may help."""

    bindings = None

    def __init__(self, text: str, again: bool = False) -> None:
        self.text = text
        self.part = Part("node")
        self.sockets: "dict[int, PortSocket]" = {}
        self._again = again

    def status(self) -> "dict[str, Any]":
        """As Node.status(): the state and a line for a person."""
        return {"state": "absent", "text": self.text}

    def reload(self) -> None:
        """New keys change nothing here."""

    async def run(self) -> None:
        """End at once, or after a minute with an error: there is nothing to run."""
        if self._again:
            await asyncio.sleep(_AGAIN_S)
            raise Unsupported(self.text)
