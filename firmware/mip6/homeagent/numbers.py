"""Sequence numbers that no key's life hangs on, in memory, modulo 2^16 (RFC 6275 section 9.5.1).

For bindings that no static key authorizes: they have the shape of keystore.Keystore, as far as a
Binding uses it, and cost no budget. The other end names its own number where it is ahead.
"""

from ..compat import const

_NUMBERS = const(65536)


class Numbers:
    """Those of one binding: `index` counts nothing. They are their own budget, without an end."""

    def __init__(self) -> None:
        self._last = -1
        self.budget = self

    def current(self, index: int) -> "tuple[int, bytes]":
        """A generation, and a key that is none."""
        return 0, b""

    def take(self, index: int) -> tuple[int, int]:
        """(generation, number) of the next update."""
        self._last = (self._last + 1) % _NUMBERS
        return 0, self._last

    def peek(self, index: int) -> int:
        """From where on a number that the other end names is ahead of us: any is."""
        return 0

    def advance(self, index: int, last_accepted: int) -> None:
        """Go on behind this one."""
        self._last = last_accepted

    def warning(self, index: int) -> None:
        """There is nothing to be used up."""

    def wait(self, index: int, now: int) -> int:
        """Milliseconds until an update may leave."""
        return 0

    def spend(self, index: int, tokens: int = 1) -> None:
        """An update left (-1: it didn't, after all)."""
