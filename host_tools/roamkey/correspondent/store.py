"""The durable side of the binding cache: what counts is what the registry holds.

A group of changes is one transaction. Each sequence number is acceptable exactly once, because
the update that records it is conditional (see `registry.schema`): of several daemons with the
same number one succeeds, and the others learn that they did not.
"""

from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress

from sqlalchemy import and_, delete, select

from roamkey.correspondent import group
from roamkey.correspondent.entries import Binding, Change
from roamkey.registry import Pair, Registry
from roamkey.registry.database import ContendedError
from roamkey.registry.schema import bindings, nodes, pairs

_ATTEMPTS = 3  # of a transaction that another one stood in the way of


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
        statement = (
            select(
                bindings.c.pair_id,
                bindings.c.care_of_address,
                bindings.c.lifetime,
                bindings.c.registered_ms,
                bindings.c.expires_ms,
                bindings.c.key_id,
            )
            .select_from(bindings.join(pairs).join(nodes))
            .where(
                pairs.c.correspondent == self._correspondent,
                pairs.c.revision > since,
                bindings.c.expires_ms > now,
            )
        )
        if home_addresses is not None:
            statement = statement.where(nodes.c.home_address.in_(home_addresses))
        with self._registry.reading() as c:
            bound = {row[0]: Binding(*row[1:]) for row in c.execute(statement)}
        found = self._registry.pairs_for_correspondent(self._correspondent, since, home_addresses)
        return ((pair, bound.get(pair.pair_id)) for pair in found)

    def commit(self, changes: Sequence[Change]) -> set[int]:
        """Make changes durable, in order; the places of those that the registry refuses.

        Refused: the number isn't above the last accepted, or the key is retired or withdrawn.
        Raises RoamkeyError where the registry fails; then nothing, or all, has changed.
        """
        for _ in range(_ATTEMPTS - 1):
            with suppress(ContendedError), self._registry.writing() as c:
                return group.commit(c, changes)
        with self._registry.writing() as c:
            return group.commit(c, changes)

    def expire(self, now: int) -> None:
        """Remove the bindings of our address whose time is over."""
        mine = select(pairs.c.id).where(pairs.c.correspondent == self._correspondent)
        over = and_(bindings.c.expires_ms <= now, bindings.c.pair_id.in_(mine))
        with self._registry.writing() as c:
            c.execute(delete(bindings).where(over))
