"""Time without data around a registration (no I/O): what a handover cost the applications.

Data from or to a node, then a Binding Update that moved it or came after a silence, then data
again: from the last before to the first after is the gap. How exactly that is known is up to who
tells of data: the daemon itself sees each packet, its data plane reports once a second.
"""

_RECENT_MS = 600_000  # longer ago, nobody was waiting
_SILENCE_MS = 2_000  # without a move, less than this is how the application sends
_NODES_MAX = 100_000


class Gaps:
    """Instants are milliseconds. Home addresses are octets."""

    def __init__(self) -> None:
        self._last: dict[bytes, int] = {}
        self._open: dict[bytes, tuple[int, bool]] = {}  # last data before, and whether it moved

    def registered(self, home_address: bytes, now: int, moved: bool) -> None:
        """A Binding Update was accepted."""
        last = self._last.get(home_address)
        if last is None or now - last > _RECENT_MS:
            return
        before, had_moved = self._open.get(home_address, (last, False))
        if moved or had_moved or now - last >= _SILENCE_MS:
            self._open[home_address] = before, moved or had_moved

    def removed(self, home_address: bytes) -> None:
        """The node is at home, or shuts down: what flows until it is bound again isn't known."""
        self._last.pop(home_address, None)
        self._open.pop(home_address, None)

    def data(self, home_address: bytes, now: int) -> int | None:
        """Data flowed; the gap that ends with them, or None."""
        gap = None
        if self._open and home_address in self._open:
            gap = now - self._open.pop(home_address)[0]
        elif len(self._last) >= _NODES_MAX and home_address not in self._last:
            self._last.clear()  # a fleet that large: forget, rather than grow
        self._last[home_address] = now
        return gap
