"""The last events of a board, in RAM: a bounded ring that forgets its oldest entries.

What keeps them over a reset and signs them is not here.
"""

from . import addresses
from .compat import const

_ENTRIES = const(64)


class EventLog:
    """`now()`: milliseconds since the start. An entry is [number, milliseconds, kind, text]."""

    def __init__(self, now, entries=_ENTRIES):
        self._now = now
        self._most = entries
        self._entries = []
        self._next = 0

    def add(self, kind, text=""):
        """Note an event: a short fixed word and a line for a person, without secrets."""
        if len(self._entries) >= self._most:
            self._entries.pop(0)
        self._entries.append([self._next, self._now(), kind, text])
        self._next += 1

    def take_over(self, events):
        """Note what a Binding Update List told, tuples (kind, address, detail), and empty it."""
        while events:
            kind, subject, detail = events.pop(0)
            words = [] if subject is None else [addresses.text(subject)]
            if detail is not None:
                words.append(str(detail))
            self.add(kind, " ".join(words))

    def since(self, number, most):
        """The first entries (at most `most`) numbered from `number` on that are still there."""
        return [entry for entry in self._entries if entry[0] >= number][:most]
