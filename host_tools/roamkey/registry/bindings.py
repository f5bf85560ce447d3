"""What a correspondent does to the tables: sequence numbers taken, bindings kept, read, removed.

Each function runs inside one transaction of its caller. A group of changes is a few statements,
whatever its size.

**Exactly once.** Of a key's numbers in a group only the first and the last matter: the last
becomes the key's last accepted number on condition that the first is above what is there. The
database says for which keys that held; the changes of the others are refused.

What a database is best told row by row and what in arrays is in `batches`.
"""

from collections.abc import Collection, Sequence

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    and_,
    bindparam,
    case,
    cast,
    delete,
    exists,
    func,
    literal,
    select,
    update,
)

from mip6.limits import ADDRESS_OCTETS
from roamkey.registry import batches, names
from roamkey.registry.records import CONFIRMED, RETIRED, SENT, Binding, Bound, Change, NodeState
from roamkey.registry.schema import bindings, keys, nodes, pairs

_ODDS_MS = 5_000  # between the clocks of the hosts that share a registry

_LIFETIME_MS = 1000 * cast(bindings.c.lifetime, BigInteger)

_live_key = and_(keys.c.id == bindparam("key"), keys.c.state != RETIRED)
_confirm = update(keys).where(_live_key).values(state=CONFIRMED)
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

# A native binding has none in the table, an empty one in the records.
_endpoint = func.coalesce(bindings.c.endpoint, b"").label("endpoint")

_current = (
    select(
        nodes.c.home_address,
        bindings.c.care_of_address,
        pairs.c.correspondent,
        nodes.c.board_id,
        keys.c.last_sequence,
        keys.c.generation,
        _endpoint,
        bindings.c.registered_ms,
        bindings.c.expires_ms,
        pairs.c.role,
        nodes.c.name,
        bindings.c.lifetime,
    )
    .select_from(bindings.join(pairs).join(nodes).join(keys, keys.c.id == bindings.c.key_id))
    .order_by(nodes.c.home_address, pairs.c.correspondent)
)

_followed = (
    select(
        nodes.c.home_address,
        keys.c.last_sequence,
        bindings.c.care_of_address,
        bindings.c.lifetime,
        bindings.c.registered_ms,
        bindings.c.expires_ms,
        bindings.c.key_id,
        _endpoint,
    )
    .select_from(pairs.join(nodes).outerjoin(bindings, bindings.c.pair_id == pairs.c.id))
    .outerjoin(keys, keys.c.id == bindings.c.key_id)
)

# Per pair: how many live keys it has, and the first of them, which is the one in use: a later one
# that is used retires those before.
_live = keys.c.state != RETIRED
of_pair = (
    select(
        keys.c.pair_id,
        func.count(case((_live, 1))).label("live"),
        func.min(case((_live, keys.c.generation))).label("generation"),
    )
    .group_by(keys.c.pair_id)
    .subquery()
)
_known = (
    select(
        nodes.c.home_address,
        nodes.c.board_id,
        of_pair.c.live,
        of_pair.c.generation,
        keys.c.last_sequence,
        bindings.c.care_of_address,
        _endpoint,
        bindings.c.registered_ms,
        bindings.c.expires_ms,
        nodes.c.name,
    )
    .select_from(pairs.join(nodes).join(of_pair, of_pair.c.pair_id == pairs.c.id))
    .outerjoin(keys, (keys.c.pair_id == pairs.c.id) & (keys.c.generation == of_pair.c.generation))
    .outerjoin(bindings, bindings.c.pair_id == pairs.c.id)
)


def load(
    c: Connection,
    correspondent: bytes,
    now: int,
    since: int,
    home_addresses: Collection[bytes] | None,
) -> dict[int, Binding]:
    """See `Registry.bindings_for_correspondent`."""
    statement = (
        select(
            bindings.c.pair_id,
            bindings.c.care_of_address,
            bindings.c.lifetime,
            bindings.c.registered_ms,
            bindings.c.expires_ms,
            bindings.c.key_id,
            _endpoint,
        )
        .select_from(bindings.join(pairs).join(nodes))
        .where(
            pairs.c.correspondent == correspondent,
            pairs.c.revision > since,
            bindings.c.expires_ms > now,
        )
    )
    if home_addresses is not None:
        statement = statement.where(nodes.c.home_address.in_(home_addresses))
    return {row[0]: Binding(*row[1:]) for row in c.execute(statement)}


