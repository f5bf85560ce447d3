"""A part of the agent that fails alone: what it raised is kept, and it is started again.

What goes wrong with one packet, line or record costs that and a count (`note`); what ends the part
costs a pause, a second at first, doubling. Nothing here needs memory to go on without any.
"""

import asyncio
import gc

from . import clock
from .compat import const
from .errors import traceback_of

TYPE_CHECKING = const(False)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

_WINDOW_MS = const(10000)
_FAULTS_MAX = const(20)  # in a window: then the part is started anew
_GOOD_MS = const(600000)  # a part that ran so long has recovered
_PAUSE_MAX_S = const(60)
STUCK = const(2)  # the outcome of a part that can't recover
TRIES = const(8)  # starts in a row that fail: then whoever is above has to start anew


def _unheard(kind: str, text: object) -> None:
    pass


class Part:
    """`faults`: exceptions so far; `fault`, `traceback`: of the last one, empty without any;
    `restarts`; `failed`: whether it waits to be started again, or never will be.

    `log(kind, text)`: where faults are noted. `last`: set it, and no start follows.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.log: "Callable[[str, object], None]" = _unheard
        self.faults = self.restarts = 0
        self.fault = self.traceback = ""
        self.failed = self.last = False
        self._row = 0  # failed starts
        self._began = 0
        self._since = -_WINDOW_MS
        self._recent = 0

    def note(self, error: "BaseException") -> bool:
        """Keep what was raised; whether that is too often now. Never raises; of one window's
        faults the first goes into the log."""
        gc.collect()
        self.faults += 1
        self._recent += 1
        try:
            now = clock.now()
            first = now - self._since >= _WINDOW_MS
            if first:
                self._since = now
                self._recent = 1
            self.fault = type(error).__name__
            self.traceback = ""
            self.fault = "%s: %s" % (self.fault, error)
            self.traceback = traceback_of(error)
            if first:
                self.log("fault", self.name + ": " + self.traceback.replace("\n", " | "))
        except Exception:  # no memory, or an exception that can't say what it is
            pass
        return self._recent >= _FAULTS_MAX

    async def run(
        self,
        work: "Callable[[], Awaitable[int | None]]",
        ended: "Callable[[int | None], object] | None" = None,
        tries: int = TRIES,
        pause_max: int = _PAUSE_MAX_S,
    ) -> None:
        """Await `work()`, again where it raises, after a pause (`pause_max`: seconds). What it
        returns goes to `ended`, or STUCK after `tries` failing starts in a row (0: never)."""
        while True:
            try:
                self.failed = False
                self._began = clock.now()
                outcome = await work()
                break
            except Exception as error:
                self.failed = True
                self.note(error)
                if self._count() == tries or self.last:
                    outcome = STUCK
                    break
            await asyncio.sleep(min(1 << min(self._row, 16) - 1, pause_max))
            self.restarts += 1
        if ended is not None:
            ended(outcome)

    def _count(self) -> int:
        """How many starts in a row have failed."""
        self._recent = 0
        try:
            if clock.now() - self._began >= _GOOD_MS:
                self._row = 0
        except MemoryError:
            pass
        self._row += 1
        return self._row
