"""When each node was last heard of, on its way into the registry: seldom, some at a time.

A round begins half a minute after the one before, and once that is through. It takes what was
heard since, each node once, so many of them a second. So whatever arrives, a node costs the
registry a row in half a minute at most, and the daemon a moment in each second. Only nodes with a
key count: as many as were provisioned. No I/O.
"""

from collections.abc import Callable
from typing import NamedTuple

from roamkey.correspondent.core.entries import Peer
from roamkey.registry.records import Use

EVERY_MS = 30_000
AT_ONCE = 500  # nodes


class Heard(NamedTuple):
    """Of a node: home address, the last accepted update, the last data from it; as in `Use`."""

    home_address: bytes
    update_ms: int | None
    data_ms: int | None


class LastSeen:
    """What was heard and isn't noted yet. Instants are in milliseconds since 1970, by the wall."""

    def __init__(
        self,
        peer: Callable[[bytes], Peer | None],
        every_ms: int = EVERY_MS,
        at_once: int = AT_ONCE,
    ) -> None:
        """`peer(home_address)`: the cache's; `every_ms`: from one round to the next."""
        self._peer = peer
        self._every_ms = every_ms
        self._at_once = at_once
        self._began = 0
        self._updates: dict[bytes, int] = {}
        self._data: dict[bytes, int] = {}
        self._round: list[Heard] = []

    def updated(self, home_address: bytes, now: int) -> None:
        """An update was accepted."""
        if self._peer(home_address) is not None:
            self._updates[home_address] = now

    def data(self, home_address: bytes, now: int) -> None:
        """Data came from the node."""
        if self._peer(home_address) is not None:
            self._data[home_address] = now

    def due(self, now: int, everything: bool = False) -> list[Heard]:
        """What is to be noted now; with `everything`, all that there is."""
        begins = everything or not 0 <= now - self._began < self._every_ms
        if begins and (everything or not self._round):
            self._began = now
            updates, data = self._updates, self._data
            self._updates, self._data = {}, {}
            self._round += [
                Heard(home, updates.get(home), data.get(home)) for home in {**updates, **data}
            ]
        count = len(self._round) if everything else self._at_once
        taken, self._round = self._round[:count], self._round[count:]
        return taken

    def uses(self, heard: list[Heard]) -> list[Use]:
        """The same as the registry takes it; nodes that went meanwhile are left out."""
        found = []
        for home_address, update_ms, data_ms in heard:
            peer = self._peer(home_address)
            if peer is not None:
                key = peer.keys[0]
                last = -1 if key.last_sequence is None else key.last_sequence
                found.append(Use(peer.pair_id, update_ms, data_ms, key.key_id, last))
        return found

    def again(self, heard: list[Heard]) -> None:
        """It could not be noted: have it noted in another round, unless something newer is."""
        for home_address, update_ms, data_ms in heard:
            if update_ms is not None:
                self._updates.setdefault(home_address, update_ms)
            if data_ms is not None:
                self._data.setdefault(home_address, data_ms)
