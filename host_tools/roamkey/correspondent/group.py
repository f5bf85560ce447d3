"""A group of changes as a few statements, whatever its size.

**Exactly once.** Of a key's numbers in a group only the first and the last matter: the last
becomes the key's last accepted number on condition that the first is above what is there. The
database says for which keys that held; the changes of the others are refused.

What a database is best told row by row and what in arrays is in `batches`.
"""

from collections.abc import Sequence

from sqlalchemy import Connection, and_, bindparam, select, update

from roamkey.correspondent import batches
from roamkey.correspondent.entries import Binding, Change
from roamkey.registry.schema import CONFIRMED, RETIRED, SENT, keys

_live = and_(keys.c.id == bindparam("key"), keys.c.state != RETIRED)
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


def commit(c: Connection, changes: Sequence[Change]) -> set[int]:
    """Write what may be written of the changes, in the order of their judging; the places of
    those that are refused. Inside the caller's transaction."""
    batch = batches.on(c)
    spans, refused = _spans(changes)
    # A key that is confirmed retires others of its pair, so numbers go first.
    took = batch.take([(key, *span) for key, span in spans.items()])
    latest: dict[int, Binding | None] = {}  # only a pair's last binding is ever seen
    for i, change in enumerate(changes):
        if change.sequence is None or i in refused:
            continue
        if change.key_id in took:
            latest[change.pair_id] = change.binding
        else:
            refused.add(i)
    refused.update(
        i for i, change in enumerate(changes) if change.confirms and not _make_current(c, change)
    )
    batch.bind([(pair, *binding) for pair, binding in latest.items() if binding])
    batch.unbind([pair for pair, binding in latest.items() if not binding])
    return refused


def _spans(changes: Sequence[Change]) -> tuple[dict[int, tuple[int, int]], set[int]]:
    """Each key's first and last number; the places of what isn't above the one before."""
    spans: dict[int, tuple[int, int]] = {}
    late = set()
    for i, change in enumerate(changes):
        if change.sequence is None:
            continue
        first, last = spans.get(change.key_id, (change.sequence, -1))
        if change.sequence > last:
            spans[change.key_id] = first, change.sequence
        else:
            late.add(i)
    return spans, late


def _make_current(c: Connection, change: Change) -> bool:
    """Confirm a key and its set, and retire the pair's earlier generations; False if it can't."""
    if not c.execute(_confirm, {"key": change.key_id}).rowcount:
        return False
    c.execute(_confirm_set, {"key": change.key_id})
    c.execute(_retire_earlier, {"pair": change.pair_id, "below": change.generation})
    return True
