"""Who has to be looked at when: a heap whose entries may be out of date (no I/O)."""

from collections.abc import Iterator
from heapq import heappop, heappush
from typing import Protocol


class Watched(Protocol):
    """What is looked at; `watched_ms`: when, None: not at all. Set here alone."""

    home_address: bytes
    watched_ms: int | None


class Expiries:
    """One entry for each who is watched. What is put off needs no entry of its own: it is looked
    at when it would have been due, and watched anew."""

    def __init__(self) -> None:
        """Nobody is watched."""
        self._heap: list[tuple[int, bytes]] = []

    def __len__(self) -> int:
        """How many entries there are, those out of date included."""
        return len(self._heap)

    def watch(self, one: Watched, at: int) -> None:
        """Have it looked at by `at`, milliseconds."""
        if one.watched_ms is None or at < one.watched_ms:
            one.watched_ms = at
            heappush(self._heap, (at, one.home_address))

    def due(self, now: int) -> Iterator[tuple[int, bytes]]:
        """Instants and home addresses that are due; who has another `watched_ms` than that
        instant was looked at meanwhile, or is another one by that name."""
        while self._heap and self._heap[0][0] <= now:
            yield heappop(self._heap)
