"""The durable side of the binding cache: what counts is what the registry holds.

A group of changes is one transaction. Each sequence number is acceptable exactly once, because
the update that records it is conditional (see `registry.schema`): of several daemons with the
same number one succeeds, and the others learn that they did not.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace

from mip6.limits import ADDRESS_OCTETS
from roamkey.registry import Pair, Registry
from roamkey.registry.records import Binding, Change


class Store:
    """What the cache of one correspondent address needs of the registry."""

    def __init__(self, registry: Registry, correspondent: bytes) -> None:
        """`correspondent`: our address, 16 octets."""
        self._registry = registry
        self._correspondent = correspondent

    def revision(self) -> int:
        """A number that rises when provisioning changes something."""
        return self._registry.revision()

    def load(
        self, now: int, since: int = -1, home_addresses: Collection[bytes] | None = None
    ) -> Iterator[tuple[Pair, Binding | None]]:
        """The pairs changed after revision `since`, or those of the home addresses given; with
        their bindings, unless these are over at `now`."""
        wanted = self._correspondent, since, home_addresses
        bound = self._registry.bindings_for_correspondent(wanted[0], now, *wanted[1:])
        found = self._registry.pairs_for_correspondent(*wanted)
        return (_checked(pair, bound.get(pair.pair_id)) for pair in found)

    def commit(self, changes: Sequence[Change]) -> set[int]:
        """See `Registry.commit`."""
        return self._registry.commit(changes)

    def expire(self, now: int) -> None:
        """Remove the bindings of our address whose time is over."""
        self._registry.expire(self._correspondent, now)


def _checked(pair: Pair, binding: Binding | None) -> tuple[Pair, Binding | None]:
    """A binding whose row is damaged is none."""
    if binding is None:
        return pair, None
    care_of, *numbers = binding
    whole = isinstance(care_of, bytes) and len(care_of) == ADDRESS_OCTETS
    if whole and all(isinstance(number, int) for number in numbers):
        return pair, binding
    return replace(pair, damaged="a binding is an address and four numbers"), None