def current(c: Connection, now: int) -> list[Bound]:
    """See `Registry.current_bindings`; what is damaged isn't among them."""
    return [
        Bound._make(
            (
                *row[:-4],
                min(row.expires_ms, now + 1000 * row.lifetime),
                row.role,
                names.found(row.name),
            )
        )
        for row in c.execute(_current.where(bindings.c.expires_ms > now))
        if are_addresses(*row[:3])
        and _are_numbers(*row[4:6], *row[7:9], row.lifetime)
        and isinstance(row.endpoint, bytes)
    ]


def nodes_of(c: Connection, correspondent: bytes, since: int) -> list[NodeState]:
    """See `Registry.nodes_of_correspondent`; what is damaged isn't among them."""
    mine = pairs.c.correspondent == correspondent
    rows = c.execute(_known.where(mine, pairs.c.revision > since))
    found = (NodeState._make((*row[:-1], names.found(row.name))) for row in rows)
    return [
        one
        for one in found
        if are_addresses(one.home_address, one.care_of_address or bytes(ADDRESS_OCTETS))
        and _are_numbers(*(value for value in (one.generation, *one[4:5], *one[7:9]) if value))
        and isinstance(one.endpoint, bytes)
    ]


def are_addresses(*found: object) -> bool:
    """Whether these are addresses; damaged rows hold anything."""
    return all(isinstance(one, bytes) and len(one) == ADDRESS_OCTETS for one in found)


def _are_numbers(*found: object) -> bool:
    return all(isinstance(one, int) for one in found)


def made_ahead(c: Connection, correspondent: bytes, now: int) -> bool:
    """Whether bindings last for longer than they can."""
    return bool(c.scalar(select(exists().where(*_made_ahead(correspondent, now)))))


def shorten(c: Connection, correspondent: bytes, now: int) -> None:
    """Have them end with their lifetime from now on."""
    ends = {"registered_ms": now, "expires_ms": _LIFETIME_MS + literal(now, BigInteger)}
    c.execute(update(bindings).where(*_made_ahead(correspondent, now)).values(ends))


def _made_ahead(correspondent: bytes, now: int) -> tuple[ColumnElement[bool], ...]:
    mine = select(pairs.c.id).where(pairs.c.correspondent == correspondent)
    too_long = bindings.c.expires_ms - _LIFETIME_MS > now + _ODDS_MS
    return bindings.c.pair_id.in_(mine), too_long


def followed(
    c: Connection, correspondent: bytes, pair_ids: Collection[int] | None
) -> list[tuple[bytes, int | None, Binding | None]]:
    """See `Registry.followed`."""
    statement = _followed.where(pairs.c.correspondent == correspondent)
    if pair_ids is None:
        statement = statement.where(bindings.c.pair_id.is_not(None))
    else:
        statement = statement.where(pairs.c.id.in_(pair_ids))
    return [
        (home, last, None if rest[0] is None else Binding(*rest))
        for home, last, *rest in c.execute(statement)
        if are_addresses(home) and (last is None or _are_numbers(last))
    ]


def expire(c: Connection, correspondent: bytes, now: int) -> None:
    """Remove the bindings with a correspondent whose time is over."""
    mine = select(pairs.c.id).where(pairs.c.correspondent == correspondent)
    over = and_(bindings.c.expires_ms <= now, bindings.c.pair_id.in_(mine))
    c.execute(delete(bindings).where(over))


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
        if change.key_id not in took:
            refused.add(i)
        elif not change.refused:
            latest[change.pair_id] = change.binding
    refused.update(
        i for i, change in enumerate(changes) if change.confirms and not _make_current(c, change)
    )
    batch.bind([(pair, *one[:-1], one.endpoint or None) for pair, one in latest.items() if one])
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
