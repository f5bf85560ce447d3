"""The durable side of the binding cache: what counts is what the registry holds.

A group of changes is one transaction. Each sequence number is acceptable exactly once, because
the update that records it is conditional (see `registry.schema`): of several daemons with the
same number one succeeds, and the others learn from the count of rows that they did not.
"""

from collections.abc import Collection, Iterator, Sequence
from functools import cache
from importlib import import_module

from sqlalchemy import Connection, Executable, and_, bindparam, delete, or_, select, update

from roamkey.correspondent.entries import Binding, Change
from roamkey.registry import Pair, Registry
from roamkey.registry.schema import CONFIRMED, RETIRED, SENT, bindings, keys, nodes, pairs

_live = and_(keys.c.id == bindparam("key"), keys.c.state != RETIRED)
_accept = (
    update(keys)
    .where(
        _live,
        or_(keys.c.last_sequence.is_(None), keys.c.last_sequence < bindparam("sequence")),
    )
    .values(last_sequence=bindparam("sequence"))
)
_confirm = update(keys).where(_live).values(state=CONFIRMED)
_confirm_set = (
    update(keys)
    .where(
        keys.c.state == SENT,
        keys.c.set_id
        == select(keys.c.set_id).where(keys.c.id == bindparam("key")).scalar_subquery(),
    )
    .values(state=CONFIRMED)
)
_retire_earlier = (
    update(keys)
    .where(
        keys.c.pair_id == bindparam("pair"),
        keys.c.generation < bindparam("below"),
        keys.c.state != RETIRED,
    )
    .values(state=RETIRED, kcn=None)
)
_unbind = delete(bindings).where(bindings.c.pair_id == bindparam("pair"))


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
        try:
            with self._registry.writing() as c:
                if _commit_group(c, changes):
                    return set()
                raise _NotAllError
        except _NotAllError:  # rolled back; rare, so slow is good enough
            with self._registry.writing() as c:
                return {i for i, change in enumerate(changes) if not _commit_group(c, [change])}

    def expire(self, now: int) -> None:
        """Remove the bindings of our address whose time is over."""
        mine = select(pairs.c.id).where(pairs.c.correspondent == self._correspondent)
        over = and_(bindings.c.expires_ms <= now, bindings.c.pair_id.in_(mine))
        with self._registry.writing() as c:
            c.execute(delete(bindings).where(over))


class _NotAllError(Exception):
    """Some change of the group was refused."""


def _commit_group(c: Connection, changes: Sequence[Change]) -> bool:
    """Write a group; whether every one of its conditions held."""
    confirmed = [change for change in changes if change.confirms]
    accepted = [change for change in changes if change.sequence is not None]
    if confirmed and not _confirm_keys(c, confirmed):
        return False
    if not accepted:
        return True
    numbers = [{"key": change.key_id, "sequence": change.sequence} for change in accepted]
    if c.execute(_accept, numbers).rowcount != len(numbers):
        return False
    # Within the group only a pair's last binding is ever seen.
    last = {change.pair_id: change.binding for change in accepted}
    made = [{"pair_id": pair, **new._asdict()} for pair, new in last.items() if new is not None]
    gone = [{"pair": pair} for pair, new in last.items() if new is None]
    if made:
        c.execute(_bind(c.dialect.name), made)
    if gone:
        c.execute(_unbind, gone)
    return True


def _confirm_keys(c: Connection, changes: Sequence[Change]) -> bool:
    """Make keys current: their sets are confirmed, the pairs' earlier generations retired."""
    ours = [{"key": change.key_id} for change in changes]
    if c.execute(_confirm, ours).rowcount != len(ours):
        return False
    c.execute(_confirm_set, ours)
    earlier = [{"pair": change.pair_id, "below": change.generation} for change in changes]
    c.execute(_retire_earlier, earlier)
    return True


@cache
def _bind(dialect: str) -> Executable:
    """Make or replace a binding: the one statement that SQL's dialects say differently."""
    made = import_module(f"sqlalchemy.dialects.{dialect}").insert(bindings)
    new = {column.name: made.excluded[column.name] for column in bindings.c}
    upsert: Executable = made.on_conflict_do_update(index_elements=["pair_id"], set_=new)
    return upsert
