"""Where a technician sits down: the console is in memory while somebody talks to it, no longer."""

import asyncio

from . import clock, workshop
from .compat import const

_KEEP_MS = const(10000)  # after the last line


class Desk:
    """`make()`: a console.Console. `sealed()`: whether the board is sealed and 0x03 void."""

    def __init__(self, make, sealed):
        self._make = make
        self.sealed = sealed
        self._console = None
        self._counts = None  # of lines refused, over the consoles there were
        self._until = 0

    async def open(self):
        """The console. Its files load one by one, so that the node has its turn between them."""
        self._until = clock.now() + _KEEP_MS
        if self._console is None:
            for name in workshop.MODULES:
                workshop.load(name)
                await asyncio.sleep(0)
            self._console = self._make()
            if self._counts is not None:
                self._console.counts = self._counts
            self._counts = self._console.counts
        return self._console

    def tidy(self):
        """Once a second: put everything away that nobody has asked for in a while."""
        if clock.now() >= self._until and (self._console is None or self._console.settled):
            self._console = None
            workshop.forget()
