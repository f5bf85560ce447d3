"""Which address to use: the usable ones of every uplink, and the best of them.

Uplinks have priorities (lower is better); on one uplink the home address comes first, then the
address that became usable last, since the older one belongs to a network that is being left. The
choice never waits for an uplink that is gone.

An uplink that comes and goes costs two moves each time where another one works, so one that left
soon after it came, three times in a row or more, has to stay a while before it is preferred again:
half a second, doubling to half a minute. Where it is the only one, it is used at once.
"""

from ..compat import const

_SHORT_LIFE = const(10000)  # ms: an uplink that leaves sooner than this after coming is unsteady
_TOLERATED = const(2)
_HOLD = const(500)  # ms
_HOLD_MAX = const(32000)
ADDRESSES_MAX = const(16)


class Uplinks:
    """The usable addresses. `home_address`: 16 octets or None."""

    def __init__(self, home_address: bytes | None = None) -> None:
        self.home_address = home_address
        # (uplink, priority, address, eligible from, came), oldest first
        self._addresses: list[tuple[str, int, bytes, int, int]] = []
        self._unsteady: dict[str, int] = {}  # uplink -> times in a row that it left soon

    def usable(self, uplink: str, priority: int, address: bytes, now: int) -> None:
        """An address can be used from now on."""
        self.gone(uplink, address, None)
        if len(self._addresses) >= ADDRESSES_MAX:
            self._addresses.pop(0)
        excess = self._unsteady.get(uplink, 0) - _TOLERATED
        hold = min(_HOLD << excess, _HOLD_MAX) if excess > 0 else 0
        self._addresses.append((uplink, priority, address, now + hold, now))

    def gone(self, uplink: str, address: bytes, now: int | None) -> None:
        """An address can't be used any more; `now` None where that says nothing of the uplink."""
        for entry in self._addresses:
            if entry[0] == uplink and entry[2] == address:
                self._addresses.remove(entry)
                if now is not None:
                    soon = now - entry[4] < _SHORT_LIFE
                    self._unsteady[uplink] = min(self._unsteady.get(uplink, 0) + 1, 9) * soon
                return

    def best(self, now: int) -> tuple[str, bytes] | None:
        """(uplink, address) to use, or None."""
        best = None
        for entry in self._addresses:  # the oldest first, so that among equals the last wins
            rank = (entry[3] > now, entry[1], entry[2] != self.home_address)
            if best is None or rank <= best[0]:
                best = (rank, entry)
        return best and (best[1][0], best[1][2])

    def wakes_at(self, now: int) -> int | None:
        """When the choice may change by itself, or None."""
        soonest = None
        for entry in self._addresses:
            if entry[3] > now and (soonest is None or entry[3] < soonest):
                soonest = entry[3]
        return soonest

    def all(self) -> list[tuple[str, int, bytes]]:
        """(uplink, priority, address) of every usable address."""
        return [entry[:3] for entry in self._addresses]
