"""What of a link is news: an end that moved, and lines for the log, not too many of them."""

from ..compat import const

_ROUNDED = const(2000)  # ms: what tells a lifetime tells whole seconds
_LINES = const(64)
_EVERY = const(10000)  # ms


def moved(told: "int | None", until: "int | None", at: int) -> bool:
    """Whether an address ends (ms; None: never) so much sooner or later than was told that it
    matters. Advertisements move it all the time; an eighth more of what is left is enough."""
    if told is None or until is None:
        return told is not until
    return until < told - _ROUNDED or until > told + max(_ROUNDED, (told - at) // 8)


class Ration:
    """Of what a neighbour can cause: so many at once, then one in so many milliseconds."""

    def __init__(self, most: int = _LINES, every: int = _EVERY) -> None:
        self._left = self._most = most
        self._every = every
        self._since = 0

    def take(self, at: int) -> bool:
        """Whether there is one left. `at`: milliseconds."""
        gained = (at - self._since) // self._every
        self._since += gained * self._every
        self._left = min(self._most, self._left + gained)
        if self._left:
            self._left -= 1
            return True
        return False
